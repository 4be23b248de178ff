"""The table of runs: what is listed, how quickly, and why something cannot be read."""

from __future__ import annotations

import json
import shutil
import time

import pytest

from hybridonn.core.errors import ArtefactError
from hybridonn.core.files import checksum_of, write_json
from hybridonn.explorer.run_table import RunTable


def write_run(folder, accuracy=0.9, **more):
    folder.mkdir(parents=True)
    record = {
        "finished": "2026-11-21T10:01:00+00:00",
        "seconds": {"student": 20.0, "teacher": 2.0},
        "hashes": {},
        "data": {"name": "digits", "classes": ["0", "1"], "image_shape": [1, 8, 8], "test": 360},
        "spec_checksum": "",
    }
    write_json(folder / "record.json", record | {"checksum": checksum_of(record)})
    student = {"method": "kd", "accuracy": accuracy, "parameters": {"digital": 10}}
    write_json(folder / "results.json", {"student": student, **more})
    (folder / "spec.yaml").write_text("name: a\n")
    return folder


def rows_of(root):
    return {row.name: row for row in RunTable(root).list_rows()}


def test_a_finished_run_is_a_row_of_its_numbers(tmp_path):
    write_run(tmp_path / "a", layout={"kernels_used": 8}, teacher={"accuracy": 0.95})
    row = rows_of(tmp_path)["a"]
    assert (row.state, row.data, row.method, row.metric) == ("finished", "digits", "kd", "accuracy")
    assert (row.value, row.teacher, row.kernels, row.seconds) == (0.9, 0.95, 8, 22.0)
    assert row.low is not None
    assert row.low < 0.9 < row.high
    assert not row.has_report


def test_what_is_broken_or_foreign_says_why(tmp_path):
    for name in ("torn", "changed", "text"):
        write_run(tmp_path / name)
    (tmp_path / "torn" / "results.json").write_text("{")
    changed = tmp_path / "changed" / "record.json"
    changed.write_text(changed.read_text().replace("360", "361"))
    write_json(tmp_path / "text" / "results.json", {"student": {"accuracy": "<b>high</b>"}})
    (tmp_path / "holiday").mkdir()
    (tmp_path / "seen").mkdir()
    (tmp_path / "seen" / "survey.json").write_text("{}")
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun" / "spec.yaml").write_text("name: a\n")
    (tmp_path / "begun" / ".student.part").mkdir()
    rows = rows_of(tmp_path)
    assert rows["torn"].said.startswith("results.json is damaged")
    assert "does not fit its own checksum" in rows["changed"].said
    assert "no share" in rows["text"].said
    assert {rows[name].state for name in ("torn", "changed", "text")} == {"broken"}
    assert (rows["holiday"].state, rows["begun"].state) == ("foreign", "stopped")
    assert "no run" in rows["holiday"].said
    assert (rows["seen"].kind, rows["seen"].said) == (
        "data check",
        "images that were checked",
    )
    assert rows["begun"].said == "in the stage student"


def test_runs_lie_in_folders_of_runs_and_one_run_stands_for_itself(tmp_path):
    write_run(tmp_path / "year" / "month" / "a")
    (tmp_path / ".hidden").mkdir()
    assert list(rows_of(tmp_path)) == ["year/month/a"]
    assert list(rows_of(tmp_path / "year" / "month" / "a")) == ["a"]


def test_studies_are_rows_too(tmp_path):
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "spec.yaml").write_text("name: a\n")
    write_json(tmp_path / "s" / "comparison.json", {"methods": {"kd": {}, "ntkd": {}}})
    row = rows_of(tmp_path)["s"]
    assert (row.kind, row.method, row.state) == ("compare", "kd, ntkd", "finished")


def test_a_row_is_read_again_when_its_files_change_and_goes_with_its_folder(tmp_path):
    table = RunTable(tmp_path)
    write_run(tmp_path / "a")
    (first,) = table.list_rows()
    assert table.list_rows()[0] is first
    results = json.loads((tmp_path / "a" / "results.json").read_text())
    results["student"]["accuracy"] = 0.5
    write_json(tmp_path / "a" / "results.json", results)
    assert table.list_rows()[0].value == 0.5
    assert table.folder("a") == tmp_path / "a"
    shutil.rmtree(tmp_path / "a")
    assert table.list_rows() == []
    with pytest.raises(ArtefactError, match="vanished"):
        table.folder("a")
    with pytest.raises(ArtefactError, match="vanished"):
        table.folder("../etc")


def test_a_held_folder_is_running(tmp_path):
    from hybridonn.core.parts import hold

    write_run(tmp_path / "a")
    with hold(tmp_path / "a" / ".lock", wait=False) as held:
        assert held
        assert rows_of(tmp_path)["a"].state == "running"
    assert rows_of(tmp_path)["a"].state == "finished"


def test_a_thousand_folders_are_listed_in_two_seconds(tmp_path):
    first = write_run(tmp_path / "0000")
    for number in range(1, 1000):
        folder = tmp_path / f"{number:04}"
        folder.mkdir()
        for name in ("record.json", "results.json"):
            (folder / name).hardlink_to(first / name)
    rows_of(first)  # the metrics of the tasks are known from here on
    began = time.process_time()
    assert len(rows_of(tmp_path)) == 1000
    assert time.process_time() - began < 2
