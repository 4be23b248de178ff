import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from hybridonn.core.errors import DataError
from hybridonn.core.progress import Silent
from hybridonn.data.load import load_dataset, load_unsplit
from hybridonn.spec import Data


def own(folder, name="image_folder", **keys) -> Data:
    return Data(name=name, folder=folder, **keys)


def stored(cache):
    return sorted(path.parent for path in cache.rglob("record.json"))


class Counting(Silent):
    def __init__(self):
        self.bars = []

    def bar(self, label, total, done=0):
        self.bars.append((label, total))
        return super().bar(label, total, done)


def test_pictures_are_decoded_once(tmp_path, pictures, cache):
    pictures.classes(tmp_path / "set")
    shown, again = Counting(), Counting()
    first = load_dataset(own(tmp_path / "set"), progress=shown)
    assert shown.bars == [("look at set", 10), ("read set", 10)]
    second = load_dataset(own(tmp_path / "set"), progress=again)
    assert again.bars == []
    assert second.checksum == first.checksum
    (folder,) = stored(cache)
    assert sorted(path.name for path in folder.iterdir()) == ["images.npy", "record.json"]
    assert not [one for one in cache.rglob(".*") if one.name != ".lock"]


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="only Linux lists what is mapped")
def test_stored_arrays_are_mapped_and_never_changed(tmp_path, pictures, cache):
    pictures.masks(tmp_path / "set")
    data = own(tmp_path / "set", "mask_folder")
    unsplit = load_unsplit(data)
    files = {str(path) for path in cache.rglob("*.npy")}
    assert len(files) == 2
    assert all(path in Path("/proc/self/maps").read_text() for path in files)
    before = unsplit.images.images.clone()
    unsplit.images.images.zero_()
    unsplit.images.labels.fill_(9)
    fresh = load_unsplit(data)
    assert torch.equal(fresh.images.images, before)
    assert fresh.images.labels.max() == 1


def test_whatever_changes_the_pictures_makes_them_anew(tmp_path, pictures, cache):
    root = tmp_path / "set"
    pictures.classes(root)
    base = load_dataset(own(root))
    for number, keys in enumerate(
        ({"colour": "grey"}, {"size_pixels": 4}, {"size_pixels": 4, "resize": "pad"}), start=2
    ):
        assert load_dataset(own(root, **keys)).checksum != base.checksum
        assert len(stored(cache)) == number
    # What only splits them does not.
    load_dataset(own(root, split_seed=3, validation_fraction=0.4))
    assert len(stored(cache)) == 4
    # The same size and time, another name; then another time.
    (root / "a" / "0.png").rename(root / "a" / "9.png")
    load_dataset(own(root))
    assert len(stored(cache)) == 5
    os.utime(root / "a" / "9.png", ns=(1, 1))
    load_dataset(own(root))
    assert len(stored(cache)) == 6


@pytest.mark.parametrize("damage", ["byte", "half", "gone", "record"])
def test_a_damaged_store_is_made_again(tmp_path, pictures, cache, damage):
    pictures.classes(tmp_path / "set")
    first = load_dataset(own(tmp_path / "set")).checksum
    (folder,) = stored(cache)
    path = folder / ("record.json" if damage == "record" else "images.npy")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content if damage == "byte" else content[: len(content) // 2])
    if damage == "gone":
        path.unlink()
    shown = Counting()
    assert load_dataset(own(tmp_path / "set"), progress=shown).checksum == first
    assert len(shown.bars) == 2
    assert len(stored(cache)) == 1


def test_a_cache_that_cannot_be_written(tmp_path, pictures, monkeypatch):
    pictures.classes(tmp_path / "set")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HYBRIDONN_CACHE", str(tmp_path / "file"))
    with pytest.raises(DataError, match=r"cannot keep the decoded images.*HYBRIDONN_CACHE"):
        load_dataset(own(tmp_path / "set"))


def test_bad_files_are_all_named_and_none_is_dropped(tmp_path, pictures):
    root = tmp_path / "set"
    pictures.masks(root, count=12)
    whole = load_unsplit(own(root, "mask_folder"))
    (root / "images" / "p1.png").write_bytes(b"no image")
    (root / "masks" / "p4.png").write_bytes((root / "masks" / "p4.png").read_bytes()[:40])
    pictures.save_mask(root / "masks" / "p7.png", size=(6, 9))
    Image.fromarray(np.full((6, 8), 9, np.uint8)).save(root / "masks" / "p8.png")
    pictures.save(root / "images" / "p9.png", size=(7, 8))
    with pytest.raises(DataError) as caught:
        load_dataset(own(root, "mask_folder"))
    message = str(caught.value)
    words = (
        "has 5 faults",
        "images/p1.png is damaged or no image",
        "masks/p4.png is damaged or no image",
        "masks/p7.png is 6 x 9 pixels, but its image p7.png is 6 x 8",
        "masks/p8.png holds the values 9",
        "images/p9.png is 7 x 8 pixels, in colour; most are 6 x 8; set data.size_pixels",
    )
    for word in words:
        assert word in message
    # The same again, from the store.
    with pytest.raises(DataError) as caught:
        load_dataset(own(root, "mask_folder"))
    assert str(caught.value) == message
    lenient = load_unsplit(own(root, "mask_folder", skip_bad=True))
    assert len(lenient.skipped) == 5
    order = sorted(f"p{number}" for number in range(12))
    kept = [order.index(f"p{number}") for number in (0, 10, 11, 2, 3, 5, 6)]
    assert torch.equal(lenient.images.images, whole.images.images[kept])
    assert torch.equal(lenient.images.labels, whole.images.labels[kept])
    assert load_dataset(own(root, "mask_folder", skip_bad=True)).skipped == lenient.skipped


def test_bad_pictures_leave_each_part_with_its_own(tmp_path, pictures):
    for part, count in (("train", 4), ("val", 3), ("test", 2)):
        pictures.classes(tmp_path / part, count=count)
    for path in ("train/a/0.png", "val/b/2.png", "test/a/1.png"):
        (tmp_path / path).write_bytes(b"")
    unsplit = load_unsplit(own(tmp_path, skip_bad=True))
    labels = {name: part.labels.tolist() for name, part in unsplit.parts().items()}
    assert labels == {
        "images": [0, 0, 0, 1, 1, 1, 1],
        "validation": [0, 0, 0, 1, 1],
        "test": [0, 1, 1],
    }
    first = np.asarray(Image.open(tmp_path / "test" / "a" / "0.png")).transpose(2, 0, 1)
    assert unsplit.test is not None
    np.testing.assert_array_equal(unsplit.test.images[0].numpy(), first)


def test_grey_among_colours_is_refused_or_converted(tmp_path, pictures):
    pictures.classes(tmp_path, count=5)
    pictures.save(tmp_path / "a" / "3.png", mode="L")
    words = r"a/3.png is 6 x 8 pixels, grey; most are in colour; set data.colour to rgb or grey"
    with pytest.raises(DataError, match=words):
        load_dataset(own(tmp_path))
    assert load_dataset(own(tmp_path, colour="rgb")).image_shape == (3, 6, 8)
    assert load_dataset(own(tmp_path, colour="grey")).image_shape == (1, 6, 8)
    assert len(load_unsplit(own(tmp_path, skip_bad=True)).images) == 9


def test_grey_pictures_stay_grey(tmp_path, pictures):
    pictures.classes(tmp_path, mode="L")
    assert load_dataset(own(tmp_path)).image_shape == (1, 6, 8)


def test_of_many_faults_the_first_are_shown(tmp_path, pictures):
    pictures.classes(tmp_path, count=30)
    for number in range(25):
        (tmp_path / "a" / f"{number}.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"and 5 more; `hybridonn data check` lists all"):
        load_dataset(own(tmp_path))


def test_nothing_left(tmp_path, pictures):
    pictures.masks(tmp_path / "m", count=3)
    for number in range(3):
        (tmp_path / "m" / "images" / f"p{number}.png").write_bytes(b"")
    with pytest.raises(DataError, match="no image is left"):
        load_dataset(own(tmp_path / "m", "mask_folder", skip_bad=True))
    for folder in ("images", "masks"):
        (tmp_path / "none" / folder).mkdir(parents=True)
    with pytest.raises(DataError, match="there is no image to read"):
        load_dataset(own(tmp_path / "none", "mask_folder", skip_bad=True))


def test_most_pictures_alike_decide_when_no_size_and_depth_go_together(tmp_path, pictures):
    # Most are in colour, and the commonest size is that of the grey ones.
    pictures.classes(tmp_path, count=1, mode="L")
    for number, name in enumerate(("a", "b", "a"), start=1):
        pictures.save(tmp_path / name / f"odd{number}.png", size=(6 + number, 8))
    unsplit = load_unsplit(own(tmp_path, skip_bad=True))
    assert unsplit.images.images.shape == (2, 1, 6, 8)
    assert len(unsplit.skipped) == 3


def test_a_disk_that_is_too_small_is_not_filled(tmp_path, pictures, cache, monkeypatch):
    pictures.masks(tmp_path / "set", count=8)
    usage = shutil.disk_usage(tmp_path)._replace(free=8 * 6 * 8 * 4 - 1)  # three colours, a mask
    monkeypatch.setattr("hybridonn.data.readers.gather.shutil.disk_usage", lambda folder: usage)
    with pytest.raises(DataError, match=r"take 1.54 kB, and .* has 1.53 kB; set a smaller"):
        load_dataset(own(tmp_path / "set", "mask_folder"))
    assert not list(cache.rglob("*.npy"))


def test_images_of_many_sizes_are_one_fault(tmp_path, cache):
    for number in range(6):
        folder = tmp_path / "set" / "ab"[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("L", (9 + number, 8)).save(folder / f"{number}.png")
    words = "set has images of 6 sizes, from 8 x 9 to 8 x 14 pixels; set data.size_pixels"
    with pytest.raises(DataError, match=words):
        load_unsplit(own(tmp_path / "set", skip_bad=True))
