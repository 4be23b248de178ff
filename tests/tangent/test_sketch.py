"""Sketches: unbiased, with the documented variance, the same for every batch."""

import warnings

import torch
from torch import nn

from hybridonn.tangent import ntk, sketch, trace_estimate


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


def test_a_model_without_forward_derivatives_takes_two_backward_passes():
    torch.manual_seed(0)
    model = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(7, 6)), nn.Linear(6, 3))
    model, x = model.double(), torch.randn(4, 7).double()
    exact = sketch(model, x, 3, generator=torch.Generator().manual_seed(1))
    near = sketch(
        model, x, 3, generator=torch.Generator().manual_seed(1), method="difference", epsilon=1e-6
    )
    torch.testing.assert_close(exact, near, rtol=1e-4, atol=1e-4)
    exact.square().sum().backward()
    assert model[1].weight.grad.abs().sum() > 0


class Mask(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(5, 7, dtype=torch.complex128))

    def forward(self, x):
        return (x.to(self.weight.dtype) @ self.weight.T).abs().square()


def test_directions_of_complex_parameters_are_complex():
    torch.manual_seed(0)
    model, x = Mask(), torch.randn(6, 7).double()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exact = ntk(model, x)
    features = sketch(model, x, 3000, generator=torch.Generator().manual_seed(0)).detach()
    assert float((features @ features.T - exact).norm() / exact.norm()) < 0.1
