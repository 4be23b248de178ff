"""How well measurement and simulation agree: order of images, pairing, gains, correlation."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from hybridonn.compensation.acquisition.overlap import best_likelihoods, near, transform
from hybridonn.optics.waves.pruned_fft import fast_length

MOST_SHIFT_PIXELS = 5  # between sub-optics before each is registered
CLEARLY = 0.1  # by how much another image must fit better to be called another one
COARSE_SIDE = 56  # pixels along a side by which images are told from one another
LEAST_USUAL = 0.25  # quantile of the images' correlations with their own that another must reach
PAIRED = 16  # images by which sub-optics are paired
NAMED_BONUS = 1.0  # another name must leave less than 1/e of the unexplained power
NOTHING = 1e-8  # of the power: what rounding leaves of a feature that the mean explains
AT_A_TIME = 256  # images compared with one another


@dataclass(frozen=True)
class Matching:
    """Measured against simulated captures of each sub-optic.

    Attributes:
        gains: What measured captures are multiplied by to be the simulated ones, (M,); 0 where a
            sub-optic does not follow the simulation at all.
        offsets: What is added to them before, (M,): minus the background.
        correlations: (M,), from -1 to 1.
    """

    gains: np.ndarray
    offsets: np.ndarray
    correlations: np.ndarray


def compare(
    measured: np.ndarray, simulated: np.ndarray, covered: np.ndarray | None = None
) -> Matching:
    """Fit ``measured = slope simulated + background`` for each sub-optic, over all images.

    The noise is in the measured captures, so they are fitted by the simulated ones: the other way
    round the gain would be too small by the noise's share of their power.

    Args:
        measured: (N, M, H, W).
        simulated: (N, M, H, W).
        covered: Pixels at which something was measured, (M, H, W) bool; None: all.
    """
    weights = np.ones(measured.shape[1:]) if covered is None else covered.astype(np.float64)
    count = np.maximum(1, len(measured) * weights.sum((1, 2)))

    def mean(*factors: np.ndarray) -> np.ndarray:
        total = np.zeros(measured.shape[1])
        for at in range(0, len(measured), AT_A_TIME):
            some = (factor[at : at + AT_A_TIME].astype(np.float64) for factor in factors)
            total += np.einsum("nmhw,mhw->m", math.prod(some), weights)
        return total / count

    x0, y0 = mean(simulated), mean(measured)
    xx = mean(simulated, simulated) - x0 * x0
    yy = mean(measured, measured) - y0 * y0
    xy = mean(simulated, measured) - x0 * y0
    slope = np.where(xx > 0, xy / np.where(xx > 0, xx, 1), 0)
    spread = np.sqrt(np.maximum(xx * yy, 0))
    correlation = np.where(spread > 0, xy / np.where(spread > 0, spread, 1), 0)
    gains = np.where(slope > 0, 1 / np.where(slope > 0, slope, 1), 0)
    return Matching(gains, slope * x0 - y0, correlation)


def compare_features(
    light: np.ndarray, simulated: np.ndarray, covered: np.ndarray | None = None
) -> np.ndarray:
    """How much features are those of their own kernels and not of any.

    The captures of an image are alike behind all kernels. So of each feature, plus less minus, what
    the mean of all simulated captures explains is taken away before measured and simulated ones
    are correlated: a partial correlation.

    Args:
        light: Captures in the units of the simulation, (N, 2 K, H, W).
        simulated: (N, 2 K, H, W).
        covered: Pixels at which something was measured, (2 K, H, W) bool; None: all.

    Returns:
        Partial correlations, (at most K,): features that the mean explains are left out.
    """
    found = []
    mean = simulated.mean(1, dtype=np.float64)
    for plus in range(0, light.shape[1], 2):
        used = common_pixels(light.shape[2:], None if covered is None else covered[plus : plus + 2])
        columns = np.stack([mean[:, used].ravel(), np.ones(mean[:, used].size)], 1)
        pair = [(some[:, plus] - some[:, plus + 1])[:, used].ravel() for some in (light, simulated)]
        both = np.stack(pair, 1).astype(np.float64)
        own = both - columns @ np.linalg.lstsq(columns, both, rcond=None)[0]
        (xx, xy), (_, yy) = own.T @ own
        there = np.array([xx, yy]) > NOTHING * (both**2).sum(0)
        if there[1]:
            found.append(xy / np.sqrt(xx * yy) if there[0] else 0.0)
    return np.array(found)


def pair_sub_optics(
    measured: np.ndarray, simulated: np.ndarray, covered: np.ndarray | None = None
) -> np.ndarray:
    """Which measured sub-optic shows what: the most likely assignment.

    The assignment maximises the likelihood under white noise, each pair with its best gain, offset
    and shift, see :mod:`hybridonn.compensation.acquisition.overlap`. Sub-optics see the same image
    and look alike, so they keep the names that they were given unless others leave clearly less.

    Args:
        measured: (N, M, H, W).
        simulated: (N, M, H, W).
        covered: Pixels at which something was measured, (M, H, W) bool; None: all. Pairs are
            compared where all sub-optics have them.

    Returns:
        (M,) int: ``measured[:, result]`` is in the order of ``simulated``.
    """
    from scipy.ndimage import zoom
    from scipy.optimize import linear_sum_assignment

    common = common_pixels(measured.shape[2:], covered)
    fine = np.kron(common, np.ones((2, 2), bool))
    shape = tuple(fast_length(n + 2 * MOST_SHIFT_PIXELS) for n in fine.shape)
    searched = near(shape, (2 * MOST_SHIFT_PIXELS,) * 2)  # half pixels
    seen, wanted = (
        [
            transform(np.asarray(zoom(stack[:PAIRED, number], (1, 2, 2), order=1)), fine, shape)
            for number in range(stack.shape[1])
        ]
        for stack in (measured, simulated)
    )
    pixels = fine.sum() * len(measured[:PAIRED])
    scores = best_likelihoods(seen, wanted, searched) * 2 / max(1, pixels)
    named = np.arange(len(scores))
    scores[named, named] += NAMED_BONUS
    return linear_sum_assignment(-scores)[1]


def find_disorder(
    measured: np.ndarray, simulated: np.ndarray, covered: np.ndarray | None = None
) -> list[tuple[int, int]]:
    """Captures that look like another image than they should.

    Args:
        measured: (N, H, W), best the sum over all sub-optics, which no pairing changes.
        simulated: (N, H, W).
        covered: Pixels at which something was measured, (H, W) bool; None: all.

    Returns:
        (position, position of the image that it looks like) of each such capture.
    """
    found = []
    common = np.ones(measured.shape[1:], bool) if covered is None else covered
    bins = max(1, min(measured.shape[1:]) // COARSE_SIDE)  # which image it is, coarse ones tell
    measured, simulated = (_bin(stack, bins) for stack in (measured, simulated))
    common = _bin(common[None].astype(np.float32), bins)[0] > 1 - 1e-6
    for start in range(0, len(measured), AT_A_TIME):
        block = slice(start, start + AT_A_TIME)
        seen, wanted = (
            _contrasts(stack[block], common)[:, None] for stack in (measured, simulated)
        )
        scores = shifted_correlations(seen, wanted, MOST_SHIFT_PIXELS)
        best, own = scores.argmax(1), scores.diagonal()
        # Another image must also fit as images do here: behind poor optics, on few pixels, chance
        # finds a better one for a capture that fits none.
        usual = np.quantile(own, LEAST_USUAL)
        wrong = np.flatnonzero((scores.max(1) > own + CLEARLY) & (scores.max(1) >= usual))
        found += [(start + int(i), start + int(best[i])) for i in wrong]
    return found


def find_impostors(
    measured: np.ndarray, simulated: np.ndarray, others: np.ndarray, covered: np.ndarray
) -> list[int]:
    """Positions of captures that look clearly more like others than like their own.

    Args:
        measured: (N, H, W).
        simulated: What they should show, (N, H, W).
        others: What else might have been shown, (N, H, W).
        covered: Pixels at which something was measured, (H, W) bool.
    """
    found = []
    for number in range(len(measured)):
        one = _contrasts(measured[number : number + 1], covered)[:, None]
        two = np.concatenate(
            [_contrasts(stack[number : number + 1], covered) for stack in (simulated, others)]
        )[:, None]
        own, other = shifted_correlations(one, two, MOST_SHIFT_PIXELS)[0]
        if other > own + CLEARLY:
            found.append(number)
    return found


def common_pixels(shape: tuple[int, ...], covered: np.ndarray | None) -> np.ndarray:
    """Pixels that were measured behind all sub-optics, (H, W) bool.

    Args:
        shape: (H, W).
        covered: Pixels of each sub-optic that were measured, (M, H, W) bool; None: all.
    """
    return np.ones(shape, bool) if covered is None else np.logical_and.reduce(covered)


def shifted_correlations(left: np.ndarray, right: np.ndarray, most: int) -> np.ndarray:
    """The highest correlation of each pair of stacks over small shifts, (A, B).

    Args:
        left: (A, S, H, W), stacks of S captures.
        right: (B, S, H, W).
        most: Pixels of shift along an axis.
    """
    shape = tuple(fast_length(n + most) for n in left.shape[2:])
    a, b = (np.fft.rfft2(_unit(stack), shape).astype(np.complex64) for stack in (left, right))
    near = np.array([*range(most + 1), *range(-most, 0)])
    scores = np.empty((len(a), len(b)))
    for row, one in enumerate(a):
        product = np.einsum("shw,bshw->bhw", one, b.conj())
        correlation = np.fft.irfft2(product, shape)[:, near[:, None], near]
        scores[row] = correlation.max((1, 2))
    return scores


def _bin(stack: np.ndarray, side: int) -> np.ndarray:
    """The means of side x side pixels, (N, H / side, W / side)."""
    if side == 1:
        return stack
    rows, columns = (length // side for length in stack.shape[1:])
    whole = stack[:, : rows * side, : columns * side]
    return whole.reshape(len(stack), rows, side, columns, side).mean((2, 4))


def _contrasts(pictures: np.ndarray, common: np.ndarray) -> np.ndarray:
    """Captures of equal brightness without what all of them share, (N, H, W)."""
    if not common.any():
        return np.zeros_like(pictures)
    light = (pictures - pictures[:, common].min(1)[:, None, None]) * common
    light = light / np.maximum(light.sum((1, 2), keepdims=True), 1e-30)
    if len(light) > 2:
        return light - light.mean(0)
    return (light - light[:, common].mean(1)[:, None, None]) * common


def _unit(stack: np.ndarray) -> np.ndarray:
    norm = np.sqrt((stack**2).sum((1, 2, 3), keepdims=True))
    return stack / np.maximum(norm, 1e-30)
