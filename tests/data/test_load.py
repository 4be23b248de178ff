import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from hybridonn.core.errors import DataError, SpecError
from hybridonn.data import load_dataset
from hybridonn.spec import Data


def write_folder(idx, folder, with_test=True):
    train = idx.write_set(folder, count=60)
    if not with_test:
        return train, None
    names = ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
    return train, idx.write_set(folder, *names, count=12, seed=1)


def test_the_digits_by_default():
    dataset = load_dataset(Data())
    assert dataset.name == "digits"
    assert dataset.image_shape == (1, 8, 8)
    # 1797 images: round(0.2 * 1797) for test, round(0.1 * 1438) for validation.
    assert [len(part) for part in (dataset.train, dataset.validation, dataset.test)] == [
        1294,
        144,
        359,
    ]
    assert dataset.student_train is dataset.train
    assert dataset.train.images.dtype == torch.uint8
    counts = torch.bincount(dataset.test.labels)
    assert (counts - torch.bincount(dataset.train.labels) * 359 / 1294).abs().max() < 2


def test_the_folders_own_test_part_is_the_test_set(tmp_path, idx):
    (train, _), (test, labels) = write_folder(idx, tmp_path / "clothes")
    dataset = load_dataset(Data(name="idx", folder=tmp_path / "clothes"))
    assert dataset.name == "clothes"
    np.testing.assert_array_equal(dataset.test.images[:, 0].numpy(), test)
    np.testing.assert_array_equal(dataset.test.labels.numpy(), labels)
    assert len(dataset.train) + len(dataset.validation) == len(train)


def test_without_a_test_part_it_is_split_off(tmp_path, idx):
    (train, labels), _ = write_folder(idx, tmp_path, with_test=False)
    data = Data(name="idx", folder=tmp_path, test_fraction=0.3, validation_fraction=0.5)
    dataset = load_dataset(data)
    parts = (dataset.train, dataset.validation, dataset.test)
    assert [len(part) for part in parts] == [21, 21, 18]
    # Every image is there once, with its own label.
    pairs = {image.tobytes(): label for image, label in zip(train, labels, strict=True)}
    seen = [
        (image.numpy().tobytes(), int(label))
        for part in parts
        for image, label in zip(part.images, part.labels, strict=True)
    ]
    assert dict(seen) == pairs
    assert len(seen) == len(train)


def test_transposed_images(tmp_path, idx):
    write_folder(idx, tmp_path)
    plain = load_dataset(Data(name="idx", folder=tmp_path))
    turned = load_dataset(Data(name="idx", folder=tmp_path, transpose=True))
    assert plain.image_shape == (1, 4, 5)
    assert turned.image_shape == (1, 5, 4)
    for part in ("train", "validation", "test"):
        before, after = getattr(plain, part), getattr(turned, part)
        assert torch.equal(after.images, before.images.transpose(2, 3))
        assert torch.equal(after.labels, before.labels)
    assert plain.checksum != turned.checksum


def test_checksums_follow_content_and_split(tmp_path, idx):
    write_folder(idx, tmp_path)
    base = {"name": "idx", "folder": tmp_path}
    plain = load_dataset(Data(**base))
    again = load_dataset(Data(**base))
    assert (plain.checksum, plain.teacher_checksum) == (again.checksum, again.teacher_checksum)
    assert len(plain.checksum) == len(plain.teacher_checksum) == 64
    for changed in ({"split_seed": 1}, {"validation_fraction": 0.2}):
        other = load_dataset(Data(**base, **changed))
        assert other.checksum != plain.checksum
        assert other.teacher_checksum != plain.teacher_checksum
    # The folder has a test part, so this fraction changes nothing.
    assert load_dataset(Data(**base, test_fraction=0.5)).checksum == plain.checksum
    idx.write_set(tmp_path, count=60, seed=5)
    assert load_dataset(Data(**base)).checksum != plain.checksum


def test_one_teacher_serves_every_number_of_train_images():
    whole, some, few = (load_dataset(Data(train_images=number)) for number in (None, 200, 50))
    assert len({whole.checksum, some.checksum, few.checksum}) == 3
    assert len({whole.teacher_checksum, some.teacher_checksum, few.teacher_checksum}) == 1
    assert (len(some.student_train), len(few.student_train)) == (200, 50)
    larger = {image.numpy().tobytes() for image in some.student_train.images}
    assert {image.numpy().tobytes() for image in few.student_train.images} <= larger


def test_a_variant_belongs_to_a_folder():
    with pytest.raises(SpecError, match=r"data.variant is letters with data.name: digits"):
        load_dataset(Data(variant="letters"))


def test_too_many_train_images():
    with pytest.raises(DataError, match=r"data.train_images is 5000; .* to 1294"):
        load_dataset(Data(train_images=5000))


def test_importing_the_room_imports_no_heavy_package():
    code = (
        "import sys, hybridonn.data; "
        "print([name for name in ('pooch', 'requests', 'sklearn', 'scipy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_real_mnist(real_data_root):
    dataset = load_dataset(Data(name="mnist", train_images=1000), real_data_root)
    assert dataset.name == "mnist"
    assert dataset.classes == tuple("0123456789")
    assert dataset.image_shape == (1, 28, 28)
    parts = (dataset.train, dataset.student_train, dataset.validation, dataset.test)
    assert [len(part) for part in parts] == [54000, 1000, 6000, 10000]
    together = torch.cat([dataset.train.labels, dataset.validation.labels])
    published = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert torch.bincount(together).tolist() == published
    share = torch.tensor(published) / 60
    assert (torch.bincount(dataset.student_train.labels) - share).abs().max() < 1.1


@pytest.mark.parametrize(
    ("classes", "words"),
    [
        (("a", "b\nc"), r"the name of the class 'b\\nc' is empty, not UTF-8, or holds control"),
        (("a", ""), "the name of the class '' is empty"),
        (("a", "a"), "two classes of .* are called a"),
    ],
)
def test_names_of_classes_can_be_shown_and_told_apart(tmp_path, pictures, classes, words):
    pictures.masks(tmp_path, count=4)
    data = Data(name="mask_folder", folder=tmp_path, mask_classes=classes)
    with pytest.raises(DataError, match=words):
        load_dataset(data)


def test_a_folder_whose_name_is_no_text(tmp_path, pictures):
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    pictures.classes(folder)
    with pytest.raises(DataError, match=r"the path of the folder .*caf.xe9 is not UTF-8"):
        load_dataset(Data(name="image_folder", folder=folder))
    (tmp_path / "link").symlink_to(folder)
    with pytest.raises(DataError, match=r"the name of the set 'caf.xe9' is empty, not UTF-8"):
        load_dataset(Data(name="image_folder", folder=tmp_path / "link"))
