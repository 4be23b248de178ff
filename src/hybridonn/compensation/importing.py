"""From a camera's pictures to a capture set: check, register, pair, correct, compare.

No test image takes part in anything that is fitted: registration, pairing and gains come from
the other captures (or from the pictures of a point, where only these were taken).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from hybridonn.compensation.agreement import (
    Agreement,
    common_pixels,
    compare,
    find_disorder,
    pair_sub_optics,
)
from hybridonn.compensation.captures import CaptureSet, look_up, split_image_id
from hybridonn.compensation.expected import draw_point, expect_pictures
from hybridonn.compensation.manifest import POINT, SHOWN, refuse
from hybridonn.compensation.placement import (
    Camera,
    Placement,
    centred_placement,
    cover,
    cut,
    describe_orientation,
    find_mosaic,
    orient,
)
from hybridonn.compensation.registration import Registration, register
from hybridonn.compensation.sources import FrameSource, Source
from hybridonn.data.dataset import Dataset
from hybridonn.errors import DataError
from hybridonn.optics.layout import Layout
from hybridonn.progress import Progress, Silent

FITTED = 48  # images that registration looks at; a dozen reach 0.1 pixels at 20 dB
MOSAIC_IMAGES = 8  # whose mean frame shows how a camera is mounted
# A sub-optic that follows the simulation less is left where the layout puts it, and reported.
LEAST_TILE = 0.3
LEAST_MEDIAN = 0.5  # of all sub-optics: below, this is not the chip of this run
LEAST_COVERED = 0.5  # of a picture: what most pixels were not measured for cannot be used
_SILENT = Silent()


@dataclass(frozen=True)
class Design:
    """What an import must know of the run.

    Attributes:
        kernels: Signed kernels of the student, (K, C, k, k).
        stride: Of its feature maps.
        layout: Of its metasurface.
        dataset: Its images.
        fingerprint: Of the stage that made the student.
    """

    kernels: Tensor
    stride: int
    layout: Layout
    dataset: Dataset
    fingerprint: str

    @property
    def shape(self) -> tuple[int, int]:
        """(H', W') of a feature map."""
        _, height, width = self.dataset.image_shape
        return -(-height // self.stride), -(-width // self.stride)

    def expect(self, image_ids: list[str]) -> np.ndarray:
        """Simulated pictures of images, or of a point, (N, 2 K, H', W') float32."""
        if image_ids == [POINT]:
            images = draw_point(self.dataset.image_shape)
        else:
            images = look_up(image_ids, self.dataset).images
        return expect_pictures(self.kernels.cpu(), self.stride, images).numpy()


@dataclass(frozen=True)
class Geometry:
    """How the sub-optics were found in the frames.

    Attributes:
        order: Position in a frame of each sub-optic, (2 K,).
        orientation: Of :func:`~hybridonn.compensation.placement.orient`.
        placements: Of each sub-optic, in the order of the simulation.
        registrations: Of each sub-optic on its simulated picture.
        covered: Pixels of each sub-optic's picture that were measured, (2 K, H', W') bool.
    """

    order: np.ndarray
    orientation: int
    placements: tuple[Placement, ...]
    registrations: tuple[Registration, ...]
    covered: np.ndarray


@dataclass(frozen=True)
class Imported:
    """An import that is complete, not yet written.

    Attributes:
        captures: The set.
        geometry: Where the pictures were found.
        simulated: The mean expected picture of each sub-optic over the fitted images, (2 K, H, W).
        measured: The same as measured, registered, with its gain, (2 K, H, W).
    """

    captures: CaptureSet
    geometry: Geometry
    simulated: np.ndarray
    measured: np.ndarray


def import_captures(
    source: Source,
    design: Design,
    camera: Camera,
    *,
    skip_bad: bool = False,
    progress: Progress = _SILENT,
) -> Imported:
    """Import what a source holds.

    Args:
        source: Frames or arrays.
        design: Of the run.
        camera: Its pixels.
        skip_bad: Leave images with saturated frames out, and count them.
        progress: Shows how far it is.

    Raises:
        DataError: The captures cannot be used; the message names and counts what is wrong.
    """
    image_ids, skipped = _choose_images(source, design, camera, skip_bad)
    fitted = [one for one in image_ids if split_image_id(one)[0] != "test"][:FITTED]
    fitted = fitted or [POINT]
    expected = design.expect(fitted)
    geometry = _find_geometry(expected, source, design, camera, fitted)
    _check_covered(geometry.covered, source.where)
    seen = _read_tiles(source, fitted, geometry, design.shape, _SILENT)
    tiles = _read_tiles(source, image_ids, geometry, design.shape, progress)
    agreement = _compare(source, design, geometry, tiles, image_ids, seen, expected)
    if isinstance(source, FrameSource) and not source.corrections.darks:
        # Without a dark picture the background is known from the fit alone.
        tiles += agreement.offsets.astype(np.float32)[:, None, None]
        seen = seen + agreement.offsets[:, None, None]
    level = float(np.median(agreement.gains[agreement.gains > 0]))
    captures = CaptureSet(
        image_ids=np.array(image_ids, dtype=str),
        positive=np.ascontiguousarray(tiles[:, 0::2]) * np.float32(level),
        negative=np.ascontiguousarray(tiles[:, 1::2]) * np.float32(level),
        exposure_s=np.array([source.exposure_s(one) for one in image_ids], np.float32),
        gains=(agreement.gains / level).reshape(-1, 2),
        quality=agreement.correlations.reshape(-1, 2),
        measured=geometry.covered.reshape(-1, 2, *design.shape),
        notes=describe(source.where, design, geometry, agreement, image_ids, level)
        | _describe_source(source, skipped),
    )
    measured = seen.mean(0) * agreement.gains[:, None, None]
    return Imported(captures, geometry, expected.mean(0), measured)


def cut_tiles(frames: np.ndarray, geometry: Geometry, shape: tuple[int, int]) -> np.ndarray:
    """The registered picture of each sub-optic, in the order of the simulation, (2 K, H', W').

    Args:
        frames: (1, H, W) of a mosaic, else (2 K, H, W).
        geometry: Where they lie.
        shape: Of a feature map.
    """
    frames = np.stack([orient(frame, geometry.orientation) for frame in frames])
    mosaic = len(frames) == 1
    return np.stack(
        [
            cut(frames[0] if mosaic else frames[place], placement, shape)
            for place, placement in zip(geometry.order, geometry.placements, strict=True)
        ]
    )


def _choose_images(
    source: Source, design: Design, camera: Camera, skip_bad: bool
) -> tuple[list[str], int]:
    """The images that can be used, and the number of those left out."""
    image_ids, dataset = list(source.image_ids), design.dataset
    faults = []
    for image_id in image_ids:
        part, position = split_image_id(image_id)
        if position >= len(getattr(dataset, part)):
            faults.append(f"{image_id} ({part} has {len(getattr(dataset, part))})")
    cure = f"the run's data set is {dataset.name}: name the run that the template was made for"
    refuse(faults, "image ids name no image of the data set", cure, source.where)
    saturated = source.find_saturated(
        design.shape[0] * design.shape[1] * camera.pixels_per_feature**2
    )
    cure = "take them with a shorter exposure, or leave their images out with --skip-bad"
    if not skip_bad or POINT in saturated.values():
        what = f"frames are saturated ({source.levels.describe()})"
        refuse(saturated, what, cure, source.where)
    skipped = set(saturated.values())
    kept = [image_id for image_id in image_ids if image_id not in skipped]
    _check_enough(kept, source, dataset)
    return kept, len(image_ids) - len(kept)


def _check_enough(image_ids: list[str], source: Source, dataset: Dataset) -> None:
    points = isinstance(source, FrameSource) and bool(source.points())
    if not image_ids and points:
        return
    learnt = [one for one in image_ids if split_image_id(one)[0] != "test"]
    classes = len(dataset.classes) if dataset.test.labels.ndim == 1 else 1
    if len(learnt) < classes:
        raise DataError(
            f"{source.where}: {len(learnt)} captures are not of test images, fewer than the "
            f"{classes} classes; capture at least one image of each class of student_train (test "
            "images are never fitted)"
        )


def _find_geometry(
    expected: np.ndarray, source: Source, design: Design, camera: Camera, image_ids: list[str]
) -> Geometry:
    start = _first_geometry(expected, source, design, camera, image_ids)
    tiles = _read_tiles(source, image_ids, start, design.shape, _SILENT)
    _check_order(tiles, expected, start.covered, image_ids, source)
    order = pair_sub_optics(tiles, expected, start.covered)
    registrations, refined = [], []
    for one, place in enumerate(order):
        found = register(tiles[:, place], expected[:, one], covered=start.covered[place])
        if abs(found.correlation) < LEAST_TILE:
            found = replace(found, shift_pixels=(0.0, 0.0), rotation_rad=0.0, scale=1.0)
        registrations.append(found)
        refined.append(start.placements[place].refined(found))
    covered = _cover_all(source, image_ids[0], start.orientation, refined, design.shape)
    return Geometry(order, start.orientation, tuple(refined), tuple(registrations), covered)


def _first_geometry(
    expected: np.ndarray, source: Source, design: Design, camera: Camera, image_ids: list[str]
) -> Geometry:
    """Where the layout, or the frames themselves, say that the sub-optics are."""
    order = np.arange(expected.shape[1])
    frame = source.read(image_ids[0])
    if not source.is_mosaic:
        placements = [centred_placement((frame.shape[1], frame.shape[2]), camera)] * len(order)
        covered = _cover_all(source, image_ids[0], 0, placements, design.shape)
        return Geometry(order, 0, tuple(placements), (), covered)
    some = image_ids[:MOSAIC_IMAGES]
    mean = sum(source.read(image_id)[0] for image_id in some) / len(some)
    pictures = expected[: len(some)].mean(0)
    orientation, placements, _ = find_mosaic(np.asarray(mean), pictures, design.layout, camera)
    covered = _cover_all(source, image_ids[0], orientation, placements, design.shape)
    return Geometry(order, orientation, tuple(placements), (), covered)


def _cover_all(
    source: Source,
    image_id: str,
    orientation: int,
    placements: Sequence[Placement],
    shape: tuple[int, int],
) -> np.ndarray:
    """Which pixels of each picture were measured, (2 K, H', W') bool: the same of all images."""
    frame = orient(source.read(image_id)[0], orientation)
    blind = None if source.blind is None else orient(source.blind, orientation)
    size = (frame.shape[0], frame.shape[1])
    return np.stack([cover(size, placement, shape, blind) for placement in placements])


def _check_covered(covered: np.ndarray, where: Path) -> None:
    shares = covered.mean((1, 2))
    few = np.flatnonzero(shares < LEAST_COVERED)
    refuse(
        [f"{name_sub_optic(n)} ({shares[n]:.0%})" for n in few.tolist()],
        f"sub-optics lie in the frames with less than {LEAST_COVERED:.0%} of their pictures",
        "capture a larger region, or check --camera-pixel-um and --pixels-per-feature",
        where,
    )


def _check_order(
    tiles: np.ndarray,
    expected: np.ndarray,
    covered: np.ndarray,
    image_ids: list[str],
    source: Source,
) -> None:
    common = common_pixels(tiles.shape[2:], covered)
    wrong = find_disorder(tiles.sum(1), expected.sum(1), common)
    named = [f"{image_ids[here]} looks like {image_ids[there]}" for here, there in wrong]
    steps = Counter(there - here for here, there in wrong)
    cure = "compare the frames with the manifest"
    if steps and steps.most_common(1)[0][1] > 0.6 * len(wrong):
        by = steps.most_common(1)[0][0]
        cure = f"most are {abs(by)} {'later' if by > 0 else 'earlier'} in the manifest's order"
        cure += " than they should be: a frame was lost or doubled there; mend the rows"
    what = f"of {len(image_ids)} captures are out of order"
    refuse(named, what, cure, source.where)


def _read_tiles(
    source: Source,
    image_ids: list[str],
    geometry: Geometry,
    shape: tuple[int, int],
    progress: Progress,
) -> np.ndarray:
    tiles = np.empty((len(image_ids), len(geometry.order), *shape), np.float32)
    with progress.bar("captures", max(1, len(image_ids))) as advance:
        for number, image_id in enumerate(image_ids):
            tiles[number] = _read_tile(source, image_id, geometry, shape)
            advance()
    return tiles


def _read_tile(
    source: Source, image_id: str, geometry: Geometry, shape: tuple[int, int]
) -> np.ndarray:
    with np.errstate(over="ignore", invalid="ignore"):
        tiles = cut_tiles(source.read(image_id), geometry, shape).astype(np.float32)
    if not np.isfinite(tiles).all():
        raise DataError(
            f"{source.where}: the light of {image_id} is not finite once dark, flat and exposure "
            "are corrected; check its values and its exposure time"
        )
    return tiles


def _compare(
    source: Source,
    design: Design,
    geometry: Geometry,
    tiles: np.ndarray,
    image_ids: list[str],
    seen: np.ndarray,
    expected: np.ndarray,
) -> Agreement:
    """Check the order of all images, then compare those that are not for testing.

    Raises:
        DataError: Measurement and simulation do not agree.
    """
    if image_ids:
        simulated = design.expect(image_ids)
        _check_order(tiles, simulated, geometry.covered, image_ids, source)
        learnt = [n for n, one in enumerate(image_ids) if split_image_id(one)[0] != "test"]
        seen, expected = tiles[learnt], simulated[learnt]
    agreement = compare(seen, expected, geometry.covered)
    lit = expected.any((0, 2, 3))
    median = float(np.median(agreement.correlations[lit]))
    if median < LEAST_MEDIAN:
        worst = np.argsort(np.where(lit, agreement.correlations, np.inf))[:SHOWN]
        names = ", ".join(f"{name_sub_optic(n)} {agreement.correlations[n]:.2f}" for n in worst)
        raise DataError(
            f"{source.where}: measurement and simulation do not agree: the median correlation of "
            f"{int(lit.sum())} sub-optics is {median:.2f}, needed {LEAST_MEDIAN} ({names}); is "
            "this the run that the chip was made for, and are the camera's pixels right "
            "(--pixels-per-feature, --camera-pixel-um)?"
        )
    return agreement


def name_sub_optic(number: int) -> str:
    """``3+`` for the positive part of kernel 3."""
    return f"{number // 2}{'-' if number % 2 else '+'}"


def describe(
    where: Path,
    design: Design,
    geometry: Geometry,
    agreement: Agreement,
    image_ids: list[str],
    level: float = 1.0,
) -> dict[str, Any]:
    """The notes of a capture set: where it comes from, and what was found of each sub-optic.

    Args:
        where: What was imported.
        design: Of the run.
        geometry: Where the sub-optics were found.
        agreement: Measured against simulated.
        image_ids: What was captured.
        level: What all pictures were multiplied by.
    """
    moved = np.flatnonzero(geometry.order != np.arange(len(geometry.order)))
    return {
        "source": where.name,
        "dataset": design.dataset.checksum,
        "student": design.fingerprint,
        "images": Counter(split_image_id(one)[0] for one in image_ids),
        "skipped_images": 0,
        "mounting": describe_orientation(geometry.orientation),
        "paired_otherwise": [
            f"{name_sub_optic(int(n))} was found at {name_sub_optic(int(geometry.order[n]))}"
            for n in moved
        ],
        "median_correlation": float(np.median(agreement.correlations)),
        "light_to_simulation": level,
        "sub_optics": [
            {
                "sub_optic": name_sub_optic(number),
                "shift_y_pixels": found.shift_pixels[0],
                "shift_x_pixels": found.shift_pixels[1],
                "rotation_degrees": float(np.degrees(found.rotation_rad)),
                "scale": found.scale,
                **_describe_uncertainty(found),
                "measured_share": float(geometry.covered[number].mean()),
                "gain": float(agreement.gains[number]) / level,
                "correlation": float(agreement.correlations[number]),
            }
            for number, found in enumerate(geometry.registrations)
        ],
    }


def _describe_uncertainty(found: Registration) -> dict[str, float]:
    """Standard deviations; what is below twice its own was not applied."""
    y, x, angle, scale = found.uncertainty
    return {
        "shift_y_uncertainty_pixels": y,
        "shift_x_uncertainty_pixels": x,
        "rotation_uncertainty_degrees": float(np.degrees(angle)),
        "scale_uncertainty": scale,
    }


def _describe_source(source: Source, skipped: int) -> dict[str, Any]:
    said = {"skipped_images": skipped, "camera": source.levels.describe()}
    if not isinstance(source, FrameSource):
        return said
    return said | {
        "hot_or_dead_pixels": source.corrections.bad_pixels,
        "dark_exposures_s": sorted(source.corrections.darks),
        "flat": source.corrections.flat is not None,
        "frames_not_in_manifest": source.manifest.unlisted,
    }


def with_psfs(imported: Imported, psfs: np.ndarray) -> Imported:
    """The same import with measured point spread functions, (K, 2, C, P, P)."""
    captures = replace(imported.captures, psfs=psfs.astype(np.float32))
    return replace(imported, captures=captures)
