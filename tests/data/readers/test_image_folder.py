import json
import shutil

import pytest
import torch

from hybridonn.core.errors import DataError
from hybridonn.data.load import load_dataset, load_unsplit
from hybridonn.data.readers.image_folder import list_image_folder, list_imagenet100
from hybridonn.spec import Data


def own(folder, **keys) -> Data:
    return Data(name="image_folder", folder=folder, **keys)


def test_a_class_a_folder(tmp_path, pictures):
    pictures.classes(tmp_path / "zoo", ("zebra", "ape"), count=6)
    inner = pictures.save(tmp_path / "zoo" / "ape" / "young" / "more.png", seed=7)
    (tmp_path / "zoo" / ".DS_Store").write_text("")
    (tmp_path / "zoo" / "ape" / ".hidden").write_text("")
    (tmp_path / "zoo" / "README.txt").write_text("beside the classes: left alone")
    dataset = load_dataset(own(tmp_path / "zoo"))
    assert dataset.name == "zoo"
    assert dataset.classes == ("ape", "zebra")
    assert dataset.image_shape == (3, 6, 8)
    assert dataset.skipped == ()
    whole = load_unsplit(own(tmp_path / "zoo")).images
    assert whole.labels.tolist() == [0] * 7 + [1] * 6
    assert torch.equal(whole.images[6], torch.from_numpy(inner).permute(2, 0, 1))


@pytest.mark.parametrize(
    ("others", "parts"),
    [
        (("test",), {"test": "test"}),
        (("val",), {"test": "val"}),
        (("Validation", "Test"), {"validation": "Validation", "test": "Test"}),
    ],
)
def test_the_parts_of_the_folder(tmp_path, pictures, others, parts):
    pictures.classes(tmp_path / "train", count=6)
    for number, name in enumerate(others):
        pictures.classes(tmp_path / name, count=2 + number, size=(6, 8))
    listing = list_image_folder(tmp_path)
    for part in ("validation", "test"):
        folders = {item.image.parents[1].name for item in getattr(listing, part)}
        assert folders == ({parts[part]} if part in parts else set())
    dataset = load_dataset(own(tmp_path))
    assert len(dataset.test) == 2 * (1 + len(others))
    whole = len(dataset.train) + len(dataset.validation)
    assert whole == (12 if len(others) == 1 else 12 + 4)


def test_what_is_wrong_is_named_file_by_file(tmp_path, pictures):
    pictures.classes(tmp_path / "train", ("a", "b", "c"), count=5)
    pictures.classes(tmp_path / "test", ("a", "b"), count=1)
    (tmp_path / "train" / "empty").mkdir()
    (tmp_path / "train" / "a" / "notes.txt").write_text("")
    pictures.save(tmp_path / "train" / "loose.png")
    pictures.save(tmp_path / "test" / "odd" / "0.png")
    words = (
        r"the class folder \S*empty is empty",
        r"a/notes.txt is not an image",
        r"train/loose.png lies beside the class folders",
        r"test/odd/0.png is of class odd, which has no training images",
        r"test has no images of class c",
    )
    for word in words:
        with pytest.raises(DataError, match=word):
            load_dataset(own(tmp_path))
    dataset = load_dataset(own(tmp_path, skip_bad=True))
    assert len(dataset.skipped) == 5
    assert dataset.classes == ("a", "b", "c")
    assert len(dataset.test) == 2


def test_folders_that_hold_no_set(tmp_path, pictures):
    with pytest.raises(DataError, match=r"cannot read the folder .*No such file"):
        list_image_folder(tmp_path / "none")
    with pytest.raises(DataError, match="holds no folder with images"):
        list_image_folder(tmp_path)
    pictures.classes(tmp_path, ("only",))
    with pytest.raises(DataError, match="holds the one class only"):
        list_image_folder(tmp_path)


@pytest.mark.parametrize("passed_on", [False, True])
def test_imagenet100(tmp_path, pictures, passed_on):
    names = {"n01440764": "tench, Tinca tinca", "n01443537": "goldfish", "n01484850": "shark"}
    root = tmp_path / "imagenet100"
    if passed_on:
        pictures.classes(root / "train.X1", list(names)[:2])
        pictures.classes(root / "train.X2", list(names)[2:])
        (root / "Labels.json").write_text(json.dumps(names))
    else:
        pictures.classes(root / "train", list(names))
    pictures.classes(root / ("val.X" if passed_on else "val"), list(names), count=2)
    dataset = load_dataset(Data(name="imagenet100"), tmp_path)
    assert dataset.name == "imagenet100"
    assert dataset.classes == (("tench", "goldfish", "shark") if passed_on else tuple(names))
    assert len(dataset.test) == 6
    assert len(dataset.train) + len(dataset.validation) == 15
    if passed_on:
        (root / "Labels.json").write_text('{"n01440764": "tench"}')
        with pytest.raises(DataError, match=r"Labels.json does not name every class"):
            list_imagenet100(root)
        (root / "Labels.json").write_text(json.dumps(dict.fromkeys(names, "crane")))
        assert list_imagenet100(root).classes == tuple(names)
        shutil.rmtree(root / "val.X")
        assert list_imagenet100(root).test == ()


def test_a_set_that_is_not_there(tmp_path):
    with pytest.raises(DataError, match=r"imagenet100 is not in .*data.folder.*--data-root"):
        load_dataset(Data(name="imagenet100"), tmp_path)
