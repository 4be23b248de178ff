"""A small run of the digits with a simulated chip, and its files for a device."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
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


@contextmanager
def without_reports() -> Iterator[None]:
    """Reports have tests of their own, and take seconds; so do latencies, measured for long."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hybridonn.deployment.latency.ENOUGH_S", 0.01)
        patch.setattr("hybridonn.pipeline.run.write_report", lambda folder: None)
        patch.setattr("hybridonn.pipeline.deploy.write_report", lambda folder: None)
        yield


@pytest.fixture
def no_report() -> Iterator[None]:
    """Write no report within a test."""
    with without_reports():
        yield


@pytest.fixture(scope="session")
def finished_digits(tmp_path_factory) -> Path:
    """A finished run of digits with a simulated chip and its compensation."""
    for name in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(name)
    folder = tmp_path_factory.mktemp("runs") / "digits"
    more = ("compensation.distillation.method=none", "compensation.training.epochs=1")
    with without_reports():
        run(read_spec(None, (*TINY, *CHIP, *more)), folder)
    return folder


@pytest.fixture(scope="session")
def deployed_digits(finished_digits: Path) -> Path:
    """The same run with its files, and those for microcontrollers where their extras are."""
    extras = {"c": "emx_onnx_cgen", "tflite-micro": "tflite_micro"}
    targets = [target for target, package in extras.items() if find_spec(package)]
    asked = [word for target in targets for word in ("--target", target)]
    more = ["--calibration", "100", *asked]
    with without_reports():
        found = CliRunner().invoke(app, ["deploy", str(finished_digits), *more])
    assert found.exit_code == 0, found.output
    assert "ONNX, optics and backend" in found.output
    return finished_digits
