"""Pairing, order and gains of captures that look alike."""

import numpy as np
import pytest
from scipy.ndimage import shift

from hybridonn.compensation.acquisition.capture_dataset import name_image
from hybridonn.compensation.acquisition.matching import (
    compare,
    compare_features,
    find_disorder,
    pair_sub_optics,
)


def test_large_pictures_out_of_order_are_found_on_coarse_ones():
    rng = np.random.default_rng(0)
    pictures = np.kron(rng.normal(size=(12, 28, 28)), np.ones((8, 8)))
    measured = np.roll(pictures, 9, 2)[[0, 1, 3, 2, *range(4, 12)]]
    assert find_disorder(measured, pictures) == [(2, 3), (3, 2)]


def pictures(made, count=16):
    ids = [name_image("student_train", n) for n in range(count)]
    return made.design.simulate(ids).astype(float)


@pytest.mark.parametrize("seed", range(4))
def test_sub_optics_that_are_shifted_keep_their_names(bench, seed):
    simulated = pictures(bench())
    rng = np.random.default_rng(seed)
    measured = np.stack(
        [shift(simulated[:, n], (0, *rng.uniform(-2, 2, 2))) for n in range(6)], axis=1
    )
    measured *= rng.uniform(0.5, 2, (1, 6, 1, 1))
    measured += 0.05 * measured.std() * rng.normal(size=measured.shape)
    assert pair_sub_optics(measured, simulated).tolist() == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("order", [[1, 0, 3, 2, 5, 4], [5, 4, 3, 2, 1, 0], [1, 2, 3, 4, 5, 0]])
def test_other_orders_are_found(bench, order):
    simulated = pictures(bench())
    rng = np.random.default_rng(0)
    measured = np.empty_like(simulated)
    measured[:, order] = simulated + 0.05 * simulated.std() * rng.normal(size=simulated.shape)
    assert pair_sub_optics(measured, simulated).tolist() == order


def test_the_gain_is_not_made_small_by_noise():
    rng = np.random.default_rng(0)
    simulated = rng.random((20, 2, 16, 16))
    noise = simulated.std() * rng.normal(size=simulated.shape)  # 0 dB
    found = compare(simulated * 4 + 3 + 4 * noise, simulated)
    np.testing.assert_allclose(found.gains, 0.25, rtol=0.05)
    np.testing.assert_allclose(found.offsets, -3, atol=0.15)
    np.testing.assert_allclose(found.correlations, np.sqrt(0.5), atol=0.02)


def test_a_dark_sub_optic_has_no_gain():
    simulated = np.random.default_rng(0).random((4, 2, 8, 8))
    measured = simulated * [[[[1.0]], [[0.0]]]]
    found = compare(measured, simulated)
    assert found.gains.tolist() == pytest.approx([1, 0])
    assert found.correlations.tolist() == pytest.approx([1, 0])


def test_disorder_names_what_a_picture_looks_like(bench):
    simulated = pictures(bench()).sum(1)
    measured = shift(simulated, (0, 2, -1))
    assert find_disorder(measured, simulated) == []
    measured[[2, 9]] = measured[[9, 2]]
    assert find_disorder(measured, simulated) == [(2, 9), (9, 2)]


def test_pixels_that_were_not_measured_are_left_out(bench):
    simulated = pictures(bench())
    covered = np.ones(simulated.shape[1:], bool)
    covered[:, :4] = False
    covered[2, :, 20:] = False
    measured = np.where(covered, 2 * simulated + 1, 100 * simulated.std())
    found = compare(measured, simulated, covered)
    lit = simulated.any((0, 2, 3))
    np.testing.assert_allclose(found.gains[lit], 0.5)
    np.testing.assert_allclose(found.offsets, -1, atol=1e-9)
    np.testing.assert_allclose(found.correlations[lit], 1)
    assert pair_sub_optics(measured, simulated, covered).tolist() == [0, 1, 2, 3, 4, 5]
    common = covered.all(0)
    assert find_disorder(measured.sum(1), simulated.sum(1), common) == []
    swapped = measured.sum(1)
    swapped[[2, 9]] = swapped[[9, 2]]
    assert find_disorder(swapped, simulated.sum(1), common) == [(2, 9), (9, 2)]


def test_features_are_compared_beyond_what_all_pictures_share(bench):
    simulated = pictures(bench())
    np.testing.assert_allclose(compare_features(simulated, simulated), 1)
    alike = np.repeat(simulated.mean(1, keepdims=True), 6, 1) * [[[[2.0]], [[1.0]]] * 3]
    np.testing.assert_allclose(compare_features(alike, simulated), 0, atol=1e-6)
    one_sided = simulated[:, :2] * [[[[1.0]], [[0.0]]]]  # what all share is all there is
    assert compare_features(one_sided, one_sided).size == 0
