"""Splines of a stack against those of scipy, and slopes against differences."""

import numpy as np
from scipy.ndimage import map_coordinates

from hybridonn.compensation.acquisition.splines import Splines


def test_splines_are_read_as_scipy_does_and_their_slopes_are_derivatives():
    rng = np.random.default_rng(0)
    pictures = rng.random((3, 9, 12))
    splines = Splines(pictures)
    places = np.stack([rng.uniform(-4, 13, 200), rng.uniform(-4, 16, 200)])
    read = [map_coordinates(one, places, order=3, mode="mirror") for one in pictures]
    np.testing.assert_allclose(splines.read(places), read, atol=1e-12)
    for axis, slope in enumerate(splines.slope(places)):
        edge = 1e-5 * np.eye(2)[:, [axis]]
        difference = (splines.read(places + edge) - splines.read(places - edge)) / 2e-5
        np.testing.assert_allclose(slope, difference, atol=1e-8)
