"""Projections of factored gradients keep inner products in expectation."""

import pytest
import torch

from hybridonn.tangent.empirical.contraction import contract
from hybridonn.tangent.empirical.gradient_factors import (
    ExplicitGradient,
    FactoredGradient,
    LayerCall,
)
from hybridonn.tangent.empirical.random_projection import Projection


def random(*shape):
    return torch.randn(shape, dtype=torch.float64)


def factored(T, bias):
    call = LayerCall(random(3, 2, 9, T), random(3, 2, 2, 8, T))
    return FactoredGradient((call,), lambda g: g, lambda a: a, "weight", bias, lambda m: m)


# Few and many positions; the second multiplies the factors before it compresses them.
GRADIENTS = {
    "left and right": lambda: factored(3, None),
    "product first": lambda: factored(20, None),
    "bias": lambda: factored(3, "bias"),
    "explicit": lambda: ExplicitGradient("gain", random(3, 2, 40)),
}


@pytest.mark.parametrize("side", [5, 128])  # longer axes are compressed
@pytest.mark.parametrize("name", GRADIENTS)
def test_inner_products_are_unbiased(name, side):
    torch.manual_seed(0)
    gradient, draws = GRADIENTS[name](), []
    like = torch.zeros(1, dtype=torch.float64)
    for seed in range(400):
        phi = Projection(seed, 16, side, like).features(gradient)
        draws.append(phi @ phi.T)
    draws = torch.stack(draws)
    error = (draws.mean(0) - contract([gradient])) / (draws.var(0) / 400).sqrt()
    assert float(error.abs().max()) < 4.5


def test_one_seed_is_one_map():
    torch.manual_seed(0)
    gradient = factored(3, "bias")
    like = torch.zeros(1, dtype=torch.float64)
    one, same, other = (Projection(seed, 16, 5, like) for seed in (1, 1, 2))
    assert torch.equal(one.features(gradient), same.features(gradient))
    assert torch.equal(one.features(gradient), one.features(gradient))
    assert not torch.allclose(one.features(gradient), other.features(gradient))
