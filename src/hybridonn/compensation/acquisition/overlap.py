"""How likely two stacks of captures show the same, by their shift, over the pixels that they share.

The law: one stack is the other, shifted, times a gain, plus an offset and white noise. At the best
gain and offset the logarithm of the likelihood of n shared pixels is ``-n log(1 - r^2) / 2`` but
for a constant, r their correlation. All sums over shared pixels are correlations of the captures,
their squares and their masks, so transforms give them at all shifts at once (Padfield 2012, IEEE
Trans. Image Process. 21, 2706, equations 8 to 16).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

SMALLEST = 1e-6  # of the power that may be left over: beyond it rounding decides


@dataclass(frozen=True)
class Transforms:
    """Fourier transforms of a stack, of its sums and of the pixels that count.

    Attributes:
        shape: Of the captures that were transformed, at least twice the stack's to reach all
            shifts.
        each: Of every capture less the mean of all, (S, *shape) as of real captures.
        mask: Transform of the mask of the pixels that count.
        total: Transform of the sum of the captures.
        square: Transform of the sum of the squared captures.
    """

    shape: tuple[int, ...]
    each: np.ndarray
    mask: np.ndarray
    total: np.ndarray
    square: np.ndarray

    def shift_all(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        """``sum over q of one(q + shift) other(q)`` at every shift, (..., *shape)."""
        return np.fft.irfft2(one * other.conj(), self.shape)


def transform(pictures: np.ndarray, covered: np.ndarray, shape: tuple[int, ...]) -> Transforms:
    """Transform a stack.

    Args:
        pictures: (S, H, W).
        covered: Pixels that count, (H, W) bool.
        shape: Shape of the transforms.
    """
    # Less their mean: its square would round away the variance of faint captures.
    mean = pictures[:, covered].mean() if covered.any() else 0.0
    pictures = (pictures - mean) * covered
    sums = (covered, pictures.sum(0), (pictures**2).sum(0))
    return Transforms(
        shape, np.fft.rfft2(pictures, shape), *(np.fft.rfft2(one, shape) for one in sums)
    )


@dataclass(frozen=True)
class Moments:
    """Sums over the pixels that a stack shares with another one, at every shift, (*shape) each.

    Attributes:
        total: Sum of the values.
        power: Sum of their squares, less the square of their mean.
    """

    total: np.ndarray
    power: np.ndarray


def likelihood(one: Transforms, other: Transforms) -> np.ndarray:
    """Logarithm of the likelihood of every shift of one stack on another, (*shape).

    Where the correlation is negative, it is that of captures that have nothing in common, 0.

    Args:
        one: The stack that is shifted.
        other: The stack that stays, of as many captures and the same shape.
    """
    n = _count(one, other)
    return _likelihood(one, other, _shifted(one, other, n), _staying(one, other, n), n)


def best_likelihoods(
    ones: Sequence[Transforms], others: Sequence[Transforms], searched: np.ndarray
) -> np.ndarray:
    """The greatest likelihood of each pair of stacks, (others, ones).

    Args:
        ones: Stacks that are shifted, all with the same pixels that count.
        others: Stacks that stay, all with the same pixels that count.
        searched: Shifts that are looked at, (*shape) bool.
    """
    n = _count(ones[0], others[0])
    shifted = [_shifted(one, others[0], n) for one in ones]
    found = np.empty((len(others), len(ones)))
    for row, other in enumerate(others):
        staying = _staying(ones[0], other, n)
        for column, one in enumerate(ones):
            likely = _likelihood(one, other, shifted[column], staying, n)
            found[row, column] = likely[searched].max()
    return found


def _count(one: Transforms, other: Transforms) -> np.ndarray:
    """Number of values that two stacks share at every shift."""
    return np.maximum(one.shift_all(one.mask, other.mask), 1) * len(one.each)


def _shifted(one: Transforms, other: Transforms, n: np.ndarray) -> Moments:
    x, xx = (one.shift_all(sums, other.mask) for sums in (one.total, one.square))
    return Moments(x, xx - x * x / n)


def _staying(one: Transforms, other: Transforms, n: np.ndarray) -> Moments:
    y, yy = (one.shift_all(one.mask, sums) for sums in (other.total, other.square))
    return Moments(y, yy - y * y / n)


def _likelihood(
    one: Transforms, other: Transforms, shifted: Moments, staying: Moments, n: np.ndarray
) -> np.ndarray:
    product = np.fft.irfft2((one.each * other.each.conj()).sum(0), one.shape)
    xy = product - shifted.total * staying.total / n
    power = np.maximum(shifted.power * staying.power, 0)
    r = np.clip(xy / np.sqrt(np.where(power > 0, power, np.inf)), 0, 1)
    return -n * np.log(1 - r * r + SMALLEST) / 2


def near(shape: tuple[int, ...], most: tuple[float, ...]) -> np.ndarray:
    """Shifts of at most so many pixels along each axis, (*shape) bool."""
    reached = []
    for period, limit in zip(shape, most, strict=True):
        steps = np.arange(period)
        reached.append(np.minimum(steps, period - steps) <= limit)
    return reached[0][:, None] & reached[1]
