"""What the stage ``metasurface`` leaves for the report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hybridonn.core.errors import ArtefactError
from hybridonn.reports.artefacts.reading import read_arrays, refusal
from hybridonn.spec import read_spec

STAGE = "the metasurface stage"


SHAPES = {"psf": 5, "target": 5, "gains": 3, "fine_psf": 5, "fine_target": 5}


@dataclass(frozen=True)
class SimulatedOptics:
    """What the stage ``metasurface`` leaves for the report; all planes are upright.

    Attributes:
        psf: Light a pixel of the camera, in weights of the kernel, (K, 2, C, n, n).
        target: Wanted, likewise.
        light: Light of the shown kernels a cell, relative, (S, 2, C, h, w), of the same extent.
        shown: Which of the K kernels these are.
        sizes: Pixels along a side of each kernel's block on the sensor, (K,).
        binnings: Pixels, along one side, that are summed into one where a kernel is read out, (K,).
        wavelengths_nm: Wavelengths of the C colours.
        results: The numbers of the stage.
    """

    psf: np.ndarray
    target: np.ndarray
    light: np.ndarray
    shown: tuple[int, ...]
    sizes: np.ndarray
    binnings: np.ndarray
    wavelengths_nm: tuple[float, ...]
    results: dict[str, Any]


def read_optics(folder: Path, results: dict[str, Any], kernels: np.ndarray) -> SimulatedOptics:
    """Read what a run's metasurface does.

    Args:
        folder: The run.
        results: The numbers of its stage ``metasurface``.
        kernels: Kernels of the student, (K, C, k, k).

    Raises:
        ArtefactError: A file is missing, damaged, or contradicts another one.
    """
    path = folder / "metasurface" / "psf.npz"
    extra: dict[str, int] = {"shown": 1, "sizes": 1, "binnings": 1}
    arrays = read_arrays(path, STAGE, SHAPES, optional=extra, whole=tuple(extra))
    count, colours = kernels.shape[:2]
    size, shown = arrays["target"].shape[-1], len(arrays["fine_psf"])
    window, fine = arrays["psf"].shape[-1], arrays["fine_psf"].shape[-1]
    shapes = {
        "psf": (count, 2, colours, window, window),
        "target": (count, 2, colours, size, size),
        "gains": (count, 2, colours),
        "fine_psf": (min(shown, count), 2, colours, fine, fine),
        "fine_target": (shown, 2, colours, fine, fine),
    }
    for name, shape in shapes.items():
        if arrays[name].shape != shape:
            found = f"{name} has the shape {arrays[name].shape}, and the kernels are {shape}"
            raise ArtefactError(refusal(path, STAGE, found))
    # A stage of an earlier version has kernels of one size, and shows the first.
    chosen = arrays.get("shown", np.arange(shown))
    sizes = arrays.get("sizes", np.full(count, kernels.shape[-1]))
    binnings = arrays.get("binnings", np.ones(count, int))
    if {len(sizes), len(binnings)} != {count} or sizes.max() != size or sizes.min() < 1:
        found = f"the targets have {size} pixels, and the kernels {sizes.max()}"
        raise ArtefactError(refusal(path, STAGE, found))
    if len(chosen) != shown or not set(chosen.tolist()) <= set(range(count)):
        found = f"it shows {shown} kernels and calls them {chosen.tolist()}, of {count}"
        raise ArtefactError(refusal(path, STAGE, found))
    if binnings.min() < 1:
        raise ArtefactError(refusal(path, STAGE, f"binnings are {binnings.tolist()}"))
    _check_parts(folder, results, colours, len(set(binnings.tolist())))
    # A target's pixel is as many cells across as a cell of the simulated plane repeats it.
    lit = np.count_nonzero(arrays["target"][chosen])
    side = round((np.count_nonzero(arrays["fine_target"]) / max(lit, 1)) ** 0.5)
    if side < 1 or window < size or fine < size * side or fine % side:
        found = f"{fine} cells and {window} pixels do not show a kernel of {size} pixels"
        raise ArtefactError(refusal(path, STAGE, found))
    pixels = min(window, fine // side)
    scale = np.abs(kernels).max(axis=(2, 3))[:, None, :, None, None]
    gains = arrays["gains"][..., None, None]
    return SimulatedOptics(
        psf=resize(arrays["psf"], pixels) * gains,
        target=resize(arrays["target"], pixels) * scale,
        light=resize(arrays["fine_psf"], pixels * side),
        shown=tuple(chosen.tolist()),
        sizes=sizes,
        binnings=binnings,
        wavelengths_nm=_read_wavelengths(folder, colours),
        results=results,
    )


def _check_parts(folder: Path, results: dict[str, Any], colours: int, branches: int) -> None:
    """Refuse numbers by colour or by resolution that are not one for each.

    Raises:
        ArtefactError: A list has another length.
    """
    ends = {"_by_colour": colours, "psf_residual": colours, "_by_branch": branches}
    for key, value in results.items():
        count = next((ends[end] for end in ends if key.endswith(end)), None)
        if count is not None and len(value) < count:
            found = f"metasurface.{key} holds {len(value)} numbers, and {count} are needed"
            raise ArtefactError(refusal(folder / "results.json", "the run itself", found))


def resize(planes: np.ndarray, size: int) -> np.ndarray:
    """Small planes with darkness around them, large ones cut to their middle."""
    more = size - planes.shape[-1]
    if more > 0:
        ends = (more // 2, more - more // 2)
        return np.pad(planes, [(0, 0)] * (planes.ndim - 2) + [ends, ends])
    first = -more // 2
    return planes[..., first : first + size, first : first + size]


def _read_wavelengths(folder: Path, colours: int) -> tuple[float, ...]:
    wavelengths_m = read_spec(folder / "spec.yaml").optics.wavelengths_m(colours)
    return tuple(wavelength * 1e9 for wavelength in wavelengths_m)


def name_resolutions(optics: SimulatedOptics) -> list[str]:
    """Name the resolutions of the branches, fine to coarse; none where all have one."""
    binnings = dict.fromkeys(optics.binnings.tolist())
    if len(binnings) == 1:
        return []
    return ["full" if binning == 1 else f"1/{binning}" for binning in binnings]
