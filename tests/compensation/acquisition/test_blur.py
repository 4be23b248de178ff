"""Blur that is no movement, and the uncertainty of registrations on images of fine detail."""

import numpy as np
from scipy.ndimage import convolve

from hybridonn.compensation.acquisition.blur import blur_alike
from hybridonn.compensation.acquisition.camera_view import (
    CameraView,
    place_apart,
    project,
    size_frame,
)
from hybridonn.compensation.acquisition.geometry import find_geometry
from hybridonn.compensation.acquisition.placement import Camera

SIDE, PICTURES, CAMERA_PIXELS = 16, 10, 2.0


class Design:
    """What the search for the sub-optics asks of a design whose images are noise."""

    shape = (SIDE, SIDE)

    def simulate_labels(self, _):
        return None


class Frames:
    """Frames of one sub-optic that a moved camera took."""

    where, is_mosaic, blind = "frames", False, None

    def __init__(self, light, view, rng):
        centres = place_apart(1)
        size = size_frame(view, centres, light.shape[1:])
        seen = project(view, centres, size, light.shape[1:]) @ light.reshape(len(light), -1).T
        seen += 0.01 * seen.std() * rng.normal(size=seen.shape)
        self.frames = seen.T.reshape(-1, 1, *size)

    def read(self, image_id):
        return self.frames[int(image_id)]


def noise(rng):
    """Images of noise behind a kernel of 3 x 3 weights."""
    kernel = rng.random((3, 3))
    return np.stack(
        [convolve(one, kernel, mode="constant") for one in rng.random((PICTURES, SIDE, SIDE))]
    )


def register_moved(seed):
    """The error of shift y and x, rotation and scale, and what is stated of it, in pixels."""
    rng = np.random.default_rng(seed)
    light, (y, x) = noise(rng), rng.uniform(-1.5, 1.5, 2)
    degrees, scale = (rng.uniform(-1, 1), 1 + rng.uniform(-0.01, 0.01)) if seed % 2 else (0, 1)
    source = Frames(light, CameraView(CAMERA_PIXELS, 5.86e-6, (y, x), degrees, scale), rng)
    ids = [str(number) for number in range(PICTURES)]
    found = find_geometry(light[:, None], source, Design(), Camera(CAMERA_PIXELS), ids)
    one = found.registrations[0]
    error = [*one.shift_pixels, one.rotation_rad, one.scale] - np.array(
        [y, x, np.radians(degrees), scale]
    )
    lever = SIDE / np.sqrt(12)
    return error * [1, 1, lever, lever], np.array(one.uncertainty) * [1, 1, lever, lever]


def test_the_stated_uncertainty_is_the_real_error_on_images_of_noise():
    errors, stated = np.moveaxis([register_moved(seed) for seed in range(6)], 1, 0)
    assert stated.max() < 0.02
    assert np.sqrt(np.square(errors / stated).mean(0)).max() < 1.5
    assert (np.abs(errors) < 2.5 * stated).mean() > 0.95


def test_a_known_blur_is_found_and_nothing_else_is_changed():
    rng = np.random.default_rng(0)
    sharp = rng.random((4, SIDE, SIDE))
    row, column = np.array([0.1, 0.8, 0.1]), np.array([0.2, 0.6, 0.2])
    blurred = np.stack([convolve(one, np.outer(row, column), mode="nearest") for one in sharp])
    covered = np.ones((SIDE, SIDE), bool)
    covered[3:5] = False
    seen = np.where(covered, 2.5 * blurred + 7, 1e3)
    np.testing.assert_allclose(blur_alike(sharp, seen, covered), blurred, atol=1e-9)


def test_captures_that_have_nothing_in_common_are_left_as_they_are():
    sharp = np.random.default_rng(0).random((2, SIDE, SIDE))
    covered = np.ones((SIDE, SIDE), bool)
    assert np.array_equal(blur_alike(sharp, -sharp, covered), sharp)
    assert np.array_equal(blur_alike(sharp, np.zeros_like(sharp), covered), sharp)
