"""Measured point spread functions: from captures of a point, or as arrays."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hybridonn.compensation.acquisition.capture_dataset import CaptureDataset
from hybridonn.compensation.acquisition.captured_design import CapturedDesign, name_sub_optic
from hybridonn.compensation.acquisition.corrections import repair
from hybridonn.compensation.acquisition.geometry import Geometry
from hybridonn.compensation.acquisition.importing import LEAST_MEDIAN, ImportResult
from hybridonn.compensation.acquisition.manifest import Frame, refuse
from hybridonn.compensation.acquisition.matching import CLEARLY, compare
from hybridonn.compensation.acquisition.notes import describe
from hybridonn.compensation.acquisition.placement import Placement, cover, cut, orient
from hybridonn.compensation.acquisition.registration import Registration
from hybridonn.compensation.acquisition.sources import FrameSource
from hybridonn.core.errors import DataError
from hybridonn.data.readers.psf_files import read_psf_array
from hybridonn.networks.frontends.frontend import split_signs
from hybridonn.optics.measured_psf import NEGATIVE_SHARE

MARGIN = 2  # pixels around the kernel in which light that misses it is kept
HOT_FACTOR = 3.0  # over the brightest neighbour, and over what is simulated around it
NOISE_DEVIATIONS = 6.0  # beyond what noise of all pixels of a set of captures does
BRIGHT_SHARE = 0.25  # of the largest value: pixels that say how bright the capture is


def simulate_psfs(design: CapturedDesign, size: int) -> np.ndarray:
    """Simulated captures of a point, upright, in the middle of (2 K, C, size, size)."""
    parts = np.stack([part.numpy() for part in split_signs(design.kernels.cpu().float())], 1)
    upright = parts.reshape(-1, *parts.shape[2:])[..., ::-1, ::-1]
    margin = (size - upright.shape[-1]) // 2
    return np.pad(upright, ((0, 0), (0, 0), (margin, margin), (margin, margin)))


def psfs_from_frames(
    source: FrameSource, geometry: Geometry, design: CapturedDesign, *, mend: bool = False
) -> np.ndarray | None:
    """Point spread functions from the frames of a point, (K, 2, C, P, P), P = k + 4.

    Args:
        source: Frames.
        geometry: Places where the sub-optics were found.
        design: The design of the run.
        mend: Set negative values to zero and hot pixels to the median of their neighbours.

    Returns:
        In the units of the kernels; None where no point was captured.

    Raises:
        DataError: Colours are missing, feature maps are coarser than the scene, or the captures
            hold clearly negative values or hot pixels.
    """
    frames = source.points()
    if not frames:
        return None
    if design.stride != 1:
        raise DataError(
            f"{source.where}: a point was captured, but student.stride is {design.stride}; give "
            "the point spread functions as an array with --psfs"
        )
    colours, size = design.kernels.shape[1], design.kernels.shape[-1] + 2 * MARGIN
    psfs = np.full((len(geometry.order), colours, size, size), np.nan)
    noise = np.zeros(psfs.shape[:2])
    for frame in frames:
        light = source.read_light(frame)
        if not source.corrections.darks:
            # All but a few pixels are dark when a point is shown: they say what black is.
            light -= np.median(light, (0, 1))
        for number in _sub_optics_in(frame, geometry):
            placement = _at_point(geometry.placements[number], design.shape)
            for channel, picture in _channels(light, frame, colours, source.where):
                turned = orient(picture, geometry.orientation)
                # Beyond the frame nothing is known of the light: it is taken for dark.
                within = cover((turned.shape[0], turned.shape[1]), placement, (size, size))
                psfs[number, channel] = cut(turned, placement, (size, size)) * within
                noise[number, channel] = _measure_noise(picture, placement)
    missing = np.argwhere(np.any(np.isnan(psfs), axis=(2, 3)))
    names = [f"{name_sub_optic(number)} colour {colour}" for number, colour in missing.tolist()]
    refuse(names, "captures of a point are missing", "add a row for each", source.where)
    return _finish(_judge(psfs, design, source.where, mend, noise), design)


def psfs_from_array(path: Path, design: CapturedDesign, *, mend: bool = False) -> np.ndarray:
    """Point spread functions from a .npy, the array ``psfs`` of a .npz, or an image.

    They are taken as they are: a capture that is sampled as coarsely as a kernel cannot be moved
    by parts of a pixel without blurring it.

    Args:
        path: Holds (K, 2, C, P, P), P odd and at least the kernel's size; (K, 2, P, P) where
            there is one colour.
        design: The design of the run.
        mend: Set negative values to zero and hot pixels to the median of their neighbours.

    Raises:
        DataError: The array does not fit the student, or holds negative values or hot pixels.
    """
    psfs = read_psf_array(path)
    kernels, colours, size = design.kernels.shape[0], *design.kernels.shape[1:3]
    if psfs.ndim == 4 and colours == 1:
        psfs = psfs[:, :, None]
    side = psfs.shape[-1] if psfs.ndim == 5 else 0
    if psfs.shape != (kernels, 2, colours, side, side) or side % 2 == 0 or side < size:
        raise DataError(
            f"{path} has the shape {psfs.shape}; the student of the run needs ({kernels}, 2, "
            f"{colours}, P, P): kernels, plus and minus, colours, and P odd and at least {size}"
        )
    if psfs.dtype.kind not in "uif" or not np.isfinite(psfs).all():
        raise DataError(f"{path} holds {psfs.dtype} or values that are not finite numbers")
    psfs = psfs.reshape(-1, *psfs.shape[2:]).astype(np.float64)
    return _finish(_judge(psfs, design, path, mend), design)


def _judge(
    psfs: np.ndarray,
    design: CapturedDesign,
    where: Path,
    mend: bool,
    noise: np.ndarray | None = None,
) -> np.ndarray:
    """Refuse negative values, other kernels and hot pixels, or mend what can be mended."""
    simulated = simulate_psfs(design, psfs.shape[-1])
    noise = np.zeros(psfs.shape[:2]) if noise is None else noise
    if not mend:
        _check_negative(psfs, simulated, where, noise)
    hot = find_hot(psfs, simulated, noise)
    mended = psfs.copy()
    for number, colour in np.argwhere(np.any(hot, axis=(2, 3))).tolist():
        mended[number, colour] = repair(psfs[number, colour], hot[number, colour])
    mended = np.maximum(mended, 0)
    _check_likeness(mended, simulated, design.kernels.shape[-1], where)
    if mend:
        return mended
    _check_hot(hot, where)
    return psfs


def import_psfs(path: Path, design: CapturedDesign, *, mend: bool = False) -> ImportResult:
    """A capture set without captures of images: point spread functions alone.

    Args:
        path: As for :func:`psfs_from_array`.
        design: The design of the run.
        mend: As for :func:`psfs_from_array`.

    Raises:
        DataError: As for :func:`psfs_from_array`.
    """
    psfs = psfs_from_array(path, design, mend=mend)
    measured = psfs.reshape(-1, *psfs.shape[2:]).sum(1)
    simulated = simulate_psfs(design, psfs.shape[-1]).sum(1)
    matching = compare(measured[None], simulated[None])
    still = Placement(np.zeros(2), np.eye(2))
    geometry = Geometry(
        np.arange(len(measured)),
        0,
        (still,) * len(measured),
        tuple(
            Registration((0.0, 0.0), 0.0, 1.0, 1.0, 0.0, float(r)) for r in matching.correlations
        ),
        np.ones((len(measured), *design.shape), bool),
    )
    nothing = np.zeros((0, len(psfs), *design.shape), np.float32)
    captures = CaptureDataset(
        image_ids=np.array([], dtype=str),
        positive=nothing,
        negative=nothing.copy(),
        exposure_s=np.zeros(0, np.float32),
        gains=matching.gains.reshape(-1, 2),
        quality=matching.correlations.reshape(-1, 2),
        psfs=psfs,
        notes=describe(path, design, geometry, matching, []),
    )
    return ImportResult(captures, geometry, simulated, measured * matching.gains[:, None, None])


def find_hot(psfs: np.ndarray, simulated: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Pixels far brighter than all eight neighbours, the simulation around them and the noise.

    Args:
        psfs: (M, C, P, P).
        simulated: (M, C, P, P).
        noise: Standard deviation of a pixel, (M, C); 0: not known.

    Returns:
        (M, C, P, P) bool.
    """
    from scipy.ndimage import maximum_filter

    ring = np.ones((1, 1, 3, 3), bool)
    around = maximum_filter(simulated, footprint=ring, mode="constant")
    ring = ring.copy()
    ring[0, 0, 1, 1] = False
    neighbours = maximum_filter(psfs, footprint=ring, mode="constant")
    bright = simulated > BRIGHT_SHARE * simulated.max((2, 3), keepdims=True)
    ratio = np.where(bright, psfs, np.nan) / np.where(bright, simulated, 1)
    lit = bright.any((2, 3))
    level = np.zeros(lit.shape)
    level[lit] = np.nanmedian(ratio[lit], (1, 2))
    level = level[..., None, None]
    floor = BRIGHT_SHARE * level * simulated.max((2, 3), keepdims=True)
    return (
        (psfs > HOT_FACTOR * neighbours)
        & (psfs > HOT_FACTOR * level * around)
        & (psfs > floor)
        & (psfs > NOISE_DEVIATIONS * noise[..., None, None])
        & lit[..., None, None]
    )


def _sub_optics_in(frame: Frame, geometry: Geometry) -> list[int]:
    """The sub-optics, in the order of the simulation, that a frame shows."""
    if frame.sub_optic is None:
        return list(range(len(geometry.order)))
    return [int(np.flatnonzero(geometry.order == frame.sub_optic)[0])]


def _channels(
    light: np.ndarray, frame: Frame, colours: int, where: Path
) -> list[tuple[int, np.ndarray]]:
    if light.ndim == 3 and colours == light.shape[2]:
        return [(channel, light[..., channel]) for channel in range(colours)]
    grey = light.sum(2) if light.ndim == 3 else light
    if colours == 1:
        return [(0, grey)]
    if frame.channel is None or not 0 <= frame.channel < colours:
        raise DataError(
            f"{where}: {frame.path.name} shows a point in grey, and the student has {colours} "
            f"colours; show one colour after the other, with a column channel of 0 to {colours - 1}"
        )
    return [(frame.channel, grey)]


def _at_point(placement: Placement, shape: tuple[int, int]) -> Placement:
    # The point is shown at pixel (H // 2, W // 2), which is half a pixel off the middle of an
    # even capture.
    away = np.array([side // 2 - (side - 1) / 2 for side in shape])
    return Placement(placement.origin + placement.matrix @ away, placement.matrix)


def _measure_noise(picture: np.ndarray, placement: Placement) -> float:
    """Standard deviation of a cut pixel: all but a few pixels of the frame of a point are dark."""
    # 1.4826: from the median absolute deviation to the standard deviation of a normal law.
    spread = 1.4826 * float(np.median(np.abs(picture - np.median(picture))))
    return spread / max(1.0, float(np.sqrt(abs(np.linalg.det(placement.matrix)))))


def _check_negative(
    psfs: np.ndarray, simulated: np.ndarray, where: Path, noise: np.ndarray
) -> None:
    brightest = psfs.max((1, 2, 3), keepdims=True).clip(0)
    # Where darkness is simulated, there is nothing but the camera's noise on both sides of zero.
    dark = ~simulated.any((1, 2, 3), keepdims=True)
    least = NEGATIVE_SHARE * np.where(dark, brightest.max(), brightest)
    # A point is dim beside the images that the exposure was chosen for: noise is no fault.
    negative = psfs < -np.maximum(least, NOISE_DEVIATIONS * noise[..., None, None])
    faults = [
        f"{name_sub_optic(number)} ({int(negative[number].sum())} pixels, down to "
        f"{psfs[number].min():.3g} of {psfs[number].max():.3g})"
        for number in np.flatnonzero(negative.any((1, 2, 3))).tolist()
    ]
    cure = (
        "light is not negative: subtract the dark frame once and of the same exposure, or set "
        "them to zero with --skip-bad"
    )
    refuse(faults, "point spread functions have negative values", cure, where)


def _check_hot(hot: np.ndarray, where: Path) -> None:
    faults = [
        f"{name_sub_optic(number)} ({int(hot[number].sum())} pixels)"
        for number in np.flatnonzero(hot.any((1, 2, 3))).tolist()
    ]
    cure = "take a dark frame, or replace them by their neighbours with --skip-bad"
    refuse(faults, "point spread functions have hot pixels", cure, where)


def _finish(psfs: np.ndarray, design: CapturedDesign) -> np.ndarray:
    """In the units of the kernels, not negative, (K, 2, C, P, P) float32."""
    simulated = simulate_psfs(design, psfs.shape[-1])
    gains = compare(psfs.sum(1)[None], simulated.sum(1)[None]).gains
    psfs = np.maximum(psfs, 0) * np.median(gains[gains > 0])
    return psfs.reshape(-1, 2, *psfs.shape[1:]).astype(np.float32)


def _check_likeness(psfs: np.ndarray, simulated: np.ndarray, size: int, where: Path) -> None:
    """Refuse point spread functions that are as much like other kernels as like their own.

    Raises:
        DataError: They are, or none looks like its kernel at all.
    """
    if not (compare(psfs.sum(1)[None], simulated.sum(1)[None]).gains > 0).any():
        raise DataError(
            f"{where}: no measured point spread function looks like its kernel; check their order"
        )
    lit = np.flatnonzero(simulated.any((1, 2, 3)))
    margin = (psfs.shape[-1] - size) // 2  # the darkness around all kernels is alike
    block = (..., slice(margin, margin + size), slice(margin, margin + size))
    seen, wanted = (one[lit].sum(1)[block].reshape(len(lit), -1) for one in (psfs, simulated))
    with np.errstate(invalid="ignore"):  # of a dark one there is no correlation
        likeness = np.nan_to_num(np.corrcoef(seen, wanted)[: len(lit), len(lit) :])
    own, others = np.diagonal(likeness), likeness[~np.eye(len(lit), dtype=bool)]
    least = max(0.0, float(np.median(others)) if others.size else 0.0) + CLEARLY
    median = float(np.median(own))
    if median < LEAST_MEDIAN and median < least:
        raise DataError(
            f"{where}: the measured point spread functions look no more like their own kernels "
            f"(median correlation {median:.2f}) than like others ({least - CLEARLY:.2f}); name the "
            "run that the chip was made for, and check their order"
        )
