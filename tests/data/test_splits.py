import hashlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridonn.core.errors import DataError
from hybridonn.data.dataset import ImageSet, UnsplitSet
from hybridonn.data.splits import Split, apportion, split_labels, split_set, thin
from hybridonn.spec import Data
from hybridonn.tasks.segmentation import Segmentation
from hybridonn.tasks.task import make_task

COUNTS = st.lists(st.integers(3, 60), min_size=2, max_size=6)


def make_labels(counts, seed=0) -> np.ndarray:
    labels = np.repeat(np.arange(len(counts)), counts)
    return np.random.default_rng(seed).permutation(labels)


def do_split(labels, with_test=True, **keys) -> Split:
    classes = tuple(f"c{number}" for number in range(labels.max() + 1))
    return split_labels(labels, classes, Data(**keys), with_test=with_test)


@settings(deadline=None)
@given(
    counts=COUNTS,
    validation=st.floats(0.01, 0.99),
    test=st.floats(0.01, 0.99),
    seed=st.integers(0, 2**31 - 1),
    with_test=st.booleans(),
)
def test_a_partition_with_every_class_in_every_part(counts, validation, test, seed, with_test):
    labels = make_labels(counts)
    keys = {"validation_fraction": validation, "test_fraction": test, "split_seed": seed}
    split = do_split(labels, with_test, **keys)
    together = np.concatenate([split.train, split.validation, split.test])
    assert sorted(together) == list(range(len(labels)))
    np.testing.assert_array_equal(split.student_train, split.train)
    for part in (split.train, split.validation, split.test)[: 3 if with_test else 2]:
        assert set(labels[part]) == set(range(len(counts)))
        assert (np.diff(part) > 0).all()
    assert with_test or len(split.test) == 0


@settings(deadline=None)
@given(counts=st.lists(st.integers(20, 80), min_size=2, max_size=6), fraction=st.floats(0.1, 0.5))
def test_fractions_hold_in_every_class(counts, fraction):
    labels = make_labels(counts)
    split = do_split(labels, validation_fraction=fraction, test_fraction=fraction)
    tested = np.bincount(labels[split.test])
    assert tested.sum() == round(fraction * len(labels))
    # The total is rounded first (off by half an image at most), then each share.
    assert (np.abs(tested - fraction * np.array(counts)) < 1.5).all()
    rest = np.array(counts) - tested
    validated = np.bincount(labels[split.validation])
    assert (np.abs(validated - fraction * rest) < 1.5).all()


def test_the_split_is_the_same_on_every_machine():
    labels = np.arange(1000) % 10
    split = do_split(labels, split_seed=7, train_images=100)
    again = do_split(labels, split_seed=7, train_images=100)
    parts = (split.train, split.student_train, split.validation, split.test)
    for part, same in zip(parts, vars(again).values(), strict=True):
        np.testing.assert_array_equal(part, same)
    digest = hashlib.sha256(b"|".join(part.astype("<i8").tobytes() for part in parts))
    # Of the first run: a change here changes every result that users have.
    assert digest.hexdigest()[:16] == "8e4884f5d3794416"


def test_the_seed_matters():
    labels = np.arange(300) % 3
    assert set(do_split(labels, split_seed=0).test) != set(do_split(labels, split_seed=1).test)


def test_the_students_images_do_not_touch_the_other_parts():
    labels = np.arange(300) % 3
    whole, part = do_split(labels), do_split(labels, train_images=30)
    np.testing.assert_array_equal(whole.train, part.train)
    np.testing.assert_array_equal(whole.validation, part.validation)
    np.testing.assert_array_equal(whole.test, part.test)
    assert set(part.student_train) < set(part.train)
    assert np.bincount(labels[part.student_train]).tolist() == [10, 10, 10]


@settings(deadline=None)
@given(size=st.integers(10, 40), classes=st.integers(2, 6), data=st.data())
def test_smaller_sets_lie_within_larger_ones(size, classes, data):
    labels = np.arange(size * classes) % classes
    most = len(do_split(labels).train)
    small, large = sorted(data.draw(st.lists(st.integers(classes, most), min_size=2, max_size=2)))
    smaller = do_split(labels, train_images=small).student_train
    larger = do_split(labels, train_images=large).student_train
    assert set(smaller) <= set(larger)
    assert (len(smaller), len(larger)) == (small, large)


@settings(deadline=None)
@given(counts=COUNTS, data=st.data())
def test_unequal_classes_nest_as_prefixes_of_one_order(counts, data):
    labels = make_labels(counts)
    most = len(do_split(labels).train)
    pair = st.lists(st.integers(len(counts), most), min_size=2, max_size=2)
    first, second = (
        do_split(labels, train_images=number).student_train for number in data.draw(pair)
    )
    for number in range(len(counts)):
        one, other = (set(part[labels[part] == number]) for part in (first, second))
        assert one <= other or other <= one


@given(counts=st.lists(st.integers(1, 500), min_size=1, max_size=8), data=st.data())
def test_shares_are_whole_positive_and_within_the_quota(counts, data):
    counts = np.array(counts)
    total = data.draw(st.integers(len(counts), int(counts.sum())))
    shares = apportion(counts, total)
    quota = counts * total / counts.sum()
    assert shares.sum() == total
    assert (shares >= 1).all()
    assert (shares <= counts).all()
    assert (shares < quota + 1).all() or (quota < 1).any()
    if (quota >= 1).all():
        assert (shares > quota - 1).all()


def test_shares_by_hand():
    # Hamilton: quotas 4.3, 3.45, 2.25 of 10; the one left goes to 0.45.
    assert apportion(np.array([430, 345, 225]), 10).tolist() == [4, 4, 2]
    # Equal remainders: the first ones.
    assert apportion(np.array([7, 7, 7]), 8).tolist() == [3, 3, 2]
    # A class whose share rounds to none gets one: the others share the rest.
    assert apportion(np.array([1000, 1000, 1]), 11).tolist() == [5, 5, 1]
    assert apportion(np.array([5, 0 + 3]), 8).tolist() == [5, 3]


@pytest.mark.parametrize(
    ("labels", "with_test", "words"),
    [
        ([0, 0, 0, 2, 2, 2], True, "class c1 is empty"),
        ([0, 0, 0, 1, 1], True, "class c1 has 2 of the images to split; it needs at least 3"),
        ([0, 0, 1], False, "class c1 has 1 of the images to split; it needs at least 2"),
    ],
)
def test_too_small_classes_are_named(labels, with_test, words):
    with pytest.raises(DataError, match=words):
        do_split(np.array(labels), with_test)


def test_the_smallest_set_that_can_be_split():
    split = do_split(np.array([0, 1] * 3), validation_fraction=0.01, test_fraction=0.99)
    assert [len(part) for part in vars(split).values()] == [2, 2, 2, 2]


def test_impossible_numbers_of_train_images():
    labels = np.arange(300) % 3
    most = len(do_split(labels).train)
    assert len(do_split(labels, train_images=most).student_train) == most
    for number in (2, most + 1):
        words = rf"data.train_images is {number}; it must be from 3 \(one a class\) to {most}"
        with pytest.raises(DataError, match=words):
            do_split(labels, train_images=number)


def mask_set(count: int, seed: int = 0) -> ImageSet:
    """Masks whose foreground grows from image to image, out of order."""
    rows = (np.arange(count) * 37 + seed) % count
    masks = torch.zeros(count, 8, 64, dtype=torch.uint8)
    for mask, row in zip(masks, rows, strict=True):
        mask.view(-1)[: 5 * int(row)] = 1
    images = torch.arange(count, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, 8, 64)
    return ImageSet(images.contiguous(), masks)


def test_masks_are_split_by_the_share_of_their_foreground():
    whole = mask_set(100)
    dataset = split_set(
        UnsplitSet("m", ("no", "yes"), whole, None), Data(train_images=20), Segmentation()
    )
    parts = (dataset.train, dataset.student_train, dataset.validation, dataset.test)
    assert [len(part) for part in parts] == [72, 20, 8, 20]
    numbers = [set(part.images[:, 0, 0, 0].tolist()) for part in parts]
    assert numbers[0] | numbers[2] | numbers[3] == set(range(100))
    assert numbers[1] < numbers[0]
    # Of each quarter by foreground, each part has a quarter.
    strata = Segmentation().stratify(whole.labels, ("no", "yes"))
    groups, names = strata.groups, strata.names
    assert len(names) == 4
    shares = whole.labels.flatten(1).sum(1).numpy()
    assert all(shares[groups == low].max() < shares[groups == low + 1].min() for low in range(3))
    for part in numbers:
        counts = np.bincount(groups[sorted(part)], minlength=4)
        assert counts.max() - counts.min() <= 0
    # A mask stays with its image.
    for number, mask in zip(dataset.test.images[:, 0, 0, 0], dataset.test.labels, strict=True):
        assert torch.equal(mask, whole.labels[int(number)])


def test_the_split_of_masks_is_the_same_on_every_machine():
    dataset = split_set(
        UnsplitSet("m", ("no", "yes"), mask_set(60), None), Data(split_seed=5), Segmentation()
    )
    test = dataset.test.images[:, 0, 0, 0].tolist()
    # Of the first run: a change here changes every result that users have.
    assert test == [4, 7, 8, 19, 23, 26, 29, 31, 38, 43, 48, 50]


def test_few_masks_are_split_at_random():
    for count in (3, 7, 19):
        dataset = split_set(
            UnsplitSet("m", ("no", "yes"), mask_set(count), None), Data(), Segmentation()
        )
        sizes = [len(part) for part in (dataset.train, dataset.validation, dataset.test)]
        assert sum(sizes) == count
        assert min(sizes) >= 1


def test_thinning_works_for_classes_and_masks():
    masks = mask_set(80)
    strata = Segmentation().stratify(masks.labels, ("no", "yes"))
    some = thin(masks, strata, 16, seed=1)
    assert len(some) == 16
    groups = strata.groups
    assert np.bincount(groups[some.images[:, 0, 0, 0].numpy()]).tolist() == [4, 4, 4, 4]
    assert thin(masks, strata, None, seed=1) is masks
    assert thin(masks, strata, 80, seed=1) is masks
    with pytest.raises(DataError, match="3 images are too few"):
        thin(masks, strata, 3, seed=1)


def test_a_set_with_its_own_parts_is_not_split():
    train, validation, test = mask_set(40), mask_set(9, 1), mask_set(11, 2)
    dataset = split_set(
        UnsplitSet("m", ("no", "yes"), train, test, validation), Data(), Segmentation()
    )
    assert dataset.train is train
    assert dataset.validation is validation
    assert dataset.test is test
    assert dataset.student_train is train


def test_what_was_skipped_goes_with_the_set():
    unsplit = UnsplitSet("m", ("no", "yes"), mask_set(40), None, skipped=("x.png is damaged",))
    dataset = split_set(unsplit, Data(), Segmentation())
    assert dataset.skipped == ("x.png is damaged",)
    # The checksum is of what is there, masks included.
    plain = split_set(UnsplitSet("m", ("no", "yes"), mask_set(40), None), Data(), Segmentation())
    assert plain.checksum == dataset.checksum
    other = mask_set(40)
    other.labels[3, 7, 63] = 1
    assert (
        split_set(UnsplitSet("m", ("no", "yes"), other, None), Data(), Segmentation()).checksum
        != plain.checksum
    )


def test_no_patient_is_in_two_parts_and_rare_classes_are_in_all():
    rng = np.random.default_rng(0)
    owners = rng.integers(0, 60, 600)
    labels = np.where(owners < 9, rng.integers(0, 2, 600), 1 + owners % 2)  # few have class 0
    images = ImageSet(
        torch.arange(600, dtype=torch.int64).remainder(256).to(torch.uint8).view(600, 1, 1, 1),
        torch.from_numpy(labels),
        tuple(map(str, owners)),
    )
    whole = UnsplitSet("scans", ("a", "b", "c"), images, None)
    dataset = split_set(whole, Data(train_images=100), make_task("classification"))
    parts = dataset.train, dataset.validation, dataset.test
    held = [set(part.patients) for part in parts]
    assert sum(map(len, held)) == 60
    assert sum(map(len, parts)) == 600
    assert len(dataset.student_train) == 100
    assert set(dataset.student_train.patients) <= held[0]
    assert all(set(part.labels.tolist()) == {0, 1, 2} for part in parts)
    again = split_set(whole, Data(split_seed=1), make_task("classification"))
    assert again.checksum != dataset.checksum


def test_too_few_patients_for_a_class():
    images = ImageSet(
        torch.zeros(40, 1, 1, 1, dtype=torch.uint8),
        torch.arange(40) % 2,
        tuple("p" if number % 2 else str(number) for number in range(40)),
    )
    whole = UnsplitSet("scans", ("a", "b"), images, None)
    with pytest.raises(DataError, match="class b has 1 of the patients to split; it needs"):
        split_set(whole, Data(), make_task("classification"))
