"""Measured point spread functions on the pixels of a scene: no light is lost, moved or made."""

import numpy as np
import pytest

from hybridonn.core.errors import OpticsError
from hybridonn.optics.measured_psf import bring_to_scene, find_centroids, overlap


def spots(*places, shape=(30, 41)):
    """One kernel of one sign and colour a place, a bright pixel at (row, column)."""
    psfs = np.zeros((len(places), 1, 1, *shape))
    for kernel, (row, column) in enumerate(places):
        psfs[kernel, 0, 0, row, column] = 2.0
    return psfs


@pytest.mark.parametrize("pixels", [1.0, 2.0, 3.7, 0.5])
def test_a_spot_becomes_a_spot_in_the_middle(pixels):
    found = bring_to_scene(spots((3, 7), (20, 40)), pixels, (64, 64))
    side = found.psfs.shape[-1]
    assert side % 2
    np.testing.assert_allclose(found.psfs.sum((2, 3, 4)), 1)
    np.testing.assert_allclose(found.centres, [(3, 7), (20, 40)])
    np.testing.assert_allclose(find_centroids(found.psfs[:, 0, 0]), (side // 2))
    if pixels >= 1:
        np.testing.assert_allclose(found.psfs[..., side // 2, side // 2], 1)


@pytest.mark.parametrize("pixels", [0.3, 1.0, 2.5, 10.0])
def test_light_between_two_coarser_pixels_is_shared(pixels):
    generator = np.random.default_rng(0)
    measured = generator.random((3, 2, 2, 19, 24))
    found = bring_to_scene(measured, pixels, (200, 200))
    totals = measured.sum((-1, -2))
    np.testing.assert_allclose(found.psfs.sum((-1, -2)), totals / totals.max())
    assert found.beyond == pytest.approx(0, abs=1e-12)
    middle = found.psfs.shape[-1] // 2
    np.testing.assert_allclose(find_centroids(found.psfs.sum((1, 2))), middle, atol=0.02)


def test_whole_pixels_are_summed():
    measured = np.arange(81.0).reshape(1, 1, 1, 9, 9)
    measured = measured + measured[..., ::-1, ::-1]  # the centroid is the middle
    found = bring_to_scene(measured, 3, (9, 9))
    wanted = measured.reshape(3, 3, 3, 3).sum((1, 3)) / measured.sum()
    np.testing.assert_allclose(found.psfs[0, 0, 0], wanted)


def test_two_signs_and_colours_keep_their_places_to_each_other_and_their_brightness():
    measured = np.zeros((1, 2, 2, 11, 11))
    measured[0, 0, 0, 5, 3] = 4
    measured[0, 1, 1, 5, 7] = 4
    measured[0, 1, 0, 5, 5] = 1
    psfs = bring_to_scene(measured, 1, (11, 11)).psfs
    side = psfs.shape[-1]
    assert psfs[0, 0, 0, side // 2, side // 2 - 2] == pytest.approx(1)
    assert psfs[0, 1, 1, side // 2, side // 2 + 2] == pytest.approx(1)
    assert psfs[0, 1, 0, side // 2, side // 2] == pytest.approx(0.25)


def test_light_that_never_meets_the_scene_is_left_out_and_told():
    measured = np.zeros((1, 1, 1, 1, 101))
    measured[..., 50], measured[..., [0, 100]] = 2, 1
    found = bring_to_scene(measured, 1, (5, 5))
    assert found.psfs.shape[-1] == 9
    assert found.psfs.sum() == pytest.approx(0.5)
    assert found.beyond == pytest.approx(0.5)


def test_a_background_is_subtracted_and_the_border_told():
    measured = spots((15, 20)) + 0.5
    assert bring_to_scene(measured, 1, (64, 64)).border == pytest.approx(0.2)
    found = bring_to_scene(measured, 1, (64, 64), 0.5)
    assert found.border == 0
    np.testing.assert_allclose(found.psfs, bring_to_scene(spots((15, 20)), 1, (64, 64)).psfs)


def test_values_below_zero_and_dark_kernels_are_refused():
    with pytest.raises(OpticsError, match=r"1 of 1,230 values .* below zero after 0 was .* -1 of"):
        bring_to_scene(spots((3, 4)) - spots((5, 6)) / 2, 1, (9, 9))
    with pytest.raises(OpticsError, match=r"of 1 of 2 kernels are dark \(kernel 1 is the first\)"):
        bring_to_scene(np.concatenate([spots((3, 4)), 0 * spots((3, 4))]), 1, (9, 9))
    small = bring_to_scene(spots((3, 4)) - 0.01 * spots((5, 6)), 1, (9, 9))
    assert small.psfs.min() >= 0


def test_overlaps_of_all_new_pixels_add_up_to_every_pixel():
    np.testing.assert_allclose(overlap(7, 3, 2.5, 5).sum(0), 1)
    np.testing.assert_allclose(
        overlap(2, 0.5, 0.5, 5), [[0.25, 0], [0.5, 0], [0.25, 0.25], [0, 0.5], [0, 0.25]]
    )
