"""``hybridonn data check``: the command as a user runs it."""

import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from hybridonn.cli_data import app
from hybridonn.errors import DataError


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HYBRIDONN_CACHE", str(tmp_path / "cache"))
    for number, name in enumerate(("ape", "zebra")):
        (tmp_path / "zoo" / name).mkdir(parents=True)
        for k in range(6):
            values = np.random.default_rng(10 * number + k).integers(0, 256, (9, 9, 3))
            path = tmp_path / "zoo" / name / f"{k}.png"
            Image.fromarray(values.astype(np.uint8)).save(path)
    return tmp_path


def check(folder, *more):
    settings = ("data.name=image_folder", f"data.folder={folder / 'zoo'}", *more)
    arguments = ["check", "--out", str(folder / "out")]
    return CliRunner().invoke(app, arguments + [a for s in settings for a in ("--set", s)])


def test_a_sound_set(folder):
    done = check(folder)
    assert done.exit_code == 0
    for words in ("zoo: 3 x 9 x 9", "ape", "12 stored as 9 x 9 pixels, in colour", "50.00 %"):
        assert words in done.output
    survey = json.loads((folder / "out" / "survey.json").read_text())
    assert survey["classes"] == ["ape", "zebra"]
    assert sum(survey["counts"].values()) == 12
    with Image.open(folder / "out" / "contact_sheet.png") as sheet:
        assert sheet.width == 1500


def test_a_damaged_set(folder):
    (folder / "zoo" / "ape" / "3.png").write_bytes(b"")
    done = check(folder)
    assert done.exit_code == 1
    assert isinstance(done.exception, DataError)
    assert "zoo has 1 fault," in str(done.exception)
    assert "fault: " in done.output
    assert "ape/3.png is damaged" in done.output.replace("\n", "")
    assert json.loads((folder / "out" / "survey.json").read_text())["faults"]
    assert check(folder, "data.skip_bad=true").exit_code == 0
