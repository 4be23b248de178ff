"""Weights and biases in integers."""

from __future__ import annotations

import numpy as np

from hybridonn.deployment.tflite.weights import quantise_bias, quantise_weights


def test_each_channel_has_its_own_scale_and_none_is_lost() -> None:
    weights = np.array([[1.0, -2.0], [0.0, 0.0], [1e-6, 4e-7]], np.float32)
    integers, scales = quantise_weights(weights, 0)
    assert integers.tolist() == [[64, -127], [0, 0], [127, 51]]
    assert np.allclose(integers * scales[:, None], weights, atol=scales.max() / 2, rtol=0)
    turned, same = quantise_weights(weights.T, 1)
    assert (integers == turned.T).all()
    assert (same == scales).all()


def test_a_bias_is_in_steps_of_the_products_and_stays_in_32_bits() -> None:
    steps = np.array([0.5, 1e-12], np.float32)
    assert quantise_bias(np.array([1.26, 1.0]), steps).tolist() == [3, 2**31 - 1]
