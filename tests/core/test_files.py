"""Files are written whole or not at all."""

import json
import math

import numpy as np
import pytest
import torch

from hybridonn.core import files
from hybridonn.core.errors import ArtefactError


def test_json_has_no_numbers_that_json_lacks(tmp_path):
    files.write_json(tmp_path / "a.json", {"a": math.nan, "b": [math.inf, 1.5], 3: "c"})
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": None, "b": [None, 1.5], "3": "c"}


def test_a_table_has_the_columns_of_all_rows(tmp_path):
    files.write_table(tmp_path / "t.csv", [{"a": 1}, {"a": 2, "b": "x,y"}])
    assert (tmp_path / "t.csv").read_text() == 'a,b\n1,\n2,"x,y"\n'


def test_tensors_and_notes_come_back_together(tmp_path):
    tensors = {"w": torch.randn(3, 4).T, "n": torch.tensor(7)}
    files.write_tensors(tmp_path / "w.safetensors", tensors, {"epoch": 3, "rows": [{"loss": 0.5}]})
    found, notes = files.read_tensors(tmp_path / "w.safetensors")
    assert notes == {"epoch": 3, "rows": [{"loss": 0.5}]}
    assert all(torch.equal(found[name], tensors[name]) for name in tensors)


def test_a_write_that_fails_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    files.write_json(path, 1)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(ArtefactError, match=r"No space left on device; earlier results"):
        files.write_json(path, 2)
    assert json.loads(path.read_text()) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_a_folder_that_is_a_file_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(ArtefactError, match="cannot write"):
        files.write_text(tmp_path / "file" / "below.txt", "x")


@pytest.mark.parametrize("name", ["a.json", "a.npz", "a.safetensors"])
def test_a_damaged_or_missing_file_is_named(name, tmp_path):
    read = {"json": files.read_json, "npz": files.read_arrays, "safetensors": files.read_tensors}
    path = tmp_path / name
    with pytest.raises(ArtefactError, match="is missing"):
        read[name[2:]](path)
    path.write_bytes(b"not what it says")
    with pytest.raises(ArtefactError, match="is damaged"):
        read[name[2:]](path)
    with pytest.raises(ArtefactError, match="File name too long"):
        read[name[2:]](tmp_path / ("0" * 300 + name))


def test_pickled_arrays_are_never_read(tmp_path):
    np.savez(tmp_path / "a.npz", a=np.array([{"an": "object"}], dtype=object))
    with pytest.raises(ArtefactError, match="is damaged"):
        files.read_arrays(tmp_path / "a.npz")
