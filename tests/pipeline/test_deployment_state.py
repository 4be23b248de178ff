"""Deployed files are used only while they are those of the run as it is."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from hybridonn.core.errors import ArtefactError, DeploymentError
from hybridonn.core.progress import Silent
from hybridonn.deployment.manifest import read_manifest
from hybridonn.pipeline import deployment_state
from hybridonn.pipeline.bundle import bundle_run
from hybridonn.pipeline.deployment_state import explain_stale, list_sources, take_deployed
from hybridonn.pipeline.predict import open_system


class Said(Silent):
    """Progress that keeps what is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


def test_a_run_as_it_was_deployed(deployed_digits: Path) -> None:
    said = Said()
    assert list_sources(deployed_digits) == read_manifest(deployed_digits / "deployed").stages
    assert take_deployed(deployed_digits, said)["deployed"]["optics"] == "fabricated"
    assert explain_stale(deployed_digits) == ""
    assert not said.lines


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"student": "0"}, "the stage student is another one"),
        ({"compensated": None}, "it has no stage compensated any more"),
        ({"metasurface": "1"}, "the stage metasurface is new"),
        ({"compensated on captures": "1"}, "the stage compensated on captures is new"),
    ],
)
def test_files_of_an_earlier_state_are_not_used(
    deployed_digits, monkeypatch, tmp_path, change, words
) -> None:
    """They answered without a word where a chip was compensated after the deployment."""
    now = {k: v for k, v in (list_sources(deployed_digits) | change).items() if v is not None}
    monkeypatch.setattr(deployment_state, "list_sources", lambda run: now)
    said = Said()

    with pytest.raises(DeploymentError, match=f"{words}; run `hybridonn deploy"):
        open_system(deployed_digits)
    with pytest.raises(ArtefactError, match=words):
        bundle_run(deployed_digits, tmp_path / "x.zip")
    assert take_deployed(deployed_digits, said) == {}
    assert words in said.lines[0]
    assert not (tmp_path / "x.zip").exists()


def test_a_changed_file_is_not_bundled(deployed_digits, tmp_path) -> None:
    copy = shutil.copytree(deployed_digits, tmp_path / "run")
    (copy / "deployed" / "run.py").write_text("print('7 1.000')")
    with pytest.raises(ArtefactError, match=r"run\.py is not as it was written"):
        bundle_run(copy)
