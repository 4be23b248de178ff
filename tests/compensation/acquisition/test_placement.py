"""Cutting a capture out of a frame: what lies at its rim, and what is not there."""

import numpy as np
import pytest

from hybridonn.compensation.acquisition.placement import (
    Camera,
    Placement,
    centred_placement,
    cover,
    cut,
    find_mosaic,
    make_cut,
    mosaic_placements,
    render_mosaic,
)
from hybridonn.compensation.acquisition.splines import turn
from hybridonn.core.errors import DataError
from hybridonn.optics.layout.sites import Layout, Site

SHAPE = (12, 10)


def place(factor=1, shift=(0.0, 0.0), degrees=0.0):
    frame = (SHAPE[0] * factor, SHAPE[1] * factor)
    middle = centred_placement(frame, Camera(factor))
    return frame, Placement(
        middle.origin + np.array(shift) * factor, turn(np.radians(degrees)) * factor
    )


@pytest.mark.parametrize("factor", [1, 2, 3])
@pytest.mark.parametrize(("shift", "degrees"), [((0, 0), 0), ((1e-3, -2e-3), 0.02), ((0, 0), 1.0)])
def test_an_evenly_lit_picture_stays_even_to_its_rim(factor, shift, degrees):
    frame, placement = place(factor, shift, degrees)
    np.testing.assert_allclose(cut(np.full(frame, 0.54), placement, SHAPE), 0.54, rtol=1e-6)
    assert cover(frame, placement, SHAPE).all()


def test_what_lies_outside_is_said_and_goes_on():
    frame, placement = place(1, (-3.0, 2.0))
    values = np.random.default_rng(0).random(frame)
    picture, measured = cut(values, placement, SHAPE), cover(frame, placement, SHAPE)
    wanted = np.zeros(SHAPE, bool)
    wanted[3:, :-2] = True
    np.testing.assert_array_equal(measured, wanted)
    np.testing.assert_allclose(picture[3:, :-2], values[:-3, 2:], atol=1e-6)
    np.testing.assert_allclose(picture[:3, :-2], np.tile(values[0, 2:], (3, 1)), atol=1e-6)
    _, gone = place(1, (40.0, 0.0))
    assert not cover(frame, gone, SHAPE).any()
    np.testing.assert_allclose(cut(values, gone, SHAPE), np.tile(values[-1], (12, 1)), atol=1e-6)


def test_a_pixel_half_blind_is_not_measured():
    frame, placement = place(2)
    blind = np.zeros(frame, bool)
    blind[4, 7] = True
    measured = cover(frame, placement, SHAPE, blind)
    assert np.argwhere(~measured).tolist() == [[2, 3]]


def test_a_rendered_mosaic_is_lit_to_the_rim_of_its_pictures():
    placement = Placement(np.array([19.5, 21.5]), np.eye(2) * 2)
    frame = render_mosaic(np.ones((1, *SHAPE)), [placement], (40, 44))
    wanted = np.zeros((40, 44))
    wanted[8:32, 12:32] = 1
    np.testing.assert_allclose(frame, wanted)


@pytest.mark.parametrize("side", [1.0, 2.0, 3.1])
def test_what_cuts_many_frames_cuts_as_one_is_cut(side):
    frame = np.random.default_rng(0).random((40, 37))
    angle = np.radians(5)
    matrix = side * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    for origin in ([20.3, 17.8], [3.0, 35.5], [-60.0, 90.0]):  # within, half and all outside
        placement = Placement(np.array(origin), matrix)
        wanted = cut(frame, placement, SHAPE)
        found = make_cut((40, 37), placement, SHAPE)(frame)
        np.testing.assert_allclose(found, wanted, atol=1e-12)


def test_a_chip_that_fits_into_the_frame_only_when_it_is_turned_is_found():
    columns = [-1.5e-4, -0.5e-4, 0.5e-4, 1.5e-4]
    sites = [Site(0, n, x, 0.0, n // 2, 1 - 2 * (n % 2)) for n, x in enumerate(columns)]
    layout = Layout(4e-4, 1e-4, 1e-4, 0.0, 1, 4, tuple(sites))
    camera, frame_shape = Camera(2.0, 5e-6), (24, 88)
    pictures = np.random.default_rng(0).random((4, 8, 8))
    places = mosaic_placements(layout, frame_shape, camera)
    upright = render_mosaic(pictures, places, frame_shape)
    orientation, _, found = find_mosaic(np.rot90(upright, -1), pictures, layout, camera)
    assert orientation == 1 and found.correlation > 0.99
    with pytest.raises(DataError, match="spread over"):  # in no orientation
        find_mosaic(upright[:, :40], pictures, layout, camera)
