"""The table of runs: what is listed, how quickly, and why something cannot be read."""

from __future__ import annotations

import json
import shutil
import time

import pytest

from hybridonn.core.errors import ArtefactError
from hybridonn.core.files import checksum_of, write_json
from hybridonn.explorer.run_table import RunTable
from hybridonn.spec import dump_spec, read_spec


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


def begin(folder, *stages, results=None, part=""):
    """A run without a record: stages that are done, their numbers, and one under way."""
    folder.mkdir(parents=True)
    (folder / "spec.yaml").write_text(dump_spec(read_spec(None, ("data.name=mnist",))))
    for stage in stages:
        (folder / stage).mkdir()
        write_json(folder / stage / "stage.json", {"seconds": 1.5})
    if results is not None:
        write_json(folder / "results.json", results)
    if part:
        (folder / f".{part}.part").mkdir()
    return folder


def test_what_a_command_left_alone_is_named_and_is_not_stopped(tmp_path):
    layout = {"kernels_used": 8}
    both = {"layout": layout, "estimate": {"accuracy": 0.97}}
    taught = {"teacher": {"accuracy": 0.99}}
    begin(tmp_path / "estimated", "layout", "estimate", results=both)
    begin(tmp_path / "laid", "layout")
    begin(tmp_path / "taught", "teacher", results=taught)
    begin(tmp_path / "both", "layout", "estimate", "teacher", results=both | taught)
    rows = rows_of(tmp_path)
    assert {name: row.state for name, row in rows.items()} == {
        "estimated": "estimate alone",
        "laid": "layout alone",
        "taught": "teacher alone",
        "both": "estimate and teacher alone",
    }
    found = rows["estimated"]
    assert (found.estimate, found.kernels, found.data, found.said) == (0.97, 8, "mnist", "")
    assert (found.metric, found.seconds) == ("accuracy", 3.0)
    assert found.finished
    assert (rows["taught"].teacher, rows["taught"].estimate) == (0.99, None)


def test_what_was_stopped_says_where(tmp_path):
    both = {"layout": {"kernels_used": 8}, "estimate": {"accuracy": 0.97}}
    begin(tmp_path / "in", "layout", "estimate", results=both, part="teacher_targets")
    begin(tmp_path / "between", "layout", "estimate", "teacher", results=both)
    begin(tmp_path / "first")
    table = RunTable(tmp_path)
    rows = {row.name: row for row in table.list_rows()}
    assert {row.state for row in rows.values()} == {"stopped"}
    assert rows["in"].said == "in the stage teacher targets"
    assert rows["between"].said == "before its next stage"
    assert rows["in"].estimate == 0.97
    (tmp_path / "first" / ".student.part").mkdir()
    assert {row.said for row in table.list_rows() if row.name == "first"} == {
        "in the stage student"
    }


def test_a_finished_run_in_which_a_later_command_stopped_says_so(tmp_path):
    write_run(tmp_path / "a")
    (tmp_path / "a" / ".compensated.part").mkdir()
    row = rows_of(tmp_path)["a"]
    assert (row.state, row.said) == ("finished", "stopped later, in the stage compensated")


def test_an_estimate_whose_numbers_are_damaged_is_broken(tmp_path):
    begin(tmp_path / "a", "layout", "estimate", results={})
    (tmp_path / "a" / "results.json").write_text("{")
    row = rows_of(tmp_path)["a"]
    assert row.state == "broken"
    assert row.said.startswith("results.json is damaged")


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


@pytest.mark.parametrize(
    ("study", "done"),
    [
        ("tune", "tuned.yaml"),
        ("tune-compensation", "tuned.yaml"),
        ("study perturbation", "perturbation.json"),
        ("study random-kernels", "random_kernels.json"),
        ("study ranking", "ranking.json"),
        ("compare --optics", "comparison.json"),
    ],
)
def test_a_study_is_stopped_until_it_has_written_its_last_file(study, done, tmp_path):
    folder = begin(tmp_path / "s")
    (folder / "rows" / "ab").mkdir(parents=True)
    write_json(folder / "rows" / "settings.json", {"study": study})
    write_json(folder / "rows" / "ab" / "abcd.json", {})
    row = rows_of(tmp_path)["s"]
    assert (row.kind, row.state, row.said) == (study, "stopped", "after 1 run of the study")
    (folder / done).write_text("{}")
    row = rows_of(tmp_path)["s"]
    assert (row.kind, row.state, row.said) == (study, "finished", "")


def test_a_reproduction_and_its_parts_are_rows(tmp_path):
    write_json(tmp_path / "paper" / "reproduction.json", {"tables": [{}]})
    begin(tmp_path / "paper" / "mnist")
    rows = rows_of(tmp_path)
    assert list(rows) == ["paper", "paper/mnist"]
    assert (rows["paper"].kind, rows["paper"].state) == ("reproduce", "finished")
    assert rows["paper"].said == "1 table, in reproduction.html"


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


def list_quickly(root):
    """The rows of a thousand folders, with two seconds of time for them."""
    rows_of(root / "0000")  # the metrics of the tasks are known from here on
    began = time.process_time()
    found = rows_of(root)
    assert time.process_time() - began < 2
    assert len(found) == 1000
    return {row.state for row in found.values()}


def test_a_thousand_folders_are_listed_in_two_seconds(tmp_path):
    first = write_run(tmp_path / "0000")
    for number in range(1, 1000):
        folder = tmp_path / f"{number:04}"
        folder.mkdir()
        for name in ("record.json", "results.json", "spec.yaml"):
            (folder / name).hardlink_to(first / name)
    assert list_quickly(tmp_path) == {"finished"}


def test_a_thousand_estimates_are_listed_in_two_seconds(tmp_path):
    both = {"layout": {"kernels_used": 8}, "estimate": {"accuracy": 0.97}}
    first = begin(tmp_path / "0000", "layout", "estimate", results=both)
    for number in range(1, 1000):
        for name in ("spec.yaml", "results.json", "layout/stage.json", "estimate/stage.json"):
            path = tmp_path / f"{number:04}" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.hardlink_to(first / name)
    assert list_quickly(tmp_path) == {"estimate alone"}
