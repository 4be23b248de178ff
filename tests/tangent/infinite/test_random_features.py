"""Random features of a convolution block: orthogonal filters, pooled even and odd parts."""

import math

import pytest
import torch

from hybridonn.tangent.infinite import (
    AdaptiveAveragePool,
    AveragePool,
    Convolution,
    Dense,
    Flatten,
    Relu,
    Shape,
    split_block,
)
from hybridonn.tangent.infinite.random_features import (
    draw_filters,
    linear_metric,
    mean_absolute,
    orthogonal_filters,
    pooled_features,
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
    block = split_block(layers, 2, Shape(9, 9))
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
    block = split_block(layers, 2, Shape(9, 9))
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
    block = split_block(NETWORKS["student"], 2, Shape(9, 9))
    drawn = [
        torch.cat([f.w for f in draw_filters(block, 64, group, tangent=True, seed=3)])
        for group in (1, 3, 16)
    ]
    assert torch.equal(drawn[0], drawn[1])
    assert torch.equal(drawn[0], drawn[2])
