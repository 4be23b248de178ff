"""From raw camera values to light: dark, flat, exposure, hot pixels.

``light = (raw - dark) / (flat - dark of flat) * mean(flat - dark of flat) / exposure`` (EMVA
Standard 1288, release 4.0, sections 2 and 8: a linear camera with an offset and a gain a pixel).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hybridonn.compensation.acquisition.manifest import DARK, FLAT, Frame, Manifest
from hybridonn.core.errors import DataError
from hybridonn.data.readers.frame_files import read_picture

HOT_DEVIATIONS = 12.0  # beyond what noise of a million pixels does, which ends near 5
DEAD_SHARE = 0.05  # of the mean flat: a pixel that sees less cannot be divided by it
MOST_BAD_SHARE = 0.02  # of pixels hot or dead; more is another fault than single pixels
COARSEST_STEP = 2.0**8  # of left-aligned values; larger ones are constants of a simulation


@dataclass(frozen=True)
class Corrections:
    """What turns raw captures of one camera into light.

    Attributes:
        darks: Capture without light by its exposure in seconds; empty: none taken.
        flat: Flat field of mean 1; None: none taken.
        bad: Pixels that are replaced by their neighbours, (H, W).
    """

    darks: dict[float, np.ndarray]
    flat: np.ndarray | None
    bad: np.ndarray | None

    @property
    def bad_pixels(self) -> int:
        """Number of hot and dead pixels."""
        return 0 if self.bad is None else int(self.bad.sum())

    def apply(self, raw: np.ndarray, exposure_s: float) -> np.ndarray:
        """Light a second, (H, W) or (H, W, 3) float64.

        Raises:
            DataError: There are dark frames, but none of this exposure; or dark or flat frames
                are of another size.
        """
        light = raw.astype(np.float64)
        if self.darks:
            light -= _fit(self.dark_of(exposure_s), "dark", raw)
        if self.flat is not None:
            light /= _fit(self.flat, "flat", raw)
        if self.bad is not None and self.bad.any():
            light = repair(light, self.bad)
        with np.errstate(over="ignore"):  # what is not finite is refused as such
            return light / exposure_s

    def dark_of(self, exposure_s: float) -> np.ndarray:
        """The dark frame of an exposure.

        Raises:
            DataError: None was taken with it.
        """
        for known, dark in self.darks.items():
            if np.isclose(known, exposure_s, rtol=1e-3):
                return dark
        known = ", ".join(f"{one:g}" for one in sorted(self.darks))
        raise DataError(
            f"no dark frame has an exposure of {exposure_s:g} s; there are some of {known} s: "
            f"take a dark of {exposure_s:g} s too"
        )


def read_corrections(manifest: Manifest) -> Corrections:
    """Average the dark and flat frames of a manifest and find hot and dead pixels.

    Raises:
        DataError: They differ in shape, a flat has no dark of its exposure or is dark itself, or
            too many pixels are bad.
    """
    darks: dict[float, list[np.ndarray]] = {}
    for frame in manifest.showing(DARK):
        darks.setdefault(frame.exposure_s, []).append(read_picture(frame.path))
    _check_alike([picture for pictures in darks.values() for picture in pictures], "dark")
    means = {exposure: np.mean(pictures, 0) for exposure, pictures in darks.items()}
    flat = _read_flat(manifest.showing(FLAT), Corrections(means, None, None))
    steps = [find_step(pictures) for pictures in darks.values()]
    bad = _find_bad(list(zip(means.values(), steps, strict=True)), flat)
    if bad is not None and bad.mean() > MOST_BAD_SHARE:
        raise DataError(
            f"{int(bad.sum())} of {bad.size} pixels are hot in the dark frame or dead in the "
            f"flat one; at most {MOST_BAD_SHARE:.0%} can be repaired: was the shutter closed, and "
            "the whole sensor lit?"
        )
    safe = None if flat is None else np.maximum(flat, DEAD_SHARE)
    return Corrections(means, safe, bad)


def find_step(pictures: Sequence[np.ndarray]) -> float:
    """The step between neighbouring values of a camera, above one where it is left-aligned.

    Args:
        pictures: As the camera wrote them, of one type; of floats the step is not known, 0.
    """
    if pictures[0].dtype.kind != "u":
        return 0.0
    used = int(np.bitwise_or.reduce([np.bitwise_or.reduce(one, axis=None) for one in pictures]))
    varied = any(np.ptp(one) > 0 for one in pictures)
    return min(COARSEST_STEP, float(used & -used)) if used and varied else 1.0


def repair(picture: np.ndarray, bad: np.ndarray) -> np.ndarray:
    """Replace bad pixels by the median of the good ones among their neighbours.

    Args:
        picture: (H, W) or (H, W, C).
        bad: (H, W); where 5 x 5 pixels are all bad, the nearest good one goes on.
    """
    repaired = picture.copy()
    if bad.all():
        return repaired
    masked = np.where(bad if picture.ndim == 2 else bad[..., None], np.nan, picture)
    for row, column in zip(*np.nonzero(bad), strict=True):
        for reach in (1, 2):
            rows = slice(max(0, row - reach), row + reach + 1)
            near = masked[rows, max(0, column - reach) : column + reach + 1].reshape(
                -1, *picture.shape[2:]
            )
            if not np.isnan(near).all():
                repaired[row, column] = np.nanmedian(near, 0)
                break
        else:
            repaired[row, column] = picture[_find_nearest(~bad, row, column)]
    return repaired


def _find_nearest(good: np.ndarray, row: int, column: int) -> tuple[int, int]:
    rows, columns = np.nonzero(good)
    place = int(np.argmin((rows - row) ** 2 + (columns - column) ** 2))
    return int(rows[place]), int(columns[place])


def _read_flat(frames: Sequence[Frame], darkened: Corrections) -> np.ndarray | None:
    if not frames:
        return None
    lights = [darkened.apply(read_picture(frame.path), frame.exposure_s) for frame in frames]
    _check_alike(lights, "flat")
    mean = np.mean(lights, 0)
    level = mean.mean((0, 1))
    if not np.all(level > 0):
        raise DataError(
            f"the flat frames ({frames[0].path.name} ...) are not brighter than the dark ones; "
            "light the whole sensor evenly and take them again"
        )
    return mean / level


def _fit(correction: np.ndarray, kind: str, raw: np.ndarray) -> np.ndarray:
    # Never broadcast: a dark frame of one row would be taken from every row without a word.
    if correction.shape != raw.shape:
        raise DataError(
            f"the {kind} captures have the size {correction.shape}, and another capture has "
            f"{raw.shape}; take all with one setting"
        )
    return correction


def _check_alike(pictures: list[np.ndarray], kind: str) -> None:
    shapes = sorted({picture.shape for picture in pictures})
    if len(shapes) > 1:
        raise DataError(f"the {kind} captures have the sizes {shapes}; take all with one setting")


def _find_bad(darks: list[tuple[np.ndarray, float]], flat: np.ndarray | None) -> np.ndarray | None:
    masks = [_is_hot(dark, step) for dark, step in darks]
    if flat is not None:
        masks.append(_any_colour(flat < DEAD_SHARE))
    if len({mask.shape for mask in masks}) > 1:
        raise DataError("the dark and flat frames differ in size; take all with one setting")
    return np.any(masks, axis=0) if masks else None


def _is_hot(dark: np.ndarray, step: float) -> np.ndarray:
    middle = np.median(dark, (0, 1))
    # 1.4826: from the median absolute deviation to the standard deviation of a normal law.
    spread = np.maximum(1.4826 * np.median(np.abs(dark - middle), (0, 1)), step)
    spread = np.where(spread > 0, spread, dark.std((0, 1)))  # floats that are mostly alike
    return _any_colour(dark > middle + HOT_DEVIATIONS * spread)


def _any_colour(mask: np.ndarray) -> np.ndarray:
    return np.any(mask, axis=2) if mask.ndim == 3 else mask
