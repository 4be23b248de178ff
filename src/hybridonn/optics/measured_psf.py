"""Measured point spread functions, brought to the pixels of the scene.

A pixel of a camera integrates the light on its area, so that the light of a coarser pixel is the
sum over the areas that overlap: ``out = Y psf X^T`` with the overlaps of rows and of columns. No
light is lost or made.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from hybridonn.core.errors import OpticsError

# Light is not negative; what noise and the steps of a camera leave below zero is small.
NEGATIVE_SHARE = 0.02  # of the largest value


@dataclass(frozen=True)
class ScenePsfs:
    """Point spread functions at the pixels of the scene, and what was done to the measured ones.

    Attributes:
        psfs: (K, S, C, P, P), P odd; the light of the brightest image of a point is one.
        centres: Row and column of the centre of each kernel in the measurement, (K, 2).
        border: Median of the outermost measured pixels as a share of the brightest pixel.
        beyond: Share of the light that lies so far out that it never meets the scene.
        brightest: Number of measured pixels that hold the largest value; noise makes them few, a
            camera that saturates many.
    """

    psfs: np.ndarray
    centres: np.ndarray
    border: float
    beyond: float
    brightest: int


def bring_to_scene(
    measured: np.ndarray, pixels: float, scene: tuple[int, int], background: float = 0.0
) -> ScenePsfs:
    """Measured point spread functions at the pixels of the scene, each kernel on its centroid.

    Both signs and all colours of a kernel have one centroid, so that their places to each other
    stay. How bright they are to one another stays as well.

    Args:
        measured: (K, S, C, Y, X): kernels, signs, colours, rows, columns.
        pixels: Pixels of the measurement, along one side, in a pixel of the scene.
        scene: Rows and columns of a scene.
        background: Value of a dark pixel, which is subtracted.

    Raises:
        OpticsError: Values are clearly below zero, or a kernel or all light is missing.
    """
    light = measured.astype(np.float64) - background
    _refuse_negative(light, background)
    border = _find_border(light)
    light = light.clip(0)
    if dark := np.flatnonzero(~light.any((1, 2, 3, 4))).tolist():
        raise OpticsError(
            f"the point spread functions of {len(dark)} of {len(light)} kernels are dark "
            f"(kernel {dark[0]} is the first): there is nothing to see with; measure them again, "
            "or lower the background"
        )
    centres = find_centroids(light.sum((1, 2)))
    side = _find_side(centres, (light.shape[-2], light.shape[-1]), pixels, scene)
    made = np.stack(
        [_resample(own, at, pixels, side) for own, at in zip(light, centres, strict=True)]
    )
    totals = light.sum((-1, -2))
    beyond = 1 - made.sum() / totals.sum()
    brightest = int((light == light.max()).sum())
    return ScenePsfs(made / totals.max(), centres, border, beyond, brightest)


def find_centroids(light: np.ndarray) -> np.ndarray:
    """Rows and columns of the centres of gravity of images (K, Y, X), as (K, 2)."""
    total = light.sum((1, 2))
    rows = light.sum(2) @ np.arange(light.shape[1]) / total
    columns = light.sum(1) @ np.arange(light.shape[2]) / total
    return np.stack([rows, columns], 1)


def overlap(length: int, centre: float, pixels: float, side: int) -> np.ndarray:
    """Shares of pixels that lie in coarser or finer ones, (side, length).

    Args:
        length: Number of pixels.
        centre: Place of the middle of the new pixels, in pixels, 0 in the middle of the first.
        pixels: Pixels in a new one.
        side: Number of new pixels, odd.
    """
    edges = centre + 0.5 + pixels * (np.arange(side + 1) - side / 2)  # the first begins at 0
    starts = np.arange(length)
    low = np.maximum(edges[:-1, None], starts)
    high = np.minimum(edges[1:, None], starts + 1)
    return (high - low).clip(0)


def _find_side(
    centres: np.ndarray, shape: tuple[int, int], pixels: float, scene: tuple[int, int]
) -> int:
    """The odd side that holds all light, or all light that can meet the scene."""
    reach = np.maximum(centres + 0.5, np.array(shape) - 0.5 - centres).max()
    whole = 2 * math.ceil(reach / pixels - 0.5 - 1e-9) + 1
    return min(whole, 2 * max(scene) - 1)


def _resample(kernel: np.ndarray, centre: np.ndarray, pixels: float, side: int) -> np.ndarray:
    """One kernel (S, C, Y, X) on new pixels, (S, C, side, side)."""
    rows = overlap(kernel.shape[-2], float(centre[0]), pixels, side)
    columns = overlap(kernel.shape[-1], float(centre[1]), pixels, side)
    return rows @ kernel @ columns.T


def _find_border(light: np.ndarray) -> float:
    ends = light[..., [0, -1], :], light[..., [0, -1]]
    around = np.concatenate([one.ravel() for one in ends])
    return float(np.median(around) / light.max()) if light.max() > 0 else 0.0


def _refuse_negative(light: np.ndarray, background: float) -> None:
    low = int((light < -NEGATIVE_SHARE * light.max(initial=0)).sum())
    if low:
        raise OpticsError(
            f"{low:,} of {light.size:,} values of the point spread functions lie clearly below "
            f"zero after {background:g} was subtracted, down to {light.min():.3g} of "
            f"{light.max():.3g}, and light is not negative; state a lower background, or write "
            "the two signs of a kernel as two images, (K, 2, rows, columns)"
        )
