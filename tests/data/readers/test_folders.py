"""Links, double files and what is no file, in the folders of a set."""

import os
import socket

import pytest

from hybridonn.core.errors import DataError
from hybridonn.data.load import load_unsplit
from hybridonn.data.readers.folders import show_path
from hybridonn.data.readers.image_folder import list_image_folder, list_imagenet100
from hybridonn.data.readers.mask_folder import list_coco_stuff10k, list_dsb2018, list_mask_folder
from hybridonn.spec import Data


@pytest.fixture
def zoo(tmp_path, pictures):
    """Two classes of three images each."""
    pictures.classes(tmp_path / "zoo", count=3)
    return tmp_path / "zoo"


def test_a_class_and_a_picture_may_lie_elsewhere(tmp_path, pictures):
    pictures.classes(tmp_path / "store", ("a", "b", "c"), count=3)
    (tmp_path / "zoo" / "b").mkdir(parents=True)
    (tmp_path / "zoo" / "a").symlink_to("../store/a")
    (tmp_path / "zoo" / "b" / "one.png").symlink_to(tmp_path / "store" / "b" / "0.png")
    (tmp_path / "zoo" / "b" / "young").symlink_to(tmp_path / "store" / "c")
    listing = list_image_folder(tmp_path / "zoo")
    assert listing.faults == ()
    assert [item.label for item in listing.train] == [0, 0, 0, 1, 1, 1, 1]
    assert len(load_unsplit(Data(name="image_folder", folder=tmp_path / "zoo")).images) == 7


@pytest.mark.parametrize(
    ("place", "target"),
    [
        ("a/up", ".."),
        ("a/up", "../.."),
        ("a/self", "."),
        ("a/other", "../b"),
        ("c", "a"),
        ("a/deep/er", "../.."),
    ],
)
def test_links_that_lead_back_are_not_followed(zoo, place, target):
    (zoo / place).parent.mkdir(exist_ok=True)
    (zoo / place).symlink_to(target)
    listing = list_image_folder(zoo)
    assert len(listing.train) == 6
    assert [item.label for item in listing.train] == [0] * 3 + [1] * 3
    (fault,) = listing.faults
    assert f"{zoo / place} is a link to" in fault
    assert "take the link away" in fault


def test_links_between_folders_elsewhere_end(tmp_path, pictures, zoo):
    pictures.save(tmp_path / "one" / "x.png", seed=50)
    pictures.save(tmp_path / "two" / "y.png", seed=51)
    (tmp_path / "one" / "on").symlink_to(tmp_path / "two")
    (tmp_path / "two" / "back").symlink_to(tmp_path / "one")
    (zoo / "a" / "more").symlink_to(tmp_path / "one")
    (zoo / "b" / "again").symlink_to(tmp_path / "two")
    listing = list_image_folder(zoo)
    assert len(listing.train) == 8
    assert len(listing.faults) == 2


def test_the_same_file_twice(zoo):
    (zoo / "a" / "soft.png").symlink_to("0.png")
    os.link(zoo / "a" / "1.png", zoo / "a" / "hard.png")
    listing = list_image_folder(zoo)
    assert len(listing.train) == 6
    assert len(listing.faults) == 2
    assert all("is the same file as" in fault for fault in listing.faults)
    os.link(zoo / "a" / "2.png", zoo / "b" / "2b.png")  # under two labels: neither stays
    listing = list_image_folder(zoo)
    assert [item.image.name for item in listing.train] == [
        "0.png",
        "1.png",
        "0.png",
        "1.png",
        "2.png",
    ]
    assert sum("label or mask" in fault or "two labels" in fault for fault in listing.faults) == 2


@pytest.mark.parametrize("link", [os.link, os.symlink])
def test_a_test_picture_is_never_trained_on(tmp_path, pictures, link):
    pictures.classes(tmp_path / "train", count=4)
    pictures.classes(tmp_path / "test", count=2, size=(6, 8))
    for name in ("a", "b"):
        link(tmp_path / "test" / name / "0.png", tmp_path / "train" / name / "leak.png")
    listing = list_image_folder(tmp_path)
    assert len(listing.test) == 4
    assert len(listing.train) == 8
    assert len(listing.faults) == 2
    for fault in listing.faults:
        assert "(for train) is the same file as" in fault
        assert "(for test)" in fault


def test_parts_that_are_one_folder(tmp_path, pictures):
    pictures.classes(tmp_path / "train", count=4)
    (tmp_path / "test").symlink_to("train")
    with pytest.raises(DataError, match=r"train and .*test|test and .*train"):
        list_image_folder(tmp_path)
    (tmp_path / "test").unlink()
    (tmp_path / "test").symlink_to("gone")
    with pytest.raises(DataError, match=r"test is a link to nothing that is there"):
        list_image_folder(tmp_path)
    pictures.classes(tmp_path / "set" / "train.X1", count=2)
    (tmp_path / "set" / "train.X2").symlink_to("train.X1")
    with pytest.raises(DataError, match=r"train.X2 and .*train.X1 are the same folder"):
        list_imagenet100(tmp_path / "set")


def test_what_is_no_file(zoo):
    os.mkfifo(zoo / "a" / "pipe.png")
    (zoo / "a" / "gone.png").symlink_to("nothing.png")
    (zoo / "a" / "round.png").symlink_to("round.png")
    (zoo / "b" / "zero.png").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as one:
        place = os.open(zoo / "b", os.O_RDONLY)
        one.bind(f"/proc/self/fd/{place}/s.png")
        os.close(place)
    listing = list_image_folder(zoo)
    assert len(listing.train) == 6
    faults = "\n".join(listing.faults)
    for words in (
        "pipe.png is neither a file nor a folder",
        "zero.png is neither a file nor a folder",
        "s.png is neither a file nor a folder",
        "gone.png is a link to nothing",
        "round.png is a link",
    ):
        assert words in faults
    assert len(listing.faults) == 5


def test_names_that_are_no_text(zoo, pictures):
    pictures.save(zoo / os.fsdecode(b"caf\xe9") / "0.png")
    pictures.save(zoo / "a" / "line\nbreak.png")
    listing = list_image_folder(zoo)
    assert listing.classes == ("a", "b")
    assert len(listing.train) == 6
    assert all("not UTF-8, or holds control characters; rename it" in f for f in listing.faults)
    assert {r"caf\xe9" in fault for fault in listing.faults} == {True, False}
    "\n".join(listing.faults).encode()  # what is shown can be shown anywhere
    assert show_path(zoo / "é") == f"{zoo}/é"


def test_masks_by_links(tmp_path, pictures):
    pictures.masks(tmp_path, count=4)
    (tmp_path / "images" / "p9.png").symlink_to("p0.png")
    os.link(tmp_path / "masks" / "p0.png", tmp_path / "masks" / "p9.png")
    (tmp_path / "images" / "p8.png").symlink_to("../masks/p8.png")
    pictures.save_mask(tmp_path / "masks" / "p8.png")
    listing = list_mask_folder(tmp_path)
    assert "p8.png and its mask are one file" in "\n".join(listing.faults)
    assert len(listing.train) == 3  # p0 and p9 are one image with two masks' names
    (tmp_path / "other" / "images").mkdir(parents=True)
    (tmp_path / "other" / "masks").symlink_to("images")
    with pytest.raises(DataError, match="are the same folder"):
        list_mask_folder(tmp_path / "other")


def test_a_nucleus_folder_that_leads_up(tmp_path, pictures):
    for key in ("k1", "k2"):
        pictures.save(tmp_path / key / "images" / f"{key}.png", seed=int(key[1]))
        pictures.save_mask(tmp_path / key / "masks" / "0.png")
    (tmp_path / "k3").symlink_to("k1")
    listing = list_dsb2018(tmp_path)
    assert len(listing.train) == 2
    assert len(listing.faults) == 1


@pytest.mark.parametrize(
    "name", ["../images/x", "/etc/passwd", "sub/../../x", "a\\b", "..", "x\0y"]
)
def test_lists_that_leave_their_folder(tmp_path, pictures, name):
    (tmp_path / "annotations").mkdir()
    (tmp_path / "imageLists").mkdir()
    pictures.save(tmp_path / "images" / "x.jpg")
    (tmp_path / "annotations" / "x.mat").write_bytes(b"")
    (tmp_path / "imageLists" / "train.txt").write_text(f"x\n{name}\n{'y' * 5000}\n")
    (tmp_path / "imageLists" / "test.txt").write_text("")
    listing = list_coco_stuff10k(tmp_path)
    assert [item.image.name for item in listing.train] == ["x.jpg"]
    assert len(listing.faults) == 2
    assert all("which is no name of an image" in fault for fault in listing.faults)
    (tmp_path / "imageLists" / "test.txt").write_text("x\n")
    listing = list_coco_stuff10k(tmp_path)  # in both lists: it is for testing
    assert (len(listing.train), len(listing.test)) == (0, 1)
    (tmp_path / "imageLists" / "test.txt").unlink()
    os.mkfifo(tmp_path / "imageLists" / "test.txt")
    with pytest.raises(DataError, match=r"test.txt is no file"):
        list_coco_stuff10k(tmp_path)


def test_what_systems_leave_behind_is_no_fault(zoo):
    for name in ("Thumbs.db", "desktop.ini", ".DS_Store"):
        (zoo / "a" / name).write_bytes(b"")
    (zoo / "__MACOSX").mkdir()
    listing = list_image_folder(zoo)
    assert listing.faults == ()
    assert listing.classes == ("a", "b")
