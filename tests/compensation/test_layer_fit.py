"""Layers set anew in closed form, against known answers."""

from copy import deepcopy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from hybridonn.compensation.layer_fit import fit_layer, fit_layers
from hybridonn.networks.backends.coarse_fine import CoarseFineBackend
from hybridonn.networks.backends.pyramid import PyramidBackend


class Convolution(nn.Sequential):
    """A backend of one convolution."""

    def __init__(self):
        super().__init__(nn.Conv2d(2, 3, 3, padding=1))

    def forward(self, branches):
        return super().forward(branches[0])


def test_a_convolution_is_fitted_where_its_inputs_were_measured():
    true, layer = Convolution(), Convolution()
    x = torch.randn(8, 2, 9, 9)
    covered = torch.ones(2, 9, 9, dtype=torch.bool)
    covered[1, :, 8] = False
    spoilt = torch.where(covered, x, 5.0)
    with torch.no_grad():
        fit_layers(layer, true, (spoilt,), (x,), 1e-9, (covered,))
    assert torch.allclose(layer[0].weight, true[0].weight, atol=1e-4)
    assert torch.allclose(layer[0].bias, true[0].bias, atol=1e-4)


def test_a_layer_is_the_ridge_regression_of_numpy():
    layer = nn.Linear(6, 3)
    x, y = torch.randn(50, 6), torch.randn(50, 3)
    rows = torch.cat([x, torch.ones(50, 1)], 1).double()
    before = torch.cat([layer.weight, layer.bias[:, None]], 1).double().detach()
    level = 0.1 * (rows.T @ rows).diagonal().mean()
    # The same minimum as an ordinary least squares with more rows.
    more = torch.cat([rows, level.sqrt() * torch.eye(7).double()])
    wanted = torch.linalg.lstsq(more, torch.cat([y.double(), level.sqrt() * before.T])).solution.T
    with torch.no_grad():
        fit_layer(layer, [(x[:20], y[:20]), (x[20:], y[20:])], 0.1)
    assert torch.allclose(layer.weight.double(), wanted[:, :-1], atol=1e-5)
    assert torch.allclose(layer.bias.double(), wanted[:, -1], atol=1e-5)


def test_a_convolution_is_found_again():
    true, layer = (nn.Conv2d(2, 3, 3, padding=1) for _ in range(2))
    x = torch.randn(8, 2, 9, 9)
    with torch.no_grad():
        fit_layer(layer, [(x, true(x))], 1e-9)
    assert torch.allclose(layer.weight, true.weight, atol=1e-4)
    assert torch.allclose(layer.bias, true.bias, atol=1e-4)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("size", "step"), [(2, 2), (3, 1), (6, 2)])
def test_an_up_convolution_is_found_again(size, step, bias):
    true, layer = (
        nn.ConvTranspose2d(3, 2, size, step, padding=(size - step) // 2, bias=bias)
        for _ in range(2)
    )
    x = torch.randn(8, 3, 9, 9)
    with torch.no_grad():
        fit_layer(layer, [(x, true(x))], 1e-9)
    torch.testing.assert_close(layer.weight, true.weight, atol=1e-4, rtol=1e-4)
    assert not bias or torch.allclose(layer.bias, true.bias, atol=1e-4)


def test_an_up_convolution_is_the_least_squares_of_its_pixels_together():
    layer, x = nn.ConvTranspose2d(2, 1, 2, 2), torch.randn(4, 2, 5, 5)
    y = torch.randn(4, 1, 10, 10)
    with torch.no_grad():
        fit_layer(layer, [(x, y)], 1e-9)
    found = layer(x).detach()
    layer.zero_grad()
    # At the least squares no change of a weight or of the common bias lowers the error.
    F.mse_loss(layer(x), y, reduction="sum").backward()
    assert float(layer.weight.grad.abs().max()) < 1e-3
    assert float(layer.bias.grad.abs().max()) < 1e-3
    assert float((found - y).square().sum()) < float(y.square().sum())


@pytest.mark.parametrize("backend", [PyramidBackend, CoarseFineBackend])
def test_layers_that_see_several_branches_undo_what_mixes_the_kernels(backend):
    torch.manual_seed(0)
    design = backend((6, 8), (1, 4), (8, 8), 2, "batch").eval()
    simulated = torch.randn(20, 6, 16, 16), torch.randn(20, 8, 4, 4)
    mixings = (torch.eye(n) + 0.2 * torch.randn(n, n) for n in (6, 8))
    measured = tuple(
        torch.einsum("kj,njhw->nkhw", mixing, one)
        for mixing, one in zip(mixings, simulated, strict=True)
    )
    with torch.no_grad():
        wanted, fitted = design(simulated), deepcopy(design)
        fit_layers(fitted, design, measured, simulated, 1e-3)
        before, after = (
            float((one(measured) - wanted).norm() / wanted.norm()) for one in (design, fitted)
        )
    assert after < 0.7 * before
