"""Where the sub-optics lie in the frames: first the layout, then each registered by itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hybridonn.compensation.acquisition.blur import blur_alike
from hybridonn.compensation.acquisition.captured_design import CapturedDesign, name_sub_optic
from hybridonn.compensation.acquisition.manifest import refuse
from hybridonn.compensation.acquisition.matching import (
    common_pixels,
    find_disorder,
    find_impostors,
    pair_sub_optics,
)
from hybridonn.compensation.acquisition.placement import (
    Camera,
    Placement,
    centred_placement,
    cover,
    find_mosaic,
    make_cut,
    orient,
)
from hybridonn.compensation.acquisition.registration import Registration, register, still
from hybridonn.compensation.acquisition.sources import FrameSource, Source
from hybridonn.core.errors import DataError
from hybridonn.core.progress import Progress, Silent

MOSAIC_IMAGES = 8  # whose mean frame shows how a camera is mounted
# A sub-optic that follows the simulation less is left where the layout puts it, and reported.
LEAST_TILE = 0.3
ROUNDS = 3  # in which a capture is cut and registered; each leaves a third of the movement or less
# Standard deviation of a place that is read between camera pixels, in pixels of a feature map:
# that of captures whose movement is known, two or three camera pixels to a pixel.
CUT_PIXELS = 0.012
MOST_BY_CHANCE = 0.1  # of captures that are not registered yet look like other images
LEAST_COVERED = 0.5  # of a capture: what most pixels were not measured for cannot be used
_SILENT = Silent()


@dataclass(frozen=True)
class Geometry:
    """How the sub-optics were found in the frames.

    Attributes:
        order: Position in a frame of each sub-optic, (2 K,).
        orientation: Of :func:`~hybridonn.compensation.acquisition.placement.orient`.
        placements: Placement of each sub-optic, in the order of the simulation.
        registrations: Registration of each sub-optic on its simulated capture.
        covered: Pixels of each sub-optic's capture that were measured, (2 K, H', W') bool.
        mosaic: How the whole frame lies on the simulated one, in camera pixels; the registrations
            come on top of it. None: each frame shows one sub-optic.
    """

    order: np.ndarray
    orientation: int
    placements: tuple[Placement, ...]
    registrations: tuple[Registration, ...]
    covered: np.ndarray
    mosaic: Registration | None = None


def find_geometry(
    simulated: np.ndarray,
    source: Source,
    design: CapturedDesign,
    camera: Camera,
    image_ids: list[str],
) -> Geometry:
    """Find all sub-optics in the frames of some images.

    Args:
        simulated: Simulated captures of the same images, (N, 2 K, H', W').
        source: Frames or arrays.
        design: The design of the run.
        camera: The camera's pixels.
        image_ids: The images.

    Raises:
        DataError: Images are out of order, the mosaic is not found, or most of a sub-optic's
            capture lies outside of the frames.
    """
    start = _first_geometry(simulated, source, design, camera, image_ids)
    tiles = read_tiles(source, image_ids, start, design.shape, _SILENT)
    check_shown(tiles, simulated, start.covered, image_ids, design, source)
    # Single captures are judged once they are registered.
    check_order(tiles, simulated, start.covered, image_ids, source, MOST_BY_CHANCE)
    order = pair_sub_optics(tiles, simulated, start.covered)
    begun = replace(
        start,
        order=order,
        placements=tuple(start.placements[place] for place in order),
        covered=start.covered[order],
    )
    registrations = _register_all(simulated, source, begun, tiles[:, order], image_ids)
    refined = _refine_all(begun.placements, registrations)
    covered = _cover_all(source, image_ids[0], start.orientation, refined, design.shape)
    _check_covered(covered, source.where)
    return replace(begun, placements=refined, registrations=tuple(registrations), covered=covered)


def _register_all(
    simulated: np.ndarray,
    source: Source,
    begun: Geometry,
    tiles: np.ndarray,
    image_ids: list[str],
) -> list[Registration]:
    """Register each sub-optic, cut it anew where it was found, and register what is left.

    A capture that is cut between its pixels is blurred, which looks like a movement. So once it
    was found, the simulated capture is blurred alike, and the least squares of the last round are
    those that count.

    Args:
        simulated: Simulated captures of the images, (N, 2 K, H', W').
        source: Frames or arrays.
        begun: Placements at which the search begins, in the order of the simulation.
        tiles: What was cut there, (N, 2 K, H', W').
        image_ids: The images.
    """
    shape, covered = (simulated.shape[2], simulated.shape[3]), begun.covered
    found = [still() for _ in begun.placements]
    moving = np.ones(len(found), bool)
    for number in range(ROUNDS):
        if number:
            placements = _refine_all(begun.placements, found)
            covered = _cover_all(source, image_ids[0], begun.orientation, placements, shape)
            tiles = read_tiles(
                source, image_ids, replace(begun, placements=placements), shape, _SILENT
            )
        for one in np.flatnonzero(moving).tolist():
            seen, wanted = tiles[:, one], simulated[:, one]
            if number:
                wanted = blur_alike(wanted, seen, covered[one])
            step = register(seen, wanted, covered=covered[one])
            step = step.with_error(CUT_PIXELS, shape).without_noise()
            if abs(step.correlation) < LEAST_TILE:
                step = replace(still(), correlation=step.correlation)
            found[one] = found[one].then(step)
            moving[one] = not step.is_still
        if not moving.any():
            break
    return [one.without_noise() for one in found]


def _refine_all(
    placements: Sequence[Placement], found: Sequence[Registration]
) -> tuple[Placement, ...]:
    return tuple(place.refined(one) for place, one in zip(placements, found, strict=True))


def read_tiles(
    source: Source,
    image_ids: list[str],
    geometry: Geometry,
    shape: tuple[int, int],
    progress: Progress,
) -> np.ndarray:
    """The registered captures of images, (N, 2 K, H', W') float32.

    Raises:
        DataError: Light is not finite.
    """
    tiles = np.empty((len(image_ids), len(geometry.order), *shape), np.float32)
    cuts: dict[tuple[int, int], list[Callable[[np.ndarray], np.ndarray]]] = {}
    with progress.bar("captures", max(1, len(image_ids))) as advance:
        for number, image_id in enumerate(image_ids):
            frames = [orient(frame, geometry.orientation) for frame in source.read(image_id)]
            size = (frames[0].shape[0], frames[0].shape[1])
            if size not in cuts:
                cuts[size] = [make_cut(size, place, shape) for place in geometry.placements]
            tiles[number] = _cut_all(frames, geometry.order, cuts[size])
            _check_finite(tiles[number], image_id, source.where)
            advance()
    return tiles


def _cut_all(
    frames: Sequence[np.ndarray],
    order: np.ndarray,
    cuts: Sequence[Callable[[np.ndarray], np.ndarray]],
) -> np.ndarray:
    """The capture of each sub-optic of one image, (2 K, H', W') float32."""
    frames = [np.ascontiguousarray(frame) for frame in frames]
    mosaic = len(frames) == 1
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is refused as such
        return np.stack(
            [
                cut(frames[0 if mosaic else place]).astype(np.float32)
                for place, cut in zip(order, cuts, strict=True)
            ]
        )


def _check_finite(tiles: np.ndarray, image_id: str, where: Path) -> None:
    if not np.isfinite(tiles).all():
        raise DataError(
            f"{where}: the light of {image_id} is not finite once dark, flat and exposure "
            "are corrected; check its values and its exposure time"
        )


def check_shown(
    tiles: np.ndarray,
    simulated: np.ndarray,
    covered: np.ndarray,
    image_ids: list[str],
    design: CapturedDesign,
    source: Source,
) -> None:
    """Refuse captures that look like the labels of their images, such as masks.

    Raises:
        DataError: Some do.
    """
    drawn = design.simulate_labels(image_ids)
    if drawn is None:
        return
    common = common_pixels(tiles.shape[2:], covered)
    wrong = find_impostors(tiles.sum(1), simulated.sum(1), drawn.sum(1), common)
    refuse(
        [image_ids[number] for number in wrong],
        f"of {len(image_ids)} captures look like the masks of their images, not like the images",
        "display the captures of the folder display, which `hybridonn captures template` writes",
        source.where,
    )


def check_order(
    tiles: np.ndarray,
    simulated: np.ndarray,
    covered: np.ndarray,
    image_ids: list[str],
    source: Source,
    most: float = 0.0,
) -> None:
    """Refuse images that look like others.

    Args:
        tiles: Measured captures, (N, 2 K, H', W').
        simulated: Simulated ones, (N, 2 K, H', W').
        covered: Pixels that were measured, (2 K, H', W') bool.
        image_ids: The images, (N,).
        source: Frames or arrays.
        most: Share of the images of which it is taken for chance.

    Raises:
        DataError: Some do; the message says whether most moved alike.
    """
    common = common_pixels(tiles.shape[2:], covered)
    wrong = find_disorder(tiles.sum(1), simulated.sum(1), common)
    if len(wrong) <= most * len(image_ids):
        return
    named = [f"{image_ids[here]} looks like {image_ids[there]}" for here, there in wrong]
    steps = Counter(there - here for here, there in wrong)
    cure = "compare the frames with the manifest"
    if isinstance(source, FrameSource):  # at a wrong scale images look like the flattest of all
        cure += ", and --pixels-per-feature and --camera-pixel-um with the camera"
    if len(wrong) > 1 and steps.most_common(1)[0][1] > 0.6 * len(wrong):
        by = steps.most_common(1)[0][0]
        cure = f"most are {abs(by)} {'later' if by > 0 else 'earlier'} in the manifest's order"
        cure += " than they should be: a frame was lost or doubled there; mend the rows"
    what = f"of {len(image_ids)} captures are out of order"
    refuse(named, what, cure, source.where)


def _check_scale(
    frame_shape: tuple[int, int], camera: Camera, shape: tuple[int, int], where: Path
) -> None:
    """Refuse captures of which a frame could not hold half.

    Raises:
        DataError: They are so large.
    """
    sides = [camera.pixels_per_feature * side for side in shape]
    if any(LEAST_COVERED * side > length for side, length in zip(sides, frame_shape, strict=True)):
        raise DataError(
            f"{where}: with {camera.pixels_per_feature:g} camera pixels along a pixel of a feature "
            f"map a sub-optic's capture has {sides[0]:.0f} x {sides[1]:.0f}, and the frames have "
            f"{frame_shape[0]} x {frame_shape[1]}; check --pixels-per-feature"
        )


def _check_covered(covered: np.ndarray, where: Path) -> None:
    shares = covered.mean((1, 2))
    few = np.flatnonzero(shares < LEAST_COVERED)
    refuse(
        [f"{name_sub_optic(n)} ({shares[n]:.0%})" for n in few.tolist()],
        f"sub-optics lie in the frames with less than {LEAST_COVERED:.0%} of their captures",
        "capture a larger region, check --camera-pixel-um and --pixels-per-feature, or name the "
        "run that the chip was made for",
        where,
    )


def _first_geometry(
    simulated: np.ndarray,
    source: Source,
    design: CapturedDesign,
    camera: Camera,
    image_ids: list[str],
) -> Geometry:
    """Where the layout, or the frames themselves, say that the sub-optics are."""
    order = np.arange(simulated.shape[1])
    frame = source.read(image_ids[0])
    _check_scale((frame.shape[1], frame.shape[2]), camera, design.shape, source.where)
    if not source.is_mosaic:
        placements = [centred_placement((frame.shape[1], frame.shape[2]), camera)] * len(order)
        covered = _cover_all(source, image_ids[0], 0, placements, design.shape)
        return Geometry(order, 0, tuple(placements), (), covered)
    some = image_ids[:MOSAIC_IMAGES]
    mean = sum(source.read(image_id)[0] for image_id in some) / len(some)
    pictures = simulated[: len(some)].mean(0)
    orientation, placements, found = find_mosaic(np.asarray(mean), pictures, design.layout, camera)
    covered = _cover_all(source, image_ids[0], orientation, placements, design.shape)
    return Geometry(order, orientation, tuple(placements), (), covered, found)


def _cover_all(
    source: Source,
    image_id: str,
    orientation: int,
    placements: Sequence[Placement],
    shape: tuple[int, int],
) -> np.ndarray:
    """Which pixels of each capture were measured, (2 K, H', W') bool: the same of all images."""
    frame = orient(source.read(image_id)[0], orientation)
    blind = None if source.blind is None else orient(source.blind, orientation)
    size = (frame.shape[0], frame.shape[1])
    return np.stack([cover(size, placement, shape, blind) for placement in placements])
