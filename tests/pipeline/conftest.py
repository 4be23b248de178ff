"""A small run of the digits with a simulated chip, and its files for a device."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hybridonn.cli.app import app
from hybridonn.pipeline.run import run
from hybridonn.spec import read_spec

TINY = (
    "student.kernels=4",
    "student.hidden=[16]",
    "data.train_images=200",
    "training.epochs=2",
    "teacher.training.epochs=1",
    "distillation.method=none",
)
CHIP = ("fabrication.preset=paper-mnist", "compensation.methods=[none]")


@pytest.fixture(scope="session")
def no_report() -> Iterator[pytest.MonkeyPatch]:
    """Reports have tests of their own, and take seconds."""
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="session")
def finished_digits(tmp_path_factory, no_report) -> Path:
    """A finished run of digits with a simulated chip and its compensation."""
    for name in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(name)
    folder = tmp_path_factory.mktemp("runs") / "digits"
    no_report.setattr("hybridonn.pipeline.run.write_report", lambda folder: None)
    no_report.setattr("hybridonn.pipeline.deploy.write_report", lambda folder: None)
    more = ("compensation.distillation.method=none", "compensation.training.epochs=1")
    run(read_spec(None, (*TINY, *CHIP, *more)), folder)
    return folder


@pytest.fixture(scope="session")
def deployed_digits(finished_digits: Path) -> Path:
    """The same run with its files, and C where its generator is installed."""
    asked = ["--target", "c"] if find_spec("emx_onnx_cgen") else []
    more = ["--calibration", "100", *asked]
    found = CliRunner().invoke(app, ["deploy", str(finished_digits), *more])
    assert found.exit_code == 0, found.output
    assert "deployed.hybrid.accuracy" in found.output
    return finished_digits
