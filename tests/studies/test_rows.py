"""Rows of a study: they only grow, and rows of two specs never lie in one table."""

import json

import pytest

from hybridonn.core.errors import ArtefactError
from hybridonn.studies.rows import ROWS, SETTINGS, name_row, open_rows

STATED = {"data": "a" * 64, "spec": {"training": {"epochs": 20, "patience": None}, "seeds": [1]}}


def keep(folder, settings=STATED, study="tune", **values):
    folder.mkdir(exist_ok=True)
    rows = open_rows(folder, study, settings)
    for key, value in values.items():
        rows.file(key).write(rows.next_number, value)
        rows.take(key)
    return dict(rows.values)


def read_files(folder):
    return {path: path.read_bytes() for path in (folder / ROWS).rglob("*.json")}


def test_rows_of_all_calls_stay_together_in_their_order(tmp_path):
    keep(tmp_path, kd=0.1 + 0.2, b=float("inf"))
    assert keep(tmp_path, a=[1, None]) == {"kd": 0.1 + 0.2, "b": float("inf"), "a": [1, None]}
    assert list(keep(tmp_path)) == ["kd", "b", "a"]


@pytest.mark.parametrize("content", [b"", b'{"key": "b"', b"\xff", b"[]", b'{"key": "b"}'])
def test_a_file_that_is_torn_or_damaged_costs_its_row_alone(tmp_path, content):
    keep(tmp_path, a=1, b=2, c=3)
    open_rows(tmp_path, "tune", STATED).file("b").path.write_bytes(content)
    assert keep(tmp_path) == {"a": 1, "c": 3}
    assert keep(tmp_path, b=4) == {"a": 1, "c": 3, "b": 4}


def test_a_changed_value_is_no_row(tmp_path):
    keep(tmp_path, a=1)
    path = open_rows(tmp_path, "tune", STATED).file("a").path
    path.write_text(json.dumps(json.loads(path.read_text()) | {"value": 2}))
    assert keep(tmp_path) == {}


def test_a_row_of_other_settings_or_of_another_key_is_no_row(tmp_path):
    keep(tmp_path / "x", a=1)
    keep(tmp_path / "y", change(epochs=30))
    [path] = set(read_files(tmp_path / "x")) - {tmp_path / "x" / ROWS / SETTINGS}
    copy = tmp_path / "y" / ROWS / path.parent.name / path.name
    copy.parent.mkdir()
    copy.write_bytes(path.read_bytes())
    assert keep(tmp_path / "y", change(epochs=30)) == {}
    rows = open_rows(tmp_path / "x", "tune", STATED)
    rows.file("b").path.parent.mkdir()
    rows.file("b").path.write_bytes(path.read_bytes())
    assert dict(open_rows(tmp_path / "x", "tune", STATED).values) == {"a": 1}


def test_a_row_that_a_run_should_have_written_is_missed(tmp_path):
    keep(tmp_path)
    with pytest.raises(ArtefactError, match=r"is missing or damaged .* a disk that all workers"):
        open_rows(tmp_path, "tune", STATED).take("a")


def change(**training):
    spec = STATED["spec"]
    return STATED | {"spec": spec | {"training": spec["training"] | training}}


@pytest.mark.parametrize(
    ("settings", "difference"),
    [
        (change(epochs=30), r"spec\.training\.epochs is 20 there and 30 here"),
        (change(patience=5), r"spec\.training\.patience is null there and 5 here"),
        (change(rate=0.1), r"spec\.training\.rate is not stated there and 0\.1 here"),
        (STATED | {"data": "b" * 64}, 'data is "a{23}… there and "b{23}… here'),
    ],
)
def test_other_settings_are_refused_and_named(tmp_path, settings, difference):
    before = keep(tmp_path, kd=0.9)
    content = read_files(tmp_path)
    with pytest.raises(ArtefactError, match=f"{difference}.*not mixed: choose another folder"):
        keep(tmp_path, settings, kd=0.1)
    assert read_files(tmp_path) == content
    assert keep(tmp_path) == before


def test_many_differences_are_counted(tmp_path):
    keep(tmp_path)
    with pytest.raises(ArtefactError, match="and 3 more"):
        keep(tmp_path, {"data": 1, "spec": dict.fromkeys("abcd", 1)})


def test_another_study_or_version_is_refused(tmp_path, monkeypatch):
    keep(tmp_path, kd=0.9)
    with pytest.raises(ArtefactError, match="holds the study tune, not compare; choose another"):
        keep(tmp_path, study="compare")
    monkeypatch.setattr("hybridonn.studies.rows.__version__", "9")
    with pytest.raises(ArtefactError, match=r'hybridonn is "0\.1\.0" there and "9" here'):
        keep(tmp_path)


def test_files_without_rows_are_left_alone(tmp_path):
    (tmp_path / "spec.yaml").touch()
    (tmp_path / ".lock").touch()
    (tmp_path / "tuning.csv").write_text("method\nkd\n")
    with pytest.raises(ArtefactError, match=r"holds tuning\.csv, but no rows/settings\.json"):
        keep(tmp_path)
    assert not (tmp_path / ROWS).exists()
    (tmp_path / "tuning.csv").unlink()
    assert keep(tmp_path) == {}


@pytest.mark.parametrize("content", [b"\xff\n", b"[]", b"{"])
def test_rows_without_their_settings_are_not_overwritten(tmp_path, content):
    (tmp_path / ROWS).mkdir()
    (tmp_path / ROWS / SETTINGS).write_bytes(content)
    with pytest.raises(
        ArtefactError, match=r"settings\.json were measured with: it (is dama|holds)"
    ):
        keep(tmp_path)
    assert (tmp_path / ROWS / SETTINGS).read_bytes() == content


def test_keys_do_not_depend_on_the_order_of_settings():
    assert name_row("kd", {"a": 1, "b": 2}) == name_row("kd", {"b": 2, "a": 1})
    assert name_row("kd", 1) != name_row("kd", 2)
