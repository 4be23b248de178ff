"""Registration against captures whose movement is known exactly: sums of Gaussian blobs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridonn.compensation.acquisition.registration import move, register
from hybridonn.compensation.acquisition.splines import turn

SIDE, BLOBS, PICTURES = 40, 8, 12
SNR_DB = 20.0


def render(centres, heights, widths, side=SIDE, movement=(0.0, 0.0, 0.0, 1.0)):
    """Blobs sampled on a grid: moving them needs no interpolation, so the truth is exact."""
    y, x, angle, scale = movement
    grid = np.indices((side, side)) - (side - 1) / 2
    pictures = np.zeros((len(centres), side, side))
    for picture, places, high, wide in zip(pictures, centres, heights, widths, strict=True):
        for place, h, w in zip(places, high, wide, strict=True):
            # x turns to y: a blob on the right moves down as the angle grows.
            row = scale * (np.cos(angle) * place[0] + np.sin(angle) * place[1]) + y
            column = scale * (-np.sin(angle) * place[0] + np.cos(angle) * place[1]) + x
            away = (grid[0] - row) ** 2 + (grid[1] - column) ** 2
            picture += h * np.exp(-away / (2 * (scale * w) ** 2))
    return pictures


def blobs(seed, pictures=PICTURES, side=SIDE):
    rng = np.random.default_rng(seed)
    centres = rng.uniform(-0.3 * side, 0.3 * side, (pictures, BLOBS, 2))
    return centres, rng.uniform(0.3, 1, (pictures, BLOBS)), rng.uniform(1.5, 3, (pictures, BLOBS))


def add_noise(pictures, seed):
    level = pictures.std() * 10 ** (-SNR_DB / 20)
    return pictures + level * np.random.default_rng(seed).normal(size=pictures.shape)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    y=st.floats(-3, 3),
    x=st.floats(-3, 3),
    degrees=st.floats(-3, 3),
    scale=st.floats(0.97, 1.03),
    gain=st.floats(0.3, 3),
    offset=st.floats(-0.5, 0.5),
)
def test_a_known_movement_is_recovered_at_20_db(seed, y, x, degrees, scale, gain, offset):
    scene = blobs(seed)
    moved = render(*scene, movement=(y, x, np.radians(degrees), scale))
    measured = gain * add_noise(moved, seed) + offset
    found = register(measured, render(*scene))
    assert found.shift_pixels == pytest.approx((y, x), abs=0.1)
    assert np.degrees(found.rotation_rad) == pytest.approx(degrees, abs=0.1)
    assert found.scale == pytest.approx(scale, abs=0.005)
    assert found.gain == pytest.approx(gain, rel=0.01)
    assert found.offset == pytest.approx(offset, abs=0.02 * gain)
    assert found.correlation == pytest.approx(1 / np.sqrt(1.01), abs=0.01)  # of 20 dB


def test_without_noise_the_movement_is_exact_to_a_thousandth():
    scene = blobs(3)
    measured = render(*scene, movement=(2.3, -1.7, np.radians(-2.2), 1.01))
    found = register(measured, render(*scene))
    assert found.shift_pixels == pytest.approx((2.3, -1.7), abs=2e-3)
    assert np.degrees(found.rotation_rad) == pytest.approx(-2.2, abs=5e-3)
    assert found.correlation > 0.99999


def test_moving_the_simulated_picture_gives_the_measured_one():
    scene = blobs(4)
    measured = render(*scene, movement=(1.4, 0.6, np.radians(1.0), 1.0))
    found = register(measured, render(*scene))
    inner = (slice(None), slice(5, -5), slice(5, -5))
    np.testing.assert_allclose(move(render(*scene), found)[inner], measured[inner], atol=0.01)


def test_a_large_shift_and_scale_are_found_from_a_search():
    scene = blobs(5, pictures=2, side=96)
    measured = render(*scene, side=96, movement=(-17.0, 11.5, np.radians(4), 1.08))
    found = register(
        measured,
        render(*scene, side=96),
        angles_rad=tuple(np.radians([-4, -2, 0, 2, 4])),
        scales=(0.9, 0.95, 1.0, 1.05, 1.1),
    )
    assert found.shift_pixels == pytest.approx((-17.0, 11.5), abs=0.05)
    assert found.scale == pytest.approx(1.08, abs=1e-3)


def test_what_has_not_moved_is_not_moved():
    scene, still = blobs(7), 0
    for seed in range(20):
        found = register(add_noise(render(*scene), seed), render(*scene))
        parts = [*found.shift_pixels, found.rotation_rad, found.scale - 1]
        still += sum(part == 0 for part in parts)
        assert np.abs(parts) == pytest.approx(0, abs=0.02)
    assert still >= 0.9 * 4 * 20  # about 95 of 100


def test_the_uncertainty_is_the_scatter_under_noise():
    scene, movement = blobs(8), (1.5, -2.0, np.radians(2), 1.02)
    moved = render(*scene, movement=movement)
    found = [register(add_noise(moved, seed), render(*scene)) for seed in range(40)]
    values = np.array([[*one.shift_pixels, one.rotation_rad, one.scale] for one in found])
    stated = np.array([one.uncertainty for one in found]).mean(0)
    np.testing.assert_allclose(values.std(0), stated, rtol=0.35)


def test_pixels_that_were_not_measured_do_not_count():
    scene = blobs(9)
    measured = render(*scene, movement=(0.4, 0.0, 0.0, 1.0))
    covered = np.ones((SIDE, SIDE), bool)
    covered[:, :8] = covered[20:24] = False
    spoilt = np.where(covered, measured, 5.0)
    found = register(spoilt, render(*scene), covered=covered)
    assert found.shift_pixels == pytest.approx((0.4, 0.0), abs=2e-3)
    assert found.correlation > 0.99999


def test_dark_pictures_give_no_correlation_rather_than_a_fault():
    found = register(np.zeros((2, 12, 12)), render(*blobs(6, 2, 12), side=12))
    assert found.correlation == 0
    assert found.gain == 0


def test_turning_takes_x_towards_y():
    np.testing.assert_allclose(turn(np.pi / 2) @ [0.0, 1.0], [1.0, 0.0], atol=1e-12)


def test_stacks_of_other_shapes_are_refused():
    with pytest.raises(ValueError, match="differ"):
        register(np.zeros((1, 8, 8)), np.zeros((2, 8, 8)))
