import hashlib
import io
import pickle
import tarfile

import numpy as np
import pytest

from hybridonn.core.errors import DataError
from hybridonn.data.load import load_dataset, load_unsplit
from hybridonn.data.readers.cifar import CIFAR10_CLASSES, LAYOUTS
from hybridonn.data.readers.sources import CIFAR10, CIFAR100, RemoteFile, Source
from hybridonn.spec import Data

COUNT = 40  # records of a batch


def draw(name, seed=0):
    generator = np.random.default_rng(seed)
    classes = 10 if name == "cifar10" else 100
    labels = (np.arange(COUNT) + COUNT * seed) % classes
    return generator.integers(0, 256, (COUNT, 3072)).astype(np.uint8), labels.astype(np.uint8)


def write(name, folder, python):
    """Write every batch of a set in an official layout; return pixels and labels, the test last."""
    layout = LAYOUTS[name][python]
    folder.mkdir(parents=True, exist_ok=True)
    batches = [draw(name, seed) for seed in range(len(layout.pictures))]
    for file, (pixels, labels) in zip(layout.pictures, batches, strict=True):
        if python:
            content = {"data": pixels, layout.key: labels.tolist(), "filenames": ["x"]}
            (folder / file).write_bytes(pickle.dumps(content, 2))
        else:
            columns = [labels] if name == "cifar10" else [labels // 5, labels]
            np.c_[(*columns, pixels)].astype(np.uint8).tofile(folder / file)
    return batches


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
@pytest.mark.parametrize("python", [False, True])
def test_the_official_layouts(tmp_path, name, python):
    layout = LAYOUTS[name][python]
    *train, (test, test_labels) = write(name, tmp_path / layout.folder, python)
    for data, root in (
        (Data(name=name), tmp_path),
        (Data(name=name, folder=tmp_path), None),
        (Data(name=name, folder=tmp_path / layout.folder), None),
    ):
        unsplit = load_unsplit(data, root)
        pixels = np.concatenate([batch[0] for batch in train]).reshape(-1, 3, 32, 32)
        labels = np.concatenate([batch[1] for batch in train])
        np.testing.assert_array_equal(unsplit.images.images.numpy(), pixels)
        np.testing.assert_array_equal(unsplit.images.labels.numpy(), labels)
        assert unsplit.test is not None
        np.testing.assert_array_equal(unsplit.test.images.numpy(), test.reshape(-1, 3, 32, 32))
        np.testing.assert_array_equal(unsplit.test.labels.numpy(), test_labels)
        assert len(unsplit.classes) == (10 if name == "cifar10" else 100)


def test_the_classes_names(tmp_path):
    folder = tmp_path / "cifar-10-batches-bin"
    write("cifar10", folder, python=False)
    assert load_unsplit(Data(name="cifar10"), tmp_path).classes == CIFAR10_CLASSES
    names = [f"name{number}" for number in range(10)]
    (folder / "batches.meta.txt").write_text("\n".join(names) + "\n\n")
    assert load_unsplit(Data(name="cifar10"), tmp_path).classes == tuple(names)
    (folder / "batches.meta.txt").write_text("cat\ndog\n")
    with pytest.raises(DataError, match=r"batches.meta.txt names 2 classes; cifar10 has 10"):
        load_unsplit(Data(name="cifar10"), tmp_path)
    write("cifar100", tmp_path, python=True)
    meta = {"fine_label_names": [f"f{number}" for number in range(100)]}
    (tmp_path / "meta").write_bytes(pickle.dumps(meta, 2))
    assert load_unsplit(Data(name="cifar100", folder=tmp_path)).classes[99] == "f99"


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), r"not a whole number of records"),
        (lambda path: path.write_bytes(b""), r"holds 0 bytes"),
        (lambda path: path.unlink(), r"lacks data_batch_3.bin"),
        (
            lambda path: path.write_bytes(b"\x0a" + path.read_bytes()[1:]),
            r"data_batch_3.bin holds labels from 0 to 10; 0 to 9 are allowed",
        ),
    ],
)
def test_damaged_batches_are_named(tmp_path, damage, words):
    write("cifar10", tmp_path / "cifar-10-batches-bin", python=False)
    damage(tmp_path / "cifar-10-batches-bin" / "data_batch_3.bin")
    with pytest.raises(DataError, match=words):
        load_unsplit(Data(name="cifar10"), tmp_path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"data": np.zeros((2, 3072), np.uint8)}, "a python batch has data and labels"),
        ({"data": np.zeros((2, 3071), np.uint8), "labels": [1, 2]}, r"shape \(2, 3071\)"),
        ({"data": np.zeros((2, 3072), np.uint8), "labels": [1]}, "and 1 labels"),
        ({"data": np.zeros((1, 3072), np.uint8), "labels": ["cat"]}, "no integers"),
    ],
)
def test_python_batches_that_hold_something_else(tmp_path, content, words):
    write("cifar10", tmp_path, python=True)
    (tmp_path / "data_batch_2").write_bytes(pickle.dumps(content, 2))
    with pytest.raises(DataError, match=words):
        load_unsplit(Data(name="cifar10", folder=tmp_path))


def test_a_folder_without_the_set(tmp_path):
    with pytest.raises(DataError, match=r"does not hold cifar10: looked for cifar-10-batches-bin"):
        load_unsplit(Data(name="cifar10", folder=tmp_path))


def test_an_archive_is_verified_and_only_what_is_needed_is_unpacked(tmp_path):
    held, folder = tmp_path / "held", tmp_path / "root" / "cifar10"
    batches = write("cifar10", held, python=False)
    (held / "batches.meta.txt").write_text("\n".join(CIFAR10_CLASSES))
    folder.mkdir(parents=True)
    path = folder / "cifar-10-binary.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for file in held.iterdir():
            archive.add(file, f"cifar-10-batches-bin/{file.name}")
        evil = tarfile.TarInfo("../../evil")
        evil.size = 3
        archive.addfile(evil, io.BytesIO(b"bad"))
    with pytest.raises(DataError, match=r"tar.gz is damaged or another file"):
        load_unsplit(Data(name="cifar10"), tmp_path / "root")
    md5 = hashlib.md5(path.read_bytes()).hexdigest()
    source = Source("cifar10", (), (RemoteFile(path.name, path.stat().st_size, md5),))
    dataset = load_dataset(Data(name="cifar10"), tmp_path / "root", sources={"cifar10": source})
    np.testing.assert_array_equal(dataset.test.images.numpy().reshape(COUNT, -1), batches[-1][0])
    unpacked = sorted(path.name for path in folder.iterdir())
    assert unpacked == ["cifar-10-batches-bin", "cifar-10-binary.tar.gz"]
    assert not list(tmp_path.rglob("evil"))


def test_the_checksums_are_the_authors():
    assert CIFAR10.files[0].md5 == "c32a1d4ab5d03f1284b67883e8d87530"
    assert CIFAR100.files[0].md5 == "03b5dce01913d631647c71ecec9e9cb8"


def test_size_and_colour_as_the_spec_asks(tmp_path):
    write("cifar10", tmp_path, python=False)
    grey = load_dataset(Data(name="cifar10", folder=tmp_path, colour="grey", size_pixels=(16, 48)))
    assert grey.image_shape == (1, 16, 48)
    colour = load_dataset(Data(colour="rgb", size_pixels=12))
    assert colour.image_shape == (3, 12, 12)
    assert colour.train.labels.equal(load_dataset(Data()).train.labels)


def test_the_real_cifar10(unpacked_data_root):
    dataset = load_dataset(Data(name="cifar10", train_images=5000), unpacked_data_root)
    parts = (dataset.train, dataset.student_train, dataset.validation, dataset.test)
    assert [len(part) for part in parts] == [45000, 5000, 5000, 10000]
    assert dataset.classes == CIFAR10_CLASSES
    assert np.bincount(dataset.test.labels.numpy()).tolist() == [1000] * 10
    assert np.bincount(dataset.student_train.labels.numpy()).tolist() == [500] * 10
    # Means over the whole training set that every paper quotes: 0.4914, 0.4822, 0.4465.
    both = np.concatenate([dataset.train.images.numpy(), dataset.validation.images.numpy()])
    np.testing.assert_allclose(both.mean((0, 2, 3)) / 255, [0.4914, 0.4822, 0.4465], atol=2e-4)


@pytest.mark.parametrize("python", [False, True])
def test_names_that_are_no_text(tmp_path, python):
    folder = tmp_path / LAYOUTS["cifar10"][python].folder
    write("cifar10", folder, python)
    path = folder / LAYOUTS["cifar10"][python].names
    odd = b"caf\xe9"
    for content in ([odd] * 10, odd, 3, [[1]] * 10):
        if not python:
            path.write_bytes(b"\n".join([odd] * 10))
        else:
            path.write_bytes(pickle.dumps({"label_names": content}, 4))
        with pytest.raises(DataError, match=r"batches.meta\S* (is not UTF-8|holds no list)"):
            load_unsplit(Data(name="cifar10"), tmp_path)
    path.write_bytes(b"\n".join([b"cat"] * 10))
    if not python:
        with pytest.raises(DataError, match="two classes of cifar10 are called cat"):
            load_unsplit(Data(name="cifar10"), tmp_path)


def test_a_test_batch_that_is_a_training_batch(tmp_path):
    folder = tmp_path / "cifar-10-batches-bin"
    write("cifar10", folder, python=False)
    (folder / "test_batch.bin").unlink()
    (folder / "test_batch.bin").hardlink_to(folder / "data_batch_3.bin")
    with pytest.raises(DataError, match=r"test_batch.bin and .*data_batch_3.bin are the same file"):
        load_unsplit(Data(name="cifar10"), tmp_path)


def test_records_that_the_memory_does_not_hold(tmp_path):
    folder = tmp_path / "cifar-10-batches-bin"
    write("cifar10", folder, python=False)
    with (folder / "data_batch_1.bin").open("wb") as file:
        file.truncate(3073 << 30)
    with pytest.raises(DataError, match=r"to read .*data_batch_1.bin takes 9.9 TB of memory"):
        load_unsplit(Data(name="cifar10"), tmp_path)
