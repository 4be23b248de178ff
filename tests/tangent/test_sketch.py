"""Sketches: unbiased, with the documented variance, the same for every batch."""

import pytest
import torch
from torch import nn

from hybridonn.tangent import (
    centred_alignment,
    ntk,
    sketch,
    tangent_features,
    trace_estimate,
)


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 6, 3, groups=2),
        nn.Tanh(),
        nn.ConvTranspose2d(6, 3, 2, stride=2),
        nn.Flatten(),
        nn.Linear(48, 9),
        nn.ReLU(),
        nn.Linear(9, 3),
    ).eval()


def images(n=4, seed=0):
    return torch.rand(n, 1, 8, 8, generator=torch.Generator().manual_seed(seed))


def variance_of_directions(model, x):
    blocks = ntk(model, x, outputs="full")
    own = torch.einsum("iicd->icd", blocks)
    return torch.einsum("icd,jcd->ij", own, own) + torch.einsum("ijcd,ijdc->ij", blocks, blocks)


def test_directions_are_unbiased_with_the_documented_variance():
    model, x = network(), images()
    generator = torch.Generator().manual_seed(0)
    draws = []
    for _ in range(300):
        phi = sketch(model, x, 1, generator=generator).detach()
        draws.append(phi @ phi.T)
    draws = torch.stack(draws)
    variance = variance_of_directions(model, x)
    error = (draws.mean(0) - ntk(model, x)) / (variance / 300).sqrt()
    assert float(error.abs().max()) < 5
    assert torch.allclose(draws.var(0), variance, rtol=0.6)


def test_differences_approach_derivatives():
    model, x = network().double(), images().double()

    def features(**options):
        return sketch(model, x, 3, generator=torch.Generator().manual_seed(1), **options)

    exact = features().detach()

    def error(epsilon):
        found = features(method="difference", epsilon=epsilon).detach()
        return float((found - exact).norm() / exact.norm())

    far, near = error(1e-4), error(1e-6)
    assert near < far < 0.05
    assert near < 1e-4


def test_trace_estimate_estimates_the_trace():
    model, x = network().double(), images().double()
    generator = torch.Generator().manual_seed(0)
    draws = torch.stack(
        [trace_estimate(model, x, epsilon=1e-4, generator=generator) for _ in range(300)]
    )
    blocks = ntk(model, x, outputs="full")
    deviation = (2 * blocks.square().sum() / 300).sqrt()
    assert abs(draws.mean() - ntk(model, x).trace()) < 5 * deviation


def test_trace_estimate_is_differentiable():
    model, x = network(), images()
    trace_estimate(model, x, generator=torch.Generator().manual_seed(0)).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_projected_features_are_unbiased():
    model, x = network().double(), images().double()
    exact = ntk(model, x)
    draws = []
    for seed in range(150):
        phi = tangent_features(model, x, 16, seed=seed, oversampling=1)
        draws.append(phi @ phi.T)
    draws = torch.stack(draws)
    error = (draws.mean(0) - exact) / (draws.var(0) / 150).sqrt()
    assert float(error.abs().max()) < 5


def test_compressed_factors_are_unbiased_too(monkeypatch):
    monkeypatch.setattr("hybridonn.tangent.features._SIDE", 5)
    test_projected_features_are_unbiased()


@pytest.mark.parametrize("width", [1, 32, 4096])
def test_one_seed_is_one_map_for_every_batch(width):
    model, x = network().double(), images(6).double()
    whole = tangent_features(model, x, width, seed=3, oversampling=1)
    parts = [tangent_features(model, part, width, seed=3, oversampling=1) for part in x.split(4)]
    assert whole.shape == (6, width)
    assert torch.allclose(whole, torch.cat(parts))
    assert not torch.allclose(whole, tangent_features(model, x, width, seed=4, oversampling=1))


def test_oversampled_features_beat_directions_of_the_same_width():
    model, x = network(), images(40)
    exact = ntk(model, x)
    phi = tangent_features(model, x, 30, oversampling=32)
    psi = sketch(model, x, 10, generator=torch.Generator().manual_seed(0)).detach()
    ours, theirs = (centred_alignment(exact, f @ f.T) for f in (phi, psi))
    assert phi.shape == psi.shape == (40, 30)
    assert 1 - ours < (1 - theirs) / 2


def test_fewer_samples_than_numbers_are_padded():
    phi = tangent_features(network(), images(3), 64, oversampling=2)
    assert phi.shape == (3, 64)
    assert not phi[:, 3:].any()


def test_parameters_without_a_rule_are_in_the_features():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), Gain(64), nn.Linear(64, 2))
    x = images()
    with pytest.warns(UserWarning, match="gain"):
        phi = tangent_features(model, x, 4096, oversampling=1)
    with pytest.warns(UserWarning, match="gain"):
        exact = ntk(model, x)
    assert float((phi @ phi.T - exact).norm() / exact.norm()) < 0.2


class Gain(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.gain = nn.Parameter(torch.randn(size))

    def forward(self, x):
        return x * self.gain
