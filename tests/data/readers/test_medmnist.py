from pathlib import Path

import numpy as np
import pytest
import torch

from hybridonn.core.errors import DataError
from hybridonn.data.load import load_dataset
from hybridonn.data.readers.medmnist import CLASSES, KEYS, PARTS, read_medmnist
from hybridonn.data.readers.table import MEDMNIST_SETS
from hybridonn.spec import Data


def arrays(colour=False, classes=2, count=6, **changed):
    rng = np.random.default_rng(0)
    shape = (count, 5, 7, 3) if colour else (count, 5, 7)
    found = {f"{part}_images": rng.integers(0, 256, shape, np.uint8) for part in PARTS}
    labels = (np.arange(count) % classes).astype(np.uint8)[:, None]
    found |= {f"{part}_labels": labels for part in PARTS}
    return {name: one for name, one in (found | changed).items() if one is not None}


def write(path: Path, **keys) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **arrays(**keys))
    return path


def test_the_table_of_sets_is_the_table_of_classes():
    assert tuple(sorted(CLASSES)) == MEDMNIST_SETS


@pytest.mark.parametrize("place", ["pneumoniamnist/pneumoniamnist", "medmnist/pneumoniamnist"])
def test_a_named_set_has_its_parts_and_its_classes(tmp_path, place):
    write(tmp_path / f"{place}.npz")
    dataset = load_dataset(Data(name="pneumoniamnist"), tmp_path)
    assert dataset.classes == ("normal", "pneumonia")
    assert dataset.image_shape == (1, 5, 7)
    assert [len(part) for part in (dataset.train, dataset.validation, dataset.test)] == [6] * 3
    known = arrays()
    assert torch.equal(dataset.test.images[:, 0], torch.from_numpy(known["test_images"]))
    assert dataset.validation.labels.tolist() == known["val_labels"][:, 0].tolist()


def test_a_file_in_colour_is_named_by_its_path_or_its_folder(tmp_path):
    path = write(tmp_path / "mine.npz", colour=True, classes=3)
    write(tmp_path / "other.npz")
    for data in (
        Data(name="medmnist", folder=path),
        Data(name="medmnist", folder=tmp_path, variant="mine"),
    ):
        dataset = load_dataset(data)
        assert dataset.classes == ("0", "1", "2")
        assert dataset.image_shape == (3, 5, 7)
    known = torch.from_numpy(arrays(colour=True, classes=3)["train_images"])
    assert torch.equal(dataset.train.images, known.permute(0, 3, 1, 2))
    with pytest.raises(DataError, match=r"holds mine\.npz, other\.npz, and one npz file is"):
        load_dataset(Data(name="medmnist", folder=tmp_path))
    with pytest.raises(DataError, match=r"pneumoniamnist is not in .*put it there or name"):
        load_dataset(Data(name="pneumoniamnist"), tmp_path)


def test_the_size_in_a_name_does_not_hide_the_set(tmp_path):
    assert read_medmnist(write(tmp_path / "breastmnist_64.npz")).classes == CLASSES["breastmnist"]


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"val_images": None, "more": np.zeros(2)}, "lacks val_images and has more in excess"),
        ({"test_images": np.zeros((6, 5, 7, 7), np.uint8)}, r"test_images .* allowed are 2-D"),
        ({"train_images": np.zeros((6, 5, 7), np.float32)}, "of float32; allowed are 2-D"),
        ({"val_images": np.zeros((6, 5, 7, 3), np.uint8)}, "be all grey or all in colour"),
        ({"test_images": np.zeros((6, 5, 8), np.uint8)}, "all parts need one size"),
        ({"val_labels": np.zeros((6, 14), np.uint8)}, "has 14 labels an image; sets of several"),
        (
            {"test_labels": np.full((6, 1), 10**12)},
            r"class 2; its labels go up to 1000000000000",
        ),
        ({"val_labels": np.zeros((6, 1))}, "needs one class, a whole number"),
        ({"val_labels": np.full((6, 1), -1)}, "has the label -1"),
        ({"train_labels": np.zeros((6, 1), np.uint8)}, "has no training image of class 1"),
        ({"test_labels": np.full((6, 1), 200, np.uint8)}, "no training image of class 2"),
    ],
)
def test_another_layout_is_one_sentence(tmp_path, changed, fault):
    path = write(tmp_path / "bad.npz", **changed)
    with pytest.raises(DataError, match=fault) as refused:
        read_medmnist(path)
    assert "bad.npz" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_more_classes_than_the_set_of_that_name_has(tmp_path):
    path = write(tmp_path / "pneumoniamnist.npz", classes=3)
    with pytest.raises(DataError, match="has 2 classes, but has the label 2"):
        read_medmnist(path)


def test_all_keys_are_known():
    assert len(KEYS) == 6
