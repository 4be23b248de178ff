"""Kernels from random features: without bias, their error falls as it must."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from hybridonn.tangent import TangentError
from hybridonn.tangent.infinite import (
    AdaptiveAveragePool,
    AveragePool,
    Convolution,
    Dense,
    Flatten,
    Relu,
    approximate_kernels,
    infinite_kernels,
)

NETWORKS = {
    "student": (
        Convolution(3, padding=1),
        Relu(),
        AdaptiveAveragePool(4),
        Flatten(),
        Dense(),
        Relu(),
        Dense(),
    ),
    "random kernels": (Convolution(3, padding=1, trained=False), Relu(), Flatten(), Dense()),
    "bias, stride, two pools": (
        Convolution(3, stride=2, padding=2, bias_variance=0.3),
        Relu(),
        AveragePool(2, stride=1),
        AdaptiveAveragePool(3),
        Flatten(),
        Dense(bias_variance=0.2),
    ),
}


def images(count, channels=2, size=9, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, channels, size, size, generator=generator, dtype=torch.float64) - 0.3


@pytest.mark.parametrize("kernel", ["ntk", "nngp"])
@pytest.mark.parametrize("name", NETWORKS)
def test_error_falls_as_one_over_the_root_of_the_features(name, kernel):
    layers, x = NETWORKS[name], images(10)
    exact = infinite_kernels(layers, x, kernel=kernel, dtype=torch.float64)
    counts, errors = (324, 1296, 5184), []
    for features in counts:
        found = [
            approximate_kernels(layers, x, kernel=kernel, features=features, seed=seed)
            for seed in range(6)
        ]
        squares = [((one - exact).norm() / exact.norm()) ** 2 for one in found]
        errors.append(math.sqrt(float(sum(squares)) / len(found)))
    slope = np.polyfit(np.log(counts), np.log(errors), 1)[0]
    assert abs(slope + 0.5) < 0.2
    assert errors[-1] < 0.005


def test_kernels_behind_flatten_have_no_bias():
    # One dense layer above: linear in what is sampled, so the mean over seeds must be exact.
    layers, x = NETWORKS["bias, stride, two pools"], images(4)
    exact = infinite_kernels(layers, x, dtype=torch.float64)
    found = torch.stack([approximate_kernels(layers, x, features=18, seed=s) for s in range(300)])
    error = (found.mean(0) - exact) / (found.std(0) / math.sqrt(300))
    assert error.abs().max() < 4.5


@pytest.mark.parametrize("name", NETWORKS)
def test_positive_semidefinite_and_symmetric(name):
    x = images(30)
    x[2], x[4] = x[1], 0
    kernel = approximate_kernels(NETWORKS[name], x, features=200)
    torch.testing.assert_close(kernel, kernel.T, rtol=1e-10, atol=1e-12)
    values = torch.linalg.eigvalsh(kernel)
    assert values.min() > -1e-10 * values.max()


def test_columns_are_columns_of_the_whole():
    x, columns = images(8), torch.tensor([5, 0, 3])
    whole = approximate_kernels(NETWORKS["student"], x, features=400)
    part = approximate_kernels(NETWORKS["student"], x, columns, features=400)
    same = torch.arange(8)[:, None] == columns
    expected = whole[:, columns]
    torch.testing.assert_close(part[~same], expected[~same], rtol=1e-12, atol=0)
    # The cosine of a sample with itself is one, and rounding grows to its square root in the angle.
    torch.testing.assert_close(part[same], expected[same], rtol=1e-7, atol=0)


def test_memory_does_not_change_the_numbers():
    x = images(8)
    few = approximate_kernels(NETWORKS["student"], x, features=400, memory_gb=20e-6)
    whole = approximate_kernels(NETWORKS["student"], x, features=400)
    torch.testing.assert_close(few, whole, rtol=1e-7, atol=0)


def test_refusals():
    deep = (Convolution(3), Relu(), Convolution(3), Relu(), Flatten(), Dense())
    with pytest.raises(TangentError, match="Convolution, Relu, Convolution"):
        approximate_kernels(deep, images(2))
    with pytest.raises(TangentError, match=r"memory_gb is 1e-07.*2 x 2"):
        approximate_kernels(NETWORKS["student"], images(2), memory_gb=1e-7)
    with pytest.raises(TangentError, match="int64"):
        approximate_kernels(NETWORKS["student"], torch.zeros(2, 2, 9, 9, dtype=torch.int64))
    fixed = (*NETWORKS["random kernels"][:-1], dataclasses.replace(Dense(), trained=False))
    with pytest.raises(TangentError, match="trained=True"):
        approximate_kernels(fixed, images(2))
