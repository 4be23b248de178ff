"""How sure a measured number is: the 95 % intervals of everything that is printed or drawn.

Every interval stays within what its number can be. Shares of independent images or chips have
Wilson's interval; means of shares (over images or seeds) have Student's t on the scale of
log-odds; differences have Student's t on the differences of pairs, or Bonett and Price's form of
it where every image is right or wrong; rank correlations have Fisher's transformation with the
variance of Bonett and Wright.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import atanh, exp, inf, log, log1p, sqrt, tanh

import numpy as np

Z_95 = 1.959963984540054  # the normal distribution holds 95 % within +-Z_95
LEAST_RANKED = 4  # pairs without which a rank correlation has no interval: its variance is 1/(n-3)


@dataclass(frozen=True)
class Difference:
    """A mean difference of pairs with its 95 % interval.

    Attributes:
        mean: Mean of the differences.
        low: Lower end; None: a single pair has no interval.
        high: Upper end, or None.
        pairs: Number of pairs.
    """

    mean: float
    low: float | None
    high: float | None
    pairs: int

    @property
    def clear(self) -> bool:
        """Whether the interval leaves zero out."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


@dataclass(frozen=True)
class PowerLaw:
    """The exponent of a fitted power law with its 95 % interval.

    Attributes:
        exponent: Slope of log y over log x.
        low: Lower end of the interval.
        high: Upper end of the interval.
        points: Number of points that were fitted.
    """

    exponent: float
    low: float
    high: float
    points: int

    def holds(self, exponent: float) -> bool:
        """Whether an exponent lies within the interval."""
        return self.low <= exponent <= self.high


def wilson_interval(correct: int, total: int) -> tuple[float, float]:
    """The 95 % score interval of a proportion, for independent images or chips.

    ``(p + z^2/2n +- z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n)``
    (Wilson 1927, J. Am. Stat. Assoc. 22, 209).

    Args:
        correct: Rightly named images, or good chips.
        total: All of them, at least one.

    Returns:
        (low, high) in [0, 1].
    """
    return _score_interval(correct / total, total, Z_95)


def mean_interval(values: np.ndarray) -> tuple[float, float]:
    """The 95 % interval of a mean of independent shares: images' scores, or seeds' accuracies.

    ``logit(m) +- t s / (sqrt(n) m (1 - m))``, taken back from log-odds to shares, with Student's
    t of n - 1 degrees of freedom (Korn and Graubard 1998, Survey Methodology 24, 193): it is the
    usual interval in the middle and never leaves [0, 1]. Where all values are 0, or all are 1,
    there is no spread to go by: they are taken as n images, all right or all wrong.

    Args:
        values: Shares in [0, 1], (N,); of a single one the interval is all of [0, 1].

    Returns:
        (low, high) in [0, 1].
    """
    values = np.asarray(values, dtype=float)
    if len(values) < 2:
        return 0.0, 1.0
    quantile = student_quantile(len(values) - 1)
    error = float(values.std(ddof=1)) / sqrt(len(values))
    return _log_odds_interval(float(values.mean()), error, len(values), quantile)


def share_interval(share: float, error: float, total: int) -> tuple[float, float]:
    """The 95 % interval of a share whose standard error is known, within [0, 1].

    ``logit(p) +- z e / (p (1 - p))``, taken back to shares, see :func:`mean_interval`.

    Args:
        share: Estimated, in [0, 1].
        error: Its standard error, from resampling for example.
        total: Images that it was tested on; they speak where the share is 0 or 1 and
            resampling cannot.

    Returns:
        (low, high) in [0, 1].
    """
    return _log_odds_interval(share, error, total, Z_95)


def score_interval(scores: np.ndarray, *, whole: bool) -> tuple[float, float]:
    """The 95 % interval of a network's metric, for independent test images.

    Args:
        scores: The metric of each image in [0, 1], (N,).
        whole: Whether each is 0 or 1: Wilson's interval, see :func:`wilson_interval`. Otherwise
            that of their mean, see :func:`mean_interval`.

    Returns:
        (low, high) in [0, 1].
    """
    if whole:
        return wilson_interval(round(float(np.sum(scores))), len(scores))
    return mean_interval(scores)


def mean_difference(values: np.ndarray, baseline: np.ndarray) -> Difference:
    """The mean difference of pairs with its 95 % interval.

    Student's t on the differences of the pairs; where all values are shares, cut at -1 and 1,
    which no difference of shares passes.

    Args:
        values: Values of one method by seed or image, (N,).
        baseline: Values of the other method on the same seeds or images, (N,).
    """
    values, baseline = np.asarray(values, dtype=float), np.asarray(baseline, dtype=float)
    gains = values - baseline
    mean, pairs = float(gains.mean()), len(gains)
    if pairs < 2:
        return Difference(mean, None, None, pairs)
    half = student_quantile(pairs - 1) * float(gains.std(ddof=1)) / sqrt(pairs)
    shares = min(values.min(), baseline.min()) >= 0 and max(values.max(), baseline.max()) <= 1
    most = 1.0 if shares else inf
    return Difference(mean, max(-most, mean - half), min(most, mean + half), pairs)


def score_difference(scores: np.ndarray, baseline: np.ndarray) -> Difference:
    """The mean difference of two networks' scores on the same images with its 95 % interval.

    Scores between 0 and 1 have Student's t, see :func:`mean_difference`. Where each is right
    (1) or wrong (0), only images that one names rightly and the other wrongly count, n10 and
    n01 of n. With ``p = (n10 + 1) / (n + 2)`` and ``q = (n01 + 1) / (n + 2)`` the interval is
    ``p - q +- z sqrt((p + q - (p - q)^2) / (n + 2))`` (Bonett and Price 2012, J. Educ. Behav.
    Stat. 37, 479): it does not shrink to nothing where the two agree on all images.

    Args:
        scores: Scores of one network, image by image, (N,).
        baseline: Scores of the other network, (N,).
    """
    scores, baseline = np.asarray(scores, dtype=float), np.asarray(baseline, dtype=float)
    if not np.isin([scores, baseline], (0, 1)).all():
        return mean_difference(scores, baseline)
    total = len(scores)
    gained, lost = int((scores > baseline).sum()), int((scores < baseline).sum())
    p, q = (gained + 1) / (total + 2), (lost + 1) / (total + 2)
    half = Z_95 * sqrt((p + q - (p - q) ** 2) / (total + 2))
    low, high = max(-1.0, p - q - half), min(1.0, p - q + half)
    return Difference((gained - lost) / total, low, high, total)


def rank_interval(correlation: float, pairs: int) -> tuple[float, float] | None:
    """The 95 % interval of Spearman's rank correlation.

    ``tanh(atanh(r) +- z sqrt((1 + r^2 / 2) / (n - 3)))`` (Bonett and Wright 2000, Psychometrika
    65, 23). Where both lists have the same order, r = 1 has no finite transform: the interval
    goes from that of the next lower value, two neighbours exchanged, to 1.

    Args:
        correlation: Correlation of the two lists, in [-1, 1].
        pairs: Length of the lists.

    Returns:
        (low, high) in [-1, 1]; None: of fewer than 4 pairs there is none.
    """
    if pairs < LEAST_RANKED:
        return None
    most = 1 - 12 / (pairs * (pairs**2 - 1))
    inner = min(most, max(-most, correlation))
    half = Z_95 * sqrt((1 + inner**2 / 2) / (pairs - 3))
    low = -1.0 if correlation < -most else tanh(atanh(inner) - half)
    high = 1.0 if correlation > most else tanh(atanh(inner) + half)
    return low, high


def fit_power_law(x: np.ndarray, y: np.ndarray) -> PowerLaw:
    """The exponent of ``y = c x^a`` by least squares of log y over log x.

    Its 95 % interval is ``a +- t s`` with the slope's standard error and Student's t of n - 2
    degrees of freedom (Draper and Smith 1998, section 1.4).

    Args:
        x: Positive, (N,), at least three different values.
        y: Positive, (N,).

    Raises:
        ValueError: Fewer than three different values of x: two points fit any line exactly.
    """
    if len(np.unique(x)) < 3:
        raise ValueError(f"a power law needs three different values of x, not {len(np.unique(x))}")
    across, up = (np.log(some) - np.log(some).mean() for some in (x, y))
    exponent = float(across @ up) / float(across @ across)
    rest = up - exponent * across
    error = sqrt(float(rest @ rest) / (len(x) - 2) / float(across @ across))
    half = student_quantile(len(x) - 2) * error
    return PowerLaw(exponent, exponent - half, exponent + half, len(x))


def student_quantile(freedom: int) -> float:
    """Student's t holds 95 % within plus and minus this, at so many degrees of freedom."""
    from scipy.stats import t

    return float(t.ppf(0.975, freedom))


def _log_odds_interval(
    share: float, error: float, total: int, quantile: float
) -> tuple[float, float]:
    spread = share * (1 - share)
    if spread <= 0:  # no value but 0, or but 1, was seen: log-odds are infinite
        return _score_interval(share, total, quantile)
    middle, half = log(share) - log1p(-share), quantile * error / spread
    return _from_log_odds(middle - half), _from_log_odds(middle + half)


def _from_log_odds(value: float) -> float:
    """The logistic function, without overflow at either end."""
    return 1 / (1 + exp(-value)) if value >= 0 else exp(value) / (1 + exp(value))


def _score_interval(share: float, total: int, quantile: float) -> tuple[float, float]:
    z2n = quantile**2 / total
    middle = share + z2n / 2
    half = quantile * sqrt(share * (1 - share) / total + z2n / (4 * total))
    return max(0.0, (middle - half) / (1 + z2n)), min(1.0, (middle + half) / (1 + z2n))
