"""Tangent features: unbiased, one map for every batch, better than directions of their width."""

import warnings

import pytest
import torch
from torch import nn

from hybridonn.tangent import (
    TangentError,
    TangentWarning,
    centred_alignment,
    feature_error,
    ntk,
    sketch,
    tangent_features,
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
    exact = ntk(model, x)
    assert float((phi @ phi.T - exact).norm() / exact.norm()) < 0.2


class Gain(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.gain = nn.Parameter(torch.randn(size))

    def forward(self, x):
        return x * self.gain.exp()


def lenet():
    torch.manual_seed(0)
    return nn.Sequential(
        *(nn.Conv2d(1, 6, 5, padding=2), nn.Tanh(), nn.MaxPool2d(2)),
        *(nn.Conv2d(6, 16, 5), nn.Tanh(), nn.MaxPool2d(2), nn.Flatten()),
        *(nn.Linear(64, 150), nn.Tanh(), nn.Linear(150, 84), nn.Tanh(), nn.Linear(84, 4)),
    ).eval()


@pytest.mark.parametrize("width", [16, 64, 256, 1024])
def test_the_error_that_is_expected_of_a_width_is_the_measured_one(width):
    model, x = lenet(), torch.randn(4, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    exact = ntk(model, x)
    errors = []
    for seed in range(40):
        phi = tangent_features(model, x, width, seed=seed, oversampling=1)
        errors.append((phi @ phi.T - exact).norm() / exact.norm())
    measured = float(torch.stack(errors).square().mean().sqrt())
    expected = feature_error(model, x, width, oversampling=1)
    assert 0.7 < measured / expected < 1.3, (measured, expected)


def test_directions_that_are_left_out_count_as_error():
    model, x = lenet(), torch.randn(8, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    exact = ntk(model, x)
    phi = tangent_features(model, x, 2, oversampling=500)
    measured = float((phi @ phi.T - exact).norm() / exact.norm())
    expected = feature_error(model, x, 2, oversampling=500)
    assert expected > 1.2 * feature_error(model, x, 8, oversampling=125)
    assert 0.8 < measured / expected < 1.2
    with pytest.raises(TangentError, match="width is 0"):
        feature_error(model, x, 0)


class Saturating(nn.Linear):
    """A sensor that clips what it is given, but only beyond one."""

    def forward(self, x):
        return super().forward(x.clamp(-1, 1))


@pytest.mark.parametrize("flip", [False, True])
def test_what_holds_for_the_first_batch_only_is_found_out(flip):
    torch.manual_seed(0)
    model = nn.Sequential(Saturating(64, 100), nn.ReLU(), nn.Linear(100, 3)).double()
    x = torch.cat([torch.rand(130, 64), 3 * torch.randn(30, 64)]).double()  # batches are of 128
    x = x.flip(0) if flip else x
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TangentWarning)
        phi, exact = tangent_features(model, x, 8192, oversampling=1), ntk(model, x)
    assert float((phi @ phi.T - exact).norm() / exact.norm()) < 0.1


def test_the_law_does_not_hold_for_layers_smaller_than_the_sums():
    """A counterexample that the documentation names: all gradients take the same first places."""
    torch.manual_seed(0)
    layers = (nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 2))
    model, x = nn.Sequential(*layers).double(), torch.randn(12, 3).double()
    exact, squares = ntk(model, x), []
    for seed in range(30):
        phi = tangent_features(model, x, 16, seed=seed)
        squares.append(float((phi @ phi.T - exact).norm() / exact.norm()) ** 2)
    assert (sum(squares) / len(squares)) ** 0.5 > 2 * feature_error(model, x, 16)


def test_features_of_numbers_of_words():
    torch.manual_seed(0)
    model = nn.Sequential(nn.EmbeddingBag(7, 5), nn.Tanh(), nn.Linear(5, 3)).double()
    phi = tangent_features(model, torch.randint(0, 7, (5, 4)), 3)
    assert phi.shape == (5, 3)
    assert phi.dtype == torch.float64
