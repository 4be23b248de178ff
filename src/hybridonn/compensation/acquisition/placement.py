"""Where the capture of each sub-optic lies in a camera frame, and how it is cut out.

Coordinates are (y, x), y down. A feature map's pixel q, from the centre of its capture, lies at
``origin + matrix q`` in the frame, in camera pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from hybridonn.compensation.acquisition.registration import Registration, register
from hybridonn.core.errors import DataError, OpticsError
from hybridonn.optics.layout.sites import Layout

COARSE_SIDE = 160  # pixels of a frame in which the orientation is searched
ANGLES_RAD = tuple(np.radians([-3.0, -1.5, 0.0, 1.5, 3.0]))
SCALES = (0.96, 1.0, 1.04)
# A choice: a mosaic that the simulation explains by less than a quarter (0.5 squared) is not it.
LEAST_CORRELATION = 0.5


@dataclass(frozen=True)
class Placement:
    """Where one sub-optic's capture lies.

    Attributes:
        origin: Camera pixel at the centre of the capture, (2,).
        matrix: Camera pixels a feature pixel, (2, 2).
    """

    origin: np.ndarray
    matrix: np.ndarray

    def refined(self, found: Registration) -> Placement:
        """The placement after a registration of what was cut with this one."""
        shift = np.array(found.shift_pixels)
        return Placement(self.origin + self.matrix @ shift, self.matrix @ found.matrix)


@dataclass(frozen=True)
class Camera:
    """How the camera sees the sensor plane.

    Attributes:
        pixels_per_feature: Camera pixels along the side of a feature map's pixel.
        pixel_m: Side of a camera pixel in the sensor plane; only mosaics need it.
    """

    pixels_per_feature: float = 1.0
    pixel_m: float | None = None


def centred_placement(frame_shape: tuple[int, int], camera: Camera) -> Placement:
    """The placement of a capture that fills its frame."""
    origin = (np.array(frame_shape, float) - 1) / 2
    return Placement(origin, np.eye(2) * camera.pixels_per_feature)


def mosaic_placements(
    layout: Layout, frame_shape: tuple[int, int], camera: Camera
) -> list[Placement]:
    """Where the layout puts the sub-optics in a frame whose centre is the metasurface's.

    Returns:
        2 K placements: plus and minus of kernel 0, of kernel 1 ...

    Raises:
        DataError: The size of a camera pixel is not stated, or a site lies outside the frame.
    """
    if camera.pixel_m is None:
        raise DataError(
            "the frames are mosaics of all sub-optics; state the camera's pixel with "
            "--camera-pixel-um, so that the layout can cut them"
        )
    used = [site for site in layout.sites if site.kernel is not None]
    used.sort(key=lambda site: (site.kernel, -site.sign))
    centre = (np.array(frame_shape, float) - 1) / 2
    places = np.array([[-site.y_m, site.x_m] for site in used]) / camera.pixel_m
    if (np.abs(places) > centre).any():
        rows, columns = (2 * np.abs(places).max(0) + 1).round().astype(int)
        raise DataError(
            f"the frames have {frame_shape[0]} x {frame_shape[1]} pixels; the sites of the layout "
            f"spread over {rows} x {columns}: check --camera-pixel-um, or capture a larger region"
        )
    matrix = np.eye(2) * camera.pixels_per_feature
    return [Placement(centre + place, matrix) for place in places]


def refuse_overlap(layout: Layout, shape: tuple[int, int], camera: Camera) -> None:
    """Refuse a mosaic in which captures of neighbouring sub-optics would lie on each other.

    Args:
        layout: Layout of the chip.
        shape: Shape of a feature map.
        camera: The camera's pixels, with their size.

    Raises:
        OpticsError: They would.
    """
    assert camera.pixel_m is not None, "only of mosaics"
    used = [(-site.y_m, site.x_m) for site in layout.sites if site.kernel is not None]
    places = np.array(used) / camera.pixel_m
    apart = [
        (np.abs(places[number + 1 :] - place) / shape).max(1).min()
        for number, place in enumerate(places[:-1])
    ]
    most = float(min(apart, default=np.inf))
    if camera.pixels_per_feature <= most + 1e-9:
        return
    side = camera.pixels_per_feature * camera.pixel_m * 1e3
    raise OpticsError(
        f"captures of {shape[0]} x {shape[1]} pixels are {side * shape[0]:.2f} x "
        f"{side * shape[1]:.2f} mm at {camera.pixels_per_feature:g} camera pixels of "
        f"{camera.pixel_m * 1e6:g} um a pixel, so that neighbours on the chip overlap in a mosaic; "
        f"state --pixels-per-feature {np.floor(most * 100) / 100:g} or less, or a smaller "
        "--camera-pixel-um, or capture each sub-optic --apart"
    )


def cut(frame: np.ndarray, placement: Placement, shape: tuple[int, int]) -> np.ndarray:
    """The capture of one sub-optic on the grid of the feature maps.

    A pixel is the mean of so many samples as it has camera pixels, so that light is not lost
    between samples; where frame and feature map have equal pixels, a cubic spline. Beyond the
    frame its border goes on: what was measured there, :func:`cover` says.

    Args:
        frame: (H, W).
        placement: Place of the capture in the frame.
        shape: Shape of a feature map.
    """
    from scipy.ndimage import map_coordinates

    places, side = _sample(placement, shape)
    low, high = (
        np.clip(edge, 0, frame.shape)
        for edge in (
            np.floor(places.min(1)).astype(int) - 8,
            np.ceil(places.max(1)).astype(int) + 9,
        )
    )
    low = np.minimum(low, np.array(frame.shape) - 1)
    high = np.maximum(high, low + 1)  # a capture outside of the frame is the frame's border
    window = frame[low[0] : high[0], low[1] : high[1]]
    order = 3 if side == 1 else 1
    values = map_coordinates(window, places - low[:, None], order=order, mode="nearest")
    return values.reshape(shape[0], side, shape[1], side).mean((1, 3))


def make_cut(
    frame_shape: tuple[int, int], placement: Placement, shape: tuple[int, int]
) -> Callable[[np.ndarray], np.ndarray]:
    """What cuts one sub-optic's capture out of frames, as :func:`cut` does, of many frames faster.

    Where a pixel is the mean of samples, each capture is one product of the frame with sparse
    weights, which are found once.

    Args:
        frame_shape: Shape of the camera's frames.
        placement: Place of the capture in a frame.
        shape: Shape of a feature map.
    """
    from scipy.sparse import csr_array

    places, side = _sample(placement, shape)
    if side == 1:
        return partial(cut, placement=placement, shape=shape)
    last = np.array(frame_shape)[:, None] - 1
    places = np.clip(places, 0, last)  # beyond the frame its border goes on
    low = np.minimum(np.floor(places).astype(np.int64), np.maximum(last - 1, 0))
    (down, right), (high_y, high_x) = places - low, np.minimum(low + 1, last)
    pixels = np.arange(shape[0] * shape[1]).reshape(shape)
    pixel = pixels.repeat(side, 0).repeat(side, 1).ravel()
    corners = (
        (low[0], low[1], (1 - down) * (1 - right)),
        (low[0], high_x, (1 - down) * right),
        (high_y, low[1], down * (1 - right)),
        (high_y, high_x, down * right),
    )
    weights = np.concatenate([weight for *_, weight in corners]) / side**2
    seen = np.concatenate([row * frame_shape[1] + column for row, column, _ in corners])
    size = (pixels.size, frame_shape[0] * frame_shape[1])
    sparse = csr_array((weights, (np.tile(pixel, 4), seen)), shape=size)
    return lambda frame: (sparse @ frame.ravel()).reshape(shape)


def cover(
    frame_shape: tuple[int, int],
    placement: Placement,
    shape: tuple[int, int],
    blind: np.ndarray | None = None,
) -> np.ndarray:
    """Pixels of a sub-optic's capture that were measured as a whole, (H', W') bool.

    Args:
        frame_shape: Shape of the camera's frames.
        placement: Place of the capture in the frame.
        shape: Shape of a feature map.
        blind: Pixels of the frame that measure nothing, (H, W) bool; None: there are none.
    """
    places, side = _sample(placement, shape)
    size = np.array(frame_shape)[:, None]
    # A camera pixel measures the light of its whole area, half a pixel around its centre.
    measured = np.all((places >= -0.5) & (places <= size - 0.5), axis=0)
    if blind is not None:
        row, column = np.clip(np.rint(places).astype(int), 0, size - 1)
        measured &= ~blind[row, column]
    return measured.reshape(shape[0], side, shape[1], side).all((1, 3))


def _sample(placement: Placement, shape: tuple[int, int]) -> tuple[np.ndarray, int]:
    """Where a capture is read in the frame, (2, samples), and samples along a pixel's side."""
    side = max(1, round(float(np.sqrt(abs(np.linalg.det(placement.matrix))))))
    inner = (np.arange(side) - (side - 1) / 2) / side
    axes = [((np.arange(n) - (n - 1) / 2)[:, None] + inner).ravel() for n in shape]
    grid = np.stack(np.meshgrid(*axes, indexing="ij")).reshape(2, -1)
    return placement.matrix @ grid + placement.origin[:, None], side


def render_mosaic(
    pictures: np.ndarray, placements: list[Placement], frame_shape: tuple[int, int]
) -> np.ndarray:
    """The frame that the captures of all sub-optics should give.

    Args:
        pictures: (2 K, H, W).
        placements: Where they lie.
        frame_shape: Shape of the camera's frames.
    """
    from scipy.ndimage import map_coordinates

    frame = np.zeros(frame_shape)
    for picture, placement in zip(pictures, placements, strict=True):
        half = np.abs(placement.matrix) @ (np.array(picture.shape) / 2) + 1
        low = np.maximum(np.floor(placement.origin - half).astype(int), 0)
        high = np.minimum(np.ceil(placement.origin + half).astype(int) + 1, frame_shape)
        grid = np.stack(np.meshgrid(*map(np.arange, low, high), indexing="ij"))
        away = grid.reshape(2, -1) - placement.origin[:, None]
        places = np.linalg.inv(placement.matrix) @ away
        middle = (np.array(picture.shape)[:, None] - 1) / 2
        # A capture fills the area of its pixels, half a pixel around their centres.
        lit = np.all(np.abs(places) <= middle + 0.5, axis=0)
        values = map_coordinates(picture, places + middle, order=1, mode="nearest") * lit
        frame[low[0] : high[0], low[1] : high[1]] += values.reshape(grid.shape[1:])
    return frame


def orient(frame: np.ndarray, orientation: int) -> np.ndarray:
    """One of the eight ways in which a camera can be mounted.

    Args:
        frame: (H, W) or (H, W, C).
        orientation: 0 to 3: quarter turns; 4 to 7: mirrored left to right, then turned.
    """
    mirrored = frame[:, ::-1] if orientation >= 4 else frame
    return np.rot90(mirrored, orientation % 4)


def describe_orientation(orientation: int) -> str:
    """The orientation in words."""
    turns = orientation % 4  # small angles, which registration finds, come on top
    turned = f"turned by {90 * turns} degrees" if turns else "upright"
    return f"mirrored and {turned}" if orientation >= 4 else turned


def find_mosaic(
    frame: np.ndarray, pictures: np.ndarray, layout: Layout, camera: Camera
) -> tuple[int, list[Placement], Registration]:
    """How the camera is mounted and where the sub-optics lie in its frames.

    Args:
        frame: A corrected mosaic, (H, W); best the mean over several images.
        pictures: What the sub-optics should show, (2 K, H, W).
        layout: Of the metasurface.
        camera: The camera's pixels.

    Returns:
        Orientation of :func:`orient`, placements in the oriented frame, and how the oriented
        frame lies on the simulated one.

    Raises:
        DataError: No orientation fits.
    """
    tries, unfit = [], []
    for orientation in range(8):
        turned = orient(frame, orientation)
        shape = (turned.shape[0], turned.shape[1])
        try:
            placements = mosaic_placements(layout, shape, camera)
        except DataError as error:  # a frame that is not square may hold the chip turned alone
            unfit.append(error)
            continue
        wanted = render_mosaic(pictures, placements, shape)
        bins = max(1, max(shape) // COARSE_SIDE)
        small = register(
            _bin(turned, bins), _bin(wanted, bins), angles_rad=ANGLES_RAD, scales=SCALES
        )
        tries.append((small.correlation, orientation, small))
    if not tries:
        raise unfit[0]
    _, orientation, small = max(tries, key=lambda one: one[0])
    turned = orient(frame, orientation)
    shape = (turned.shape[0], turned.shape[1])
    placements = mosaic_placements(layout, shape, camera)
    wanted = render_mosaic(pictures, placements, shape)
    found = register(
        turned[None], wanted[None], angles_rad=(small.rotation_rad,), scales=(small.scale,)
    )
    if found.correlation < LEAST_CORRELATION:
        raise DataError(
            f"the mosaic does not look like the simulated one in any of 8 orientations (best "
            f"correlation {found.correlation:.2f}, needed {LEAST_CORRELATION}); check "
            "--camera-pixel-um and --pixels-per-feature, the run folder and the manifest's order"
        )
    return orientation, [_carry(one, found, shape) for one in placements], found


def _carry(placement: Placement, found: Registration, shape: tuple[int, int]) -> Placement:
    centre = (np.array(shape, float) - 1) / 2
    origin = centre + found.matrix @ (placement.origin - centre) + np.array(found.shift_pixels)
    return Placement(origin, found.matrix @ placement.matrix)


def _bin(frame: np.ndarray, side: int) -> np.ndarray:
    rows, columns = (length // side * side for length in frame.shape)
    pieces = frame[:rows, :columns].reshape(rows // side, side, columns // side, side)
    return pieces.mean((1, 3))[None]
