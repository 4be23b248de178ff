"""From a camera's captures to a capture set: check, register, pair, correct, compare.

No test image takes part in anything that is fitted: registration, pairing and gains come from
the other captures (or from the captures of a point, where only these were taken).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hybridonn.compensation.acquisition.capture_dataset import CaptureDataset, split_image_id
from hybridonn.compensation.acquisition.captured_design import CapturedDesign, name_sub_optic
from hybridonn.compensation.acquisition.geometry import (
    Geometry,
    check_order,
    check_shown,
    find_geometry,
    read_tiles,
)
from hybridonn.compensation.acquisition.manifest import POINT, SHOWN, refuse
from hybridonn.compensation.acquisition.matching import Matching, compare, compare_features
from hybridonn.compensation.acquisition.notes import describe, describe_source
from hybridonn.compensation.acquisition.placement import Camera
from hybridonn.compensation.acquisition.sources import FrameSource, Source
from hybridonn.core.errors import DataError
from hybridonn.core.progress import Progress, Silent
from hybridonn.data.dataset import Dataset

FITTED = 48  # images that registration looks at; a dozen reach 0.1 pixels at 20 dB
FEWEST_FITTED = 8  # where captures are large, and each says the more
FITTED_PIXELS = 2**17  # of all fitted captures of a sub-optic together
LEAST_MEDIAN = 0.5  # of all sub-optics: below, this is not the chip of this run
# Of signed features less what all share. A choice: chips that read a third of MNIST's digits have
# 0.5 to 0.8, chips of other students -0.1 to 0.5.
LEAST_SIGNED = 0.4
_SILENT = Silent()


@dataclass(frozen=True)
class ImportResult:
    """An import that is complete, not yet written.

    Attributes:
        captures: The set.
        geometry: Places where the captures were found.
        simulated: The mean simulated capture of each sub-optic over the fitted images, (2 K, H, W).
        measured: The same as measured, registered, with its gain, (2 K, H, W).
        designed_psfs: Point spread functions as designed, of the shape of the measured ones; None
            where none were measured.
    """

    captures: CaptureDataset
    geometry: Geometry
    simulated: np.ndarray
    measured: np.ndarray
    designed_psfs: np.ndarray | None = None


def import_captures(
    source: Source,
    design: CapturedDesign,
    camera: Camera,
    *,
    skip_bad: bool = False,
    progress: Progress = _SILENT,
) -> ImportResult:
    """Import what a source holds.

    Args:
        source: Frames or arrays.
        design: The design of the run.
        camera: The camera's pixels.
        skip_bad: Leave images with saturated frames out, and count them.
        progress: Shows how far it is.

    Raises:
        DataError: The captures cannot be used; the message names and counts what is wrong.
    """
    image_ids, skipped = _choose_images(source, design, camera, skip_bad)
    enough = FITTED_PIXELS // (design.shape[0] * design.shape[1])
    most = min(FITTED, max(FEWEST_FITTED, enough))
    fitted = [one for one in image_ids if split_image_id(one)[0] != "test"][:most]
    fitted = fitted or [POINT]
    simulated = design.simulate(fitted)
    geometry = find_geometry(simulated, source, design, camera, fitted)
    seen = read_tiles(source, fitted, geometry, design.shape, _SILENT)
    tiles = read_tiles(source, image_ids, geometry, design.shape, progress)
    matching = _compare(source, design, geometry, tiles, image_ids, seen, simulated)
    if isinstance(source, FrameSource) and not source.corrections.darks:
        # Without a dark frame the background is known from the fit alone.
        tiles += matching.offsets.astype(np.float32)[:, None, None]
        seen = seen + matching.offsets[:, None, None]
    level = float(np.median(matching.gains[matching.gains > 0]))
    # The electronics weigh the captures as designed, of a 4f system with the gains of its kernels.
    weights = (level * design.electronic_gains()).astype(np.float32)[:, None, None]
    tiles *= weights
    captures = CaptureDataset(
        image_ids=np.array(image_ids, dtype=str),
        positive=np.ascontiguousarray(tiles[:, 0::2]),
        negative=np.ascontiguousarray(tiles[:, 1::2]),
        exposure_s=np.array([source.exposure_s(one) for one in image_ids], np.float32),
        gains=(matching.gains / level).reshape(-1, 2),
        quality=matching.correlations.reshape(-1, 2),
        measured=geometry.covered.reshape(-1, 2, *design.shape),
        notes=describe(source.where, design, geometry, matching, image_ids, level)
        | describe_source(source, skipped),
    )
    measured = seen.mean(0) * matching.gains[:, None, None]
    return ImportResult(captures, geometry, simulated.mean(0), measured)


def _choose_images(
    source: Source, design: CapturedDesign, camera: Camera, skip_bad: bool
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
    covered = dataset.task.cover(dataset.test.labels, dataset.classes)
    if len(learnt) < len(covered.names):
        raise DataError(
            f"{source.where}: {len(learnt)} captures are not of test images, fewer than the "
            f"{len(covered.names)} {covered.kind}; capture at least one of each from student_train "
            "(test images are never fitted)"
        )


def _compare(
    source: Source,
    design: CapturedDesign,
    geometry: Geometry,
    tiles: np.ndarray,
    image_ids: list[str],
    seen: np.ndarray,
    simulated: np.ndarray,
) -> Matching:
    """Check the order of all images, then compare those that are not for testing.

    Raises:
        DataError: Measurement and simulation do not agree.
    """
    if image_ids:
        simulated = design.simulate(image_ids)
        check_shown(tiles, simulated, geometry.covered, image_ids, design, source)
        check_order(tiles, simulated, geometry.covered, image_ids, source)
        learnt = [n for n, one in enumerate(image_ids) if split_image_id(one)[0] != "test"]
        seen, simulated = tiles[learnt], simulated[learnt]
    matching = compare(seen, simulated, geometry.covered)
    lit = simulated.any((0, 2, 3))
    median = float(np.median(matching.correlations[lit]))
    if median < LEAST_MEDIAN:
        worst = np.argsort(np.where(lit, matching.correlations, np.inf))[:SHOWN]
        names = ", ".join(f"{name_sub_optic(n)} {matching.correlations[n]:.2f}" for n in worst)
        raise DataError(
            f"{source.where}: measurement and simulation do not agree: the median correlation of "
            f"{int(lit.sum())} sub-optics is {median:.2f}, needed {LEAST_MEDIAN} ({names}); is "
            "this the run that the chip was made for, and are the camera's pixels right "
            "(--pixels-per-feature, --camera-pixel-um)?"
        )
    _check_signed(seen, simulated, geometry.covered, matching, source.where)
    return matching


def _check_signed(
    seen: np.ndarray, simulated: np.ndarray, covered: np.ndarray, matching: Matching, where: Path
) -> None:
    """Refuse captures that are of the right images, behind other kernels.

    Raises:
        DataError: They are.
    """
    light = (seen + matching.offsets[:, None, None]) * matching.gains[:, None, None]
    found = compare_features(light, simulated, covered)
    median = float(np.median(found)) if found.size else 1.0
    if median < LEAST_SIGNED:
        raise DataError(
            f"{where}: the captures are of the right images, but not behind the kernels of this "
            f"run: the median correlation of the features of {len(found)} kernels, less what all "
            f"share, is {median:.2f}, needed {LEAST_SIGNED}; name the run that the chip was made "
            "for"
        )


def with_psfs(imported: ImportResult, psfs: np.ndarray) -> ImportResult:
    """The same import with measured point spread functions, (K, 2, C, P, P)."""
    captures = replace(imported.captures, psfs=psfs.astype(np.float32))
    return replace(imported, captures=captures)
