import numpy as np
import pytest

from hybridonn.core.errors import DataError
from hybridonn.data.readers.idx_folder import find_idx_files, read_idx_folder

EMNIST = ("balanced", "byclass", "bymerge", "digits", "letters", "mnist")


def write_both(idx, folder, prefix="", first=0, end=".gz", test="t10k", dot="-"):
    for part, count, seed in (("train", 30, 0), (test, 12, 1)):
        images = f"{prefix}{part}-images{dot}idx3-ubyte{end}"
        labels = f"{prefix}{part}-labels{dot}idx1-ubyte{end}"
        idx.write_set(folder, images, labels, count=count, first=first, seed=seed)


@pytest.mark.parametrize("end", ["", ".gz"])
@pytest.mark.parametrize("test", ["t10k", "test"])
@pytest.mark.parametrize("dot", ["-", "."])
@pytest.mark.parametrize("prefix", ["", "emnist-letters-", "kmnist_"])
def test_the_usual_spellings(tmp_path, idx, end, test, dot, prefix):
    write_both(idx, tmp_path, prefix, end=end, test=test, dot=dot)
    files = find_idx_files(tmp_path)
    assert files.train_labels == tmp_path / f"{prefix}train-labels{dot}idx1-ubyte{end}"
    assert files.test_images == tmp_path / f"{prefix}{test}-images{dot}idx3-ubyte{end}"
    unsplit = read_idx_folder(tmp_path)
    assert unsplit.name == (prefix.rstrip("-_") or tmp_path.name)
    assert len(unsplit.images) == 30
    assert unsplit.test is not None
    assert len(unsplit.test) == 12


def test_other_files_do_not_matter(tmp_path, idx):
    write_both(idx, tmp_path)
    (tmp_path / "README.md").write_text("train-images-idx3-ubyte")
    (tmp_path / "train-images-idx3-ubyte.gz.part").write_text("")
    (tmp_path / "letters-train-images-idx3-ubyte").mkdir()
    assert len(read_idx_folder(tmp_path).images) == 30


def test_labels_from_one_keep_their_number_as_name(tmp_path, idx):
    grey, numbers = idx.write_set(tmp_path, first=1, classes=4, count=20)
    unsplit = read_idx_folder(tmp_path)
    assert unsplit.classes == ("1", "2", "3", "4")
    assert unsplit.test is None
    assert unsplit.images.images.shape == (20, 1, 4, 5)
    np.testing.assert_array_equal(unsplit.images.images[:, 0].numpy(), grey)
    np.testing.assert_array_equal(unsplit.images.labels.numpy(), numbers.astype(int) - 1)


def test_a_variant_chooses_among_several_sets(tmp_path, idx):
    for first, name in enumerate(EMNIST):
        write_both(idx, tmp_path, f"emnist-{name}-", first=first)
    for variant, first in (("letters", 4), ("emnist-mnist", 5), ("byclass", 1), ("digits", 3)):
        unsplit = read_idx_folder(tmp_path, variant)
        assert unsplit.classes[0] == str(first)
        assert variant in unsplit.name


def test_an_exact_name_wins_over_a_part(tmp_path, idx):
    write_both(idx, tmp_path, "letters-", first=1)
    write_both(idx, tmp_path, "letters-2-", first=2)
    assert read_idx_folder(tmp_path, "letters").classes[0] == "1"
    write_both(idx, tmp_path, "", first=3)
    assert read_idx_folder(tmp_path, "").classes[0] == "3"


@pytest.mark.parametrize(
    ("variant", "words"),
    [
        (None, "holds 6 sets: emnist-balanced, emnist-byclass, .*; set data.variant to one"),
        ("by", "holds 2 sets that fit data.variant: by: emnist-byclass, emnist-bymerge;"),
        ("greek", "holds no set that fits data.variant: greek; it holds emnist-balanced"),
    ],
)
def test_a_choice_left_is_an_error(tmp_path, idx, variant, words):
    for name in EMNIST:
        write_both(idx, tmp_path, f"emnist-{name}-")
    with pytest.raises(DataError, match=words):
        find_idx_files(tmp_path, variant)


def test_two_spellings_of_one_file_are_an_error(tmp_path, idx):
    write_both(idx, tmp_path)
    write_both(idx, tmp_path, test="test")
    with pytest.raises(DataError, match=r"two files for test images: t10k-.* and test-images"):
        find_idx_files(tmp_path)


def test_a_file_and_its_gzipped_copy_are_one(tmp_path, idx):
    write_both(idx, tmp_path)
    write_both(idx, tmp_path, end="")
    assert find_idx_files(tmp_path).train_images.suffix == ""


@pytest.mark.parametrize(
    ("gone", "words"),
    [
        ("train-images-idx3-ubyte.gz", "but not train-images-idx3-ubyte"),
        ("train-labels-idx1-ubyte.gz", "but not train-labels-idx1-ubyte"),
        ("t10k-images-idx3-ubyte.gz", "but not t10k-images-idx3-ubyte"),
        ("t10k-labels-idx1-ubyte.gz", "but not t10k-labels-idx1-ubyte"),
    ],
)
def test_missing_files_are_named(tmp_path, idx, gone, words):
    write_both(idx, tmp_path)
    (tmp_path / gone).unlink()
    with pytest.raises(DataError, match=words):
        find_idx_files(tmp_path)


def test_no_files_and_no_folder(tmp_path):
    with pytest.raises(DataError, match=r"holds no IDX files; looked for names like"):
        find_idx_files(tmp_path)
    with pytest.raises(DataError, match=r"cannot read the folder .*absent: No such file"):
        find_idx_files(tmp_path / "absent")


def test_images_and_labels_of_different_number(tmp_path, idx):
    write_both(idx, tmp_path)
    idx.write(tmp_path / "train-labels-idx1-ubyte.gz", np.arange(29, dtype=np.uint8) % 3)
    with pytest.raises(DataError, match=r"30 images, but .*train-labels.* holds 29 labels"):
        read_idx_folder(tmp_path)


def test_empty_classes(tmp_path, idx):
    write_both(idx, tmp_path)
    labels = tmp_path / "train-labels-idx1-ubyte.gz"
    idx.write(labels, np.array([0, 1, 3] * 10, np.uint8))
    with pytest.raises(DataError, match=r"class 2 is empty: .*train-labels.* from 0 to 3"):
        read_idx_folder(tmp_path)
    idx.write(labels, np.full(30, 5, np.uint8))
    with pytest.raises(DataError, match="holds the one class 5"):
        read_idx_folder(tmp_path)
    idx.write(labels, np.array([0, 1, 2, 3, 4] * 6, np.uint8))
    with pytest.raises(DataError, match=r"class 3 is empty in .*t10k-labels"):
        read_idx_folder(tmp_path)
    idx.write(labels, np.array([0, 1] * 15, np.uint8))
    with pytest.raises(DataError, match=r"class 2 is empty in .*train-labels"):
        read_idx_folder(tmp_path)


def test_parts_of_different_image_size(tmp_path, idx):
    write_both(idx, tmp_path)
    idx.write(tmp_path / "t10k-images-idx3-ubyte.gz", np.zeros((12, 5, 4), np.uint8))
    with pytest.raises(DataError, match=r"4 x 5 pixels, but .* of 5 x 4"):
        read_idx_folder(tmp_path)


def test_one_file_for_both_parts(tmp_path, idx):
    idx.write_set(tmp_path)
    (tmp_path / "t10k-images-idx3-ubyte").symlink_to("train-images-idx3-ubyte")
    (tmp_path / "t10k-labels-idx1-ubyte").hardlink_to(tmp_path / "train-labels-idx1-ubyte")
    with pytest.raises(DataError, match=r"t10k-images.* and .*train-images.* are the same file"):
        read_idx_folder(tmp_path)
