"""Rows of a study: they only grow, and rows of two specs never lie in one table."""

import pytest

from hybridonn.core.errors import ArtefactError
from hybridonn.studies.rows import ROWS, name_row, open_rows

SETTINGS = {"data": "a" * 64, "spec": {"training": {"epochs": 20, "patience": None}, "seeds": [1]}}


def keep(folder, settings=SETTINGS, study="tune", **rows):
    folder.mkdir(exist_ok=True)
    with open_rows(folder, study, settings) as journal:
        for key, value in rows.items():
            journal.add(key, value)
        return dict(journal.values)


def test_rows_of_all_calls_stay_together(tmp_path):
    keep(tmp_path, kd=0.9)
    assert keep(tmp_path, ntkd=0.95) == {"kd": 0.9, "ntkd": 0.95}
    assert keep(tmp_path) == {"kd": 0.9, "ntkd": 0.95}


def test_a_line_that_is_torn_or_damaged_costs_its_row_alone(tmp_path):
    keep(tmp_path, a=1, b=2, c=3)
    lines = (tmp_path / ROWS).read_bytes().split(b"\n")
    lines[2] = b"\xff" + lines[2]
    (tmp_path / ROWS).write_bytes(b"\n".join(lines) + b'{"d": ')
    assert keep(tmp_path) == {"a": 1, "c": 3}


def change(**training):
    spec = SETTINGS["spec"]
    return SETTINGS | {"spec": spec | {"training": spec["training"] | training}}


@pytest.mark.parametrize(
    ("settings", "difference"),
    [
        (change(epochs=30), r"spec\.training\.epochs is 20 there and 30 here"),
        (change(patience=5), r"spec\.training\.patience is null there and 5 here"),
        (change(rate=0.1), r"spec\.training\.rate is not stated there and 0\.1 here"),
        (SETTINGS | {"data": "b" * 64}, 'data is "a{23}… there and "b{23}… here'),
    ],
)
def test_other_settings_are_refused_and_named(tmp_path, settings, difference):
    before = keep(tmp_path, kd=0.9)
    content = (tmp_path / ROWS).read_bytes()
    with pytest.raises(ArtefactError, match=f"{difference}.*not mixed: choose another folder"):
        keep(tmp_path, settings, kd=0.1)
    assert (tmp_path / ROWS).read_bytes() == content
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
    with pytest.raises(ArtefactError, match=r"holds tuning\.csv, but no rows\.jsonl"):
        keep(tmp_path)
    assert not (tmp_path / ROWS).exists()
    (tmp_path / "tuning.csv").unlink()
    assert keep(tmp_path) == {}


def test_rows_without_their_settings_are_not_overwritten(tmp_path):
    (tmp_path / ROWS).write_bytes(b"\xff\n")
    with pytest.raises(ArtefactError, match=r"rows\.jsonl was begun with: its first line is dama"):
        keep(tmp_path)
    assert (tmp_path / ROWS).read_bytes() == b"\xff\n"


def test_keys_do_not_depend_on_the_order_of_settings():
    assert name_row("kd", {"a": 1, "b": 2}) == name_row("kd", {"b": 2, "a": 1})
    assert name_row("kd", 1) != name_row("kd", 2)
