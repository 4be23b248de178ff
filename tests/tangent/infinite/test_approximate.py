import dataclasses
import math

import numpy as np
import pytest
import torch

from hybridonn.errors import DataError, SpecError
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
from hybridonn.tangent.infinite.block import block_of
from hybridonn.tangent.infinite.features import (
    draw_filters,
    linear_metric,
    mean_absolute,
    orthogonal_filters,
    pooled_features,
)
from hybridonn.tangent.infinite.geometry import Shape

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


def test_orthogonal_filters_have_one_length_and_right_angles():
    filters = orthogonal_filters(3, 12, 5, torch.Generator().manual_seed(0))
    gram = filters @ filters.mT
    torch.testing.assert_close(gram.diagonal(dim1=1, dim2=2), torch.full((3, 12), 5.0).double())
    assert gram[:, :5, :5].tril(-1).abs().max() < 1e-12
    assert gram[:, 5:10, 5:10].tril(-1).abs().max() < 1e-12
    assert gram[:, :5, 5:10].abs().max() > 0.5


def test_mean_absolute_projection_is_that_of_the_sphere():
    filters = orthogonal_filters(4000, 3, 3, torch.Generator().manual_seed(1))
    assert abs(float(filters[..., 0].abs().mean()) - mean_absolute(3)) < 0.02
    assert mean_absolute(1) == pytest.approx(1.0)
    assert mean_absolute(10**6) == pytest.approx(math.sqrt(2 / math.pi), rel=1e-5)


def test_linear_metric_is_the_mean_patches_inner_product():
    layers, x = NETWORKS["bias, stride, two pools"], images(3)
    block = block_of(layers, 2, Shape(9, 9))
    convolution, pools = block.convolution, layers[2:4]
    unfolded = torch.nn.functional.unfold(
        x, convolution.kernel_size, padding=convolution.padding, stride=convolution.stride
    ).unflatten(2, (6, 6))
    pooled = torch.nn.functional.avg_pool2d(unfolded, pools[0].size, pools[0].stride)
    pooled = torch.nn.functional.adaptive_avg_pool2d(pooled, pools[1].out).flatten(1)
    expected = pooled @ pooled.T * convolution.weight_variance / 18
    flat = x.flatten(1)
    found = flat @ linear_metric(block, x) @ flat.T
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)


def test_features_are_the_pooled_even_part_of_relu():
    layers, x = NETWORKS["student"], images(3)
    block = block_of(layers, 2, Shape(9, 9))
    (filters,) = draw_filters(block, 16 * 5, 16, tangent=True, seed=0)
    found = pooled_features(block, filters, x)
    cell = 6  # row 1, column 2 of the 4 x 4 cells
    for number in range(5):
        w, b = (
            one[cell, number].view(1, 2, 3, 3) * math.sqrt(2 / 18) for one in (filters.w, filters.b)
        )
        z = torch.conv2d(x, w, padding=1)
        norm = (
            torch.nn.functional.unfold(x, 3, padding=1).norm(dim=1) * math.sqrt(2 / 18)
        ).view_as(z)
        even = (z.abs() - mean_absolute(18) * norm) / 2 / math.sqrt(5)
        odd = z.sign() * torch.conv2d(x, b, padding=1) / 2 / math.sqrt(5)
        for one, expected in ((found.even.view(3, 16, 6), even), (found.odd.view(3, 16, 5), odd)):
            pooled = torch.nn.functional.adaptive_avg_pool2d(expected, 4)[:, 0, 1, 2]
            torch.testing.assert_close(one[:, cell, number], pooled, rtol=1e-10, atol=1e-12)


def test_filters_do_not_depend_on_how_cells_are_grouped():
    block = block_of(NETWORKS["student"], 2, Shape(9, 9))
    drawn = [
        torch.cat([f.w for f in draw_filters(block, 64, group, tangent=True, seed=3)])
        for group in (1, 3, 16)
    ]
    assert torch.equal(drawn[0], drawn[1])
    assert torch.equal(drawn[0], drawn[2])


def test_refusals():
    deep = (Convolution(3), Relu(), Convolution(3), Relu(), Flatten(), Dense())
    with pytest.raises(SpecError, match=r"this network is Convolution, Relu, Convolution.*exact"):
        approximate_kernels(deep, images(2))
    with pytest.raises(SpecError, match=r"memory_gb is 1e-07, but 2 x 2 kernels"):
        approximate_kernels(NETWORKS["student"], images(2), memory_gb=1e-7)
    with pytest.raises(DataError, match="int64"):
        approximate_kernels(NETWORKS["student"], torch.zeros(2, 2, 9, 9, dtype=torch.int64))
    fixed = (*NETWORKS["random kernels"][:-1], dataclasses.replace(Dense(), trained=False))
    with pytest.raises(SpecError, match="no layer is trained"):
        approximate_kernels(fixed, images(2))
