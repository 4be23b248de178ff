"""Random sign vectors stand for the outputs: unbiased, with the documented variance."""

import torch
from torch import nn

from hybridonn.tangent import ntk


def close(actual, expected, tolerance=1e-10):
    return float((actual - expected).norm() / expected.norm()) < tolerance


def convnet():
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Conv2d(2, 5, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Conv2d(5, 6, 3),
        nn.GroupNorm(3, 6),
        nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(24, 4),
    ).double()


def images(n=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, 2, 10, 10, dtype=torch.float64, generator=generator)


def test_probes_are_unbiased_with_the_documented_variance():
    model, x = convnet(), images(3)
    generator = torch.Generator().manual_seed(0)
    draws = torch.stack([ntk(model, x, probes=1, generator=generator) for _ in range(200)])
    blocks = ntk(model, x, outputs="full")
    symmetric = (blocks + blocks.transpose(2, 3)) / 2
    off = symmetric - torch.diag_embed(symmetric.diagonal(dim1=2, dim2=3))
    variance = 2 * off.square().sum((2, 3))
    error = (draws.mean(0) - ntk(model, x)) / (variance / 200).sqrt()
    assert float(error.abs().max()) < 5
    assert torch.allclose(draws.var(0), variance, rtol=0.6)


def test_more_probes_reduce_the_error_and_seeds_repeat():
    model, x = convnet(), images()
    exact = ntk(model, x)

    def error(probes):
        seeds = range(20)
        draws = [
            ntk(model, x, probes=probes, generator=torch.Generator().manual_seed(s)) for s in seeds
        ]
        return sum(float((d - exact).square().sum()) for d in draws)

    assert error(16) < error(1) / 4
    same = [ntk(model, x, probes=2, generator=torch.Generator().manual_seed(7)) for _ in range(2)]
    assert torch.equal(*same)
