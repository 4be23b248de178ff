"""The record of captures: written whole, read back, refused when damaged."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from hybridonn.compensation.acquisition.capture_dataset import (
    CaptureDataset,
    check_origin,
    look_up,
    name_image,
    read_captures,
    split_image_id,
    write_captures,
)
from hybridonn.core.errors import ArtefactError, DataError


def make_captures(psfs=True):
    rng = np.random.default_rng(0)
    ids = [name_image("student_train", 3), name_image("test", 0), name_image("test", 7)]
    return CaptureDataset(
        np.array(ids),
        *rng.random((2, 3, 2, 4, 5)).astype(np.float32),
        np.full(3, 0.1, np.float32),
        np.ones((2, 2)),
        np.ones((2, 2)),
        rng.random((2, 2, 1, 3, 3)).astype(np.float32) if psfs else None,
        {"dataset": "x"},
    )


@pytest.mark.parametrize("psfs", [True, False])
def test_a_set_is_read_as_it_was_written(tmp_path, psfs):
    captures = make_captures(psfs)
    write_captures(captures, tmp_path / "c", lambda part: (part / "more.txt").write_text("x"))
    read = read_captures(tmp_path / "c")
    for name in ("image_ids", "positive", "negative", "exposure_s", "gains", "quality", "psfs"):
        np.testing.assert_array_equal(getattr(read, name), getattr(captures, name))
    assert read.notes == captures.notes
    assert read.measured is None
    assert read.kernels == 2
    assert (tmp_path / "c" / "more.txt").exists()
    assert read.of_part("test").image_ids.tolist() == ["test-00000", "test-00007"]


def test_what_was_not_measured_is_kept(tmp_path):
    measured = np.ones((2, 2, 4, 5), bool)
    measured[1, 0, 0] = False
    write_captures(replace(make_captures(), measured=measured), tmp_path / "c")
    np.testing.assert_array_equal(read_captures(tmp_path / "c").measured, measured)
    write_captures(replace(make_captures(), measured=measured[0]), tmp_path / "d")
    with pytest.raises(ArtefactError, match="do not fit one another"):
        read_captures(tmp_path / "d")


def test_a_write_that_fails_leaves_no_trace(tmp_path):
    def fail(part):
        raise OSError(28, "No space left on device")

    with pytest.raises(ArtefactError, match="No space left"):
        write_captures(make_captures(), tmp_path / "a" / "b" / "c", fail)
    assert not list(tmp_path.iterdir())
    write_captures(make_captures(), tmp_path / "a" / "b" / "c")
    assert len(read_captures(tmp_path / "a" / "b" / "c")) == 3


def test_a_taken_folder_is_refused(tmp_path):
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(ArtefactError, match="exists already"):
        write_captures(make_captures(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_arrays_that_do_not_fit_are_refused(tmp_path):
    write_captures(make_captures(), tmp_path / "c")
    path = tmp_path / "c" / "captures.npz"
    arrays = dict(np.load(path))
    np.savez(path, **arrays | {"gains": np.ones((3, 2))})
    with pytest.raises(ArtefactError, match="do not fit one another"):
        read_captures(tmp_path / "c")
    arrays.pop("quality")
    np.savez(path, **arrays)
    with pytest.raises(ArtefactError, match="lacks the array quality"):
        read_captures(tmp_path / "c")


def test_image_ids_name_images(bench):
    dataset = bench().design.dataset
    found = look_up(["test-00003", "student_train-00001"], dataset)
    assert torch.equal(found.images[0], dataset.test.images[3])
    assert torch.equal(found.labels, torch.stack([dataset.test.labels[3], dataset.train.labels[1]]))
    assert len(look_up([], dataset)) == 0
    with pytest.raises(DataError, match="numbers 0 to 11"):
        look_up(["test-00012"], dataset)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("positive", np.full((3, 2, 4, 5), np.nan)),
        ("negative", np.full((3, 2, 4, 5), "x")),
        ("gains", np.full((2, 2), np.inf)),
        ("quality", np.ones((2, 2)) * 1j),
        ("image_ids", np.arange(3)),
        ("measured", np.ones((2, 2, 4, 5))),
    ],
)
def test_values_that_are_no_numbers_are_refused(tmp_path, name, value):
    write_captures(make_captures(), tmp_path / "c")
    path = tmp_path / "c" / "captures.npz"
    np.savez(path, **dict(np.load(path)) | {name: value})
    with pytest.raises(ArtefactError, match="import it again"):
        read_captures(tmp_path / "c")


RUN = {"dataset": "d" * 64, "student": "s" * 64, "metasurface": None}


@pytest.mark.parametrize(
    ("stated", "found"),
    [
        (
            {"student": "t" * 64},
            "x was imported for the student tttttttttttt, and this run has the ",
        ),
        (
            {"dataset": "e" * 64},
            "the data set eeeeeeeeeeee, and this run has the data set ddddddddd",
        ),
        (
            {"metasurface": "m" * 64},
            "the metasurface mmmmmmmmmmmm, and this run has no metasurface",
        ),
    ],
)
def test_what_was_made_for_another_run_is_refused(stated, found):
    check_origin(RUN, RUN, "x was imported", "do so")
    check_origin({}, RUN, "x was imported", "do so")
    with pytest.raises(DataError, match=found):
        check_origin(RUN | stated, RUN, "x was imported", "do so")


@pytest.mark.parametrize("wrong", ["test", "test-", "train-3", "test-1x", "3", ""])
def test_other_ids_are_refused(wrong):
    with pytest.raises(DataError, match="no image id"):
        split_image_id(wrong)


@pytest.mark.parametrize("name", ["positive", "exposure_s", "gains", "image_ids"])
def test_single_numbers_in_place_of_arrays_are_refused(tmp_path, name):
    write_captures(make_captures(), tmp_path / "c")
    path = tmp_path / "c" / "captures.npz"
    np.savez(path, **dict(np.load(path)) | {name: np.float32(1)})
    with pytest.raises(ArtefactError, match=r"captures\.npz: .*import it again"):
        read_captures(tmp_path / "c")
