"""Weights and biases in integers (Jacob et al. 2018, arXiv 1712.05877, section 3)."""

from __future__ import annotations

import numpy as np

LARGEST = 127  # weights are symmetric, so that -128 is left out


def quantise_weights(weights: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Weights as int8 with one scale for each output channel.

    Args:
        weights: Any shape.
        axis: The axis of the output channels.

    Returns:
        The integers, and the scales, (channels,) float32.
    """
    others = tuple(one for one in range(weights.ndim) if one != axis)
    largest = np.abs(weights).max(axis=others)
    scales = np.where(largest > 0, largest / LARGEST, 1.0).astype(np.float32)
    shape = [1] * weights.ndim
    shape[axis] = -1
    integers = np.rint(weights / scales.reshape(shape)).clip(-LARGEST, LARGEST)
    return integers.astype(np.int8), scales


def quantise_bias(bias: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """A bias as int32, in steps of the products that it is added to.

    Args:
        bias: (channels,).
        steps: Scale of the input times scale of the weights, (channels,).
    """
    limits = np.iinfo(np.int32)
    return np.rint(bias / steps).clip(limits.min, limits.max).astype(np.int32)
