"""Which light of the sensor plane falls on which pixel of a camera that is not quite in place.

The law, from the scene's side: light at the point P of the sensor plane, in camera pixels from the
centre of the chip, reaches the camera at ``scale R(angle) P + shift`` from the centre of its frame.
A camera pixel integrates over its area: it is the mean of points, each of which sees the feature
pixel in which it lies. The points are a Fibonacci lattice (Sloan and Joe 1994, Lattice Methods for
Multiple Integration, section 4.3): no two share a row or a column, so an edge between feature
pixels is placed to 1/55 of a camera pixel; of a square grid of as many it would be 1/7, which looks
like a shift. Nothing here is shared with the import, which has to find all of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, cos, hypot, radians, sin
from typing import TYPE_CHECKING

import numpy as np

from hybridonn.optics.layout.sites import Layout

if TYPE_CHECKING:
    from scipy.sparse import csr_array

POINTS, STEP = 55, 34  # of a camera pixel: neighbours in Fibonacci's sequence
MARGIN = 6  # camera pixels around all captures


@dataclass(frozen=True)
class CameraView:
    """How a camera looks at the sensor plane.

    Attributes:
        pixels_per_feature: Camera pixels along the side of a feature map's pixel, as stated.
        pixel_m: Side of a camera pixel in the sensor plane, as stated.
        shift_pixels: (y, x) by which captures are moved down and right, in pixels of the feature
            map.
        rotation_degrees: By how much captures are turned about the centre of the frame, clockwise
            as they are displayed.
        scale: Size of the captures over the stated one.
        orientation: How the camera is mounted: quarter turns that bring its frames upright; 4 to
            7: mirrored left to right before.
    """

    pixels_per_feature: float
    pixel_m: float
    shift_pixels: tuple[float, float] = (0.0, 0.0)
    rotation_degrees: float = 0.0
    scale: float = 1.0
    orientation: int = 0

    def to_scene(self, y: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The point of the sensor plane that a point of the frame sees, both from the centre.

        Args:
            y: Camera pixels down.
            x: Camera pixels to the right.
        """
        down, right = (self.pixels_per_feature * one for one in self.shift_pixels)
        y, x = (y - down) / self.scale, (x - right) / self.scale
        cosine, sine = cos(radians(self.rotation_degrees)), sin(radians(self.rotation_degrees))
        return cosine * y - sine * x, sine * y + cosine * x

    def mount(self, upright: np.ndarray) -> np.ndarray:
        """The frame that the camera writes, of what an upright one would write, (H, W)."""
        frame = np.rot90(upright, -(self.orientation % 4))
        return frame[:, ::-1] if self.orientation >= 4 else frame


def place_apart(sub_optics: int) -> np.ndarray:
    """Centres of captures that each fill a frame of their own, (M, 2) zeros."""
    return np.zeros((sub_optics, 2))


def place_on_chip(layout: Layout, pixel_m: float) -> np.ndarray:
    """Centres of all sub-optics from the chip's centre, camera pixels down and right, (2 K, 2)."""
    used = {(s.kernel, s.sign): s for s in layout.sites if s.kernel is not None}
    order = [(kernel, sign) for kernel in range(layout.kernels) for sign in (1, -1)]
    return np.array([(-used[one].y_m, used[one].x_m) for one in order]) / pixel_m


def size_frame(view: CameraView, centres: np.ndarray, shape: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns of an upright frame that holds all captures, wherever they are moved to.

    Args:
        view: How the camera looks.
        centres: Centres of the captures in camera pixels, (M, 2).
        shape: Shape of a feature map.
    """
    reach = view.pixels_per_feature * hypot(*shape) / 2 + np.hypot(*centres.T).max()
    turned = abs(sin(radians(view.rotation_degrees))) * reach
    moved = [view.pixels_per_feature * abs(one) for one in view.shift_pixels]
    sides = []
    for axis in (0, 1):
        half = view.pixels_per_feature * shape[axis] / 2 + np.abs(centres[:, axis]).max()
        sides.append(2 * ceil(view.scale * (half + turned) + moved[axis] + MARGIN))
    return sides[0], sides[1]


def project(
    view: CameraView, centres: np.ndarray, frame_shape: tuple[int, int], shape: tuple[int, int]
) -> csr_array:
    """The light of each camera pixel as weights of feature pixels.

    Args:
        view: How the camera looks.
        centres: Centres of the captures in camera pixels, (M, 2).
        frame_shape: Rows and columns of an upright frame.
        shape: Shape of a feature map.

    Returns:
        (rows columns, M H W) weights, at most 1 a capture: times the captures, they are the
        frame. Where captures overlap their light adds up.
    """
    from scipy.sparse import csr_array

    captured = shape[0] * shape[1]
    pieces = []
    for number, centre in enumerate(centres):
        y, x = _frame_around(view, centre, frame_shape, shape)
        looks = zip(*_look(view, centre, (y, x), frame_shape, shape), strict=True)
        seen, feature = (np.concatenate(one) for one in looks)
        points = np.full(len(seen), 1 / POINTS)
        # Added up one capture at a time: the points of all captures at once take gigabytes.
        one = csr_array((points, (seen, feature)), shape=(len(y) * len(x), captured)).tocoo()
        pixel = (y[:, None] * frame_shape[1] + x).ravel()[one.row]
        pieces.append((one.data, pixel, number * captured + one.col.astype(np.int64)))
    values, pixels, weights = (np.concatenate(one) for one in zip(*pieces, strict=True))
    size = (frame_shape[0] * frame_shape[1], len(centres) * captured)
    return csr_array((values, (pixels, weights)), shape=size)


def _frame_around(
    view: CameraView, centre: np.ndarray, frame_shape: tuple[int, int], shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the frame that may see one capture."""
    angle = radians(view.rotation_degrees)
    turned = np.array([[cos(angle), sin(angle)], [-sin(angle), cos(angle)]])  # undoes to_scene
    middle = view.scale * turned @ centre
    middle = middle + view.pixels_per_feature * np.array(view.shift_pixels)
    reach = view.scale * np.abs(turned) @ np.array(shape) * view.pixels_per_feature / 2 + 1
    rows, columns = (
        np.arange(
            max(0, int(np.floor(where + (side - 1) / 2 - away))),
            min(side, int(np.ceil(where + (side - 1) / 2 + away)) + 1),
        )
        for where, away, side in zip(middle, reach, frame_shape, strict=True)
    )
    return rows, columns


def _look(
    view: CameraView,
    centre: np.ndarray,
    pixels: tuple[np.ndarray, np.ndarray],
    frame_shape: tuple[int, int],
    shape: tuple[int, int],
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pixels that see one capture, as positions, and what each sees of it, a point at a time."""
    for number in range(POINTS):
        inner = ((number + 0.5) / POINTS - 0.5, (STEP * number % POINTS + 0.5) / POINTS - 0.5)
        y, x = (
            places - (side - 1) / 2 + step
            for places, side, step in zip(pixels, frame_shape, inner, strict=True)
        )
        y, x = view.to_scene(*np.broadcast_arrays(y[:, None], x))
        row, column = (
            np.floor((place - middle) / view.pixels_per_feature + side / 2).astype(np.int64)
            for place, middle, side in zip((y, x), centre, shape, strict=True)
        )
        lit = (row >= 0) & (row < shape[0]) & (column >= 0) & (column < shape[1])
        yield np.flatnonzero(lit), (row * shape[1] + column)[lit]
