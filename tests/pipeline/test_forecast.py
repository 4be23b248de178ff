"""What a dry run says: which stages would be done, and how long they take by earlier runs."""

from __future__ import annotations

import json
import shutil

import pytest
from tests.pipeline.conftest import CHIP, TINY
from typer.testing import CliRunner

from hybridonn.cli.app import app
from hybridonn.core.errors import SpecError
from hybridonn.pipeline.forecast import forecast
from hybridonn.spec import read_spec

OWN = (*TINY, *CHIP, "compensation.distillation.method=none", "compensation.training.epochs=1")


def states(stages):
    return {one.name: one.state for one in stages}


def test_a_finished_run_is_kept_and_a_change_redoes_what_it_touches(finished_digits):
    assert set(states(forecast(read_spec(None, OWN), finished_digits)).values()) == {"kept"}
    longer = read_spec(None, (*OWN, "training.epochs=6"))
    stages = {one.name: one for one in forecast(longer, finished_digits)}
    assert stages["layout"].state == "kept"
    assert stages["student"].state == stages["fabricated"].state == "new"
    record = json.loads((finished_digits / "record.json").read_text())
    assert stages["student"].source == finished_digits
    assert stages["student"].seconds == pytest.approx(3 * record["seconds"]["student"])


def test_the_own_run_comes_first_and_other_machines_tell_nothing(
    finished_digits, tmp_path, monkeypatch
):
    for name in ("digits", "beside"):
        shutil.copytree(finished_digits, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    longer = read_spec(None, (*OWN, "training.epochs=6"))
    student = {one.name: one for one in forecast(longer, "digits")}["student"]
    assert student.source == tmp_path / "digits"
    monkeypatch.setattr("hybridonn.pipeline.forecast.describe_machine", lambda: {"cores": 999})
    student = {one.name: one for one in forecast(longer, "digits")}["student"]
    assert (student.seconds, student.source) == (None, None)


def test_what_is_damaged_would_be_made_again(finished_digits, tmp_path):
    folder = tmp_path / "digits"
    shutil.copytree(finished_digits, folder)
    with (folder / "layout" / "layout.json").open("a") as file:
        file.write(" ")
    assert states(forecast(read_spec(None, OWN), folder))["layout"] == "new"


def test_other_networks_and_foreign_folders_tell_nothing(finished_digits, tmp_path):
    shutil.copytree(finished_digits, tmp_path / "digits")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "record.json").write_text("{")
    other = read_spec(None, (*OWN, "student.hidden=[17]"))
    stages = {one.name: one for one in forecast(other, tmp_path / "new")}
    assert stages["student"].state == "new"
    assert stages["student"].seconds is None
    assert not (tmp_path / "new").exists()


def test_the_command_says_it_in_lines_and_in_json(finished_digits):
    words = [word for one in (*OWN, "training.epochs=6") for word in ("--set", one)]
    call = ["run", "--out", str(finished_digits), "--dry-run", *words]
    text = CliRunner().invoke(app, call).output
    assert "nothing was done (dry run)" in text
    assert "kept from before" in text
    assert "to do" in text
    told = json.loads(CliRunner().invoke(app, [*call, "--json"]).output)["results"]
    assert told["student"]["state"] == "new"


def test_what_a_run_refuses_a_dry_run_refuses(tmp_path):
    with pytest.raises(SpecError, match="kernels"):
        forecast(read_spec(None, ("student.kernels=1000",)), tmp_path / "x")
