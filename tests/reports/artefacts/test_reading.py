import io
import zipfile

import numpy as np
import pytest

from hybridonn.core.errors import ArtefactError
from hybridonn.reports.artefacts.reading import read_arrays, read_json, read_table


def test_a_table_has_a_gap_where_a_cell_is_empty(tmp_path):
    path = tmp_path / "history.csv"
    path.write_text("epoch,loss,kd\n1,0.5,\n2,0.25,nan\n")
    table = read_table(path, "the student stage", ("epoch",))
    assert table["epoch"].tolist() == [1, 2]
    assert table["loss"].tolist() == [0.5, 0.25]
    assert np.isnan(table["kd"]).all()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "lacks the column epoch"),
        ("loss\n1\n", "lacks the column epoch"),
        ("epoch,loss\n", "no row"),
        ("epoch,loss\n1,0.5\n2\n", "line 3 has 1 cells"),
        ("epoch,loss\n1,high\n", "line 2, column loss: 'high' is not a number"),
    ],
)
def test_a_damaged_table_is_named_to_the_cell(tmp_path, text, found):
    path = tmp_path / "history.csv"
    path.write_text(text)
    with pytest.raises(ArtefactError, match=found) as caught:
        read_table(path, "the student stage", ("epoch",))
    assert str(path) in str(caught.value)
    assert "the student stage" in str(caught.value)
    assert f"remove the folder {tmp_path}" in str(caught.value)


def test_json_must_be_a_mapping(tmp_path):
    path = tmp_path / "results.json"
    for text, found in (("[1]", "list"), ("{", "damaged"), ("\xff", "damaged")):
        path.write_bytes(text.encode("latin-1"))
        with pytest.raises(ArtefactError, match=found):
            read_json(path, "the run")
    path.unlink()
    with pytest.raises(ArtefactError, match="missing"):
        read_json(path, "the run")


def test_arrays_are_checked(tmp_path):
    path = tmp_path / "arrays.npz"
    np.savez(path, good=np.ones((2, 3)), bad=np.array([np.nan]), text=np.array(["a"]))
    assert read_arrays(path, "s", {"good": 2})["good"].shape == (2, 3)
    for name, dimensions, found in (
        ("none", 1, "lacks the array none"),
        ("good", 3, r"shape \(2, 3\)"),
        ("bad", 1, "not finite"),
        ("text", 1, "not finite"),
    ):
        with pytest.raises(ArtefactError, match=found):
            read_arrays(path, "s", {name: dimensions})


def test_a_pickle_is_never_read(tmp_path):
    path = tmp_path / "arrays.npz"
    np.savez(path, labels=np.array([{"a": 1}], dtype=object))
    with pytest.raises(ArtefactError, match="Python objects, which are never read"):
        read_arrays(path, "s", {"labels": 1})


@pytest.mark.parametrize(
    ("member", "found"),
    [
        (b"no array", "is no array"),
        (b"\x93NUMPY\x01\x00\x04\x00('x\n", "header is damaged"),
        (b"\x93NUMPY\x01\x00", "header is damaged"),
    ],
)
def test_a_member_that_is_no_array_is_named(tmp_path, member, found):
    path = tmp_path / "arrays.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("labels.npy", member)
    with pytest.raises(ArtefactError, match=rf"labels.npy.*{found}"):
        read_arrays(path, "s", {"labels": 1})


def test_a_member_that_claims_more_than_it_holds_takes_no_memory(tmp_path):
    path, content = tmp_path / "arrays.npz", io.BytesIO()
    np.save(content, np.arange(8))
    claim = content.getvalue().replace(b"(8,), }           ", b"(1099511627776,), }")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("labels.npy", claim)
    with pytest.raises(ArtefactError, match=r"claims an array of 8\.8 TB"):
        read_arrays(path, "s", {"labels": 1})


def test_json_of_any_depth_is_read_or_refused(tmp_path):
    path = tmp_path / "results.json"
    path.write_text("[" * 100_000)
    with pytest.raises(ArtefactError, match="damaged"):
        read_json(path, "the run")


def test_every_cut_of_an_archive_is_an_artefact_error(tmp_path):
    path = tmp_path / "arrays.npz"
    np.savez_compressed(path, labels=np.arange(200))
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(ArtefactError):
            read_arrays(path, "s", {"labels": 1})
    np.save(tmp_path / "plain.npy", np.arange(3))
    (tmp_path / "plain.npy").replace(path)
    with pytest.raises(ArtefactError, match="single array"):
        read_arrays(path, "s", {"labels": 1})
