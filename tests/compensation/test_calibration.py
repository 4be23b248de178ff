"""Closed forms against known answers."""

import numpy as np
import pytest
import torch
from torch import nn

from hybridonn.compensation.calibration import calibrate, fit_gains, fit_layer, fit_layers
from hybridonn.compensation.capture_pair import CapturePair
from hybridonn.data.dataset import ImageSet
from hybridonn.networks.backends.dense import DenseBackend
from hybridonn.networks.hybrid import count_parameters


def captured(positive, negative, measured=None):
    count = len(positive)
    shown = ImageSet(torch.zeros(count, 1, 2, 2, dtype=torch.uint8), torch.zeros(count).long())
    return CapturePair(positive, negative, shown, measured)


def draw(count=200):
    generator = torch.Generator().manual_seed(0)
    return torch.rand(2, count, 4, 8, 8, generator=generator)


def test_gains_and_offsets_are_found_to_one_percent_at_20_db():
    positive, negative = draw()
    gains = torch.tensor([[1.3, 0.8], [0.7, 1.1], [1.0, 1.0], [2.0, 0.5]])
    offsets = torch.tensor([0.1, -0.2, 0.0, 0.3])
    made = captured(positive, negative)
    simulated = made.subtract(gains) + offsets[:, None, None]
    noise = torch.randn(simulated.shape, generator=torch.Generator().manual_seed(1))
    simulated += 0.1 * simulated.std() * noise
    found, shifted = fit_gains(made, simulated)
    assert torch.allclose(found, gains, rtol=0.01)
    assert torch.allclose(shifted, offsets, atol=0.01)


def test_gains_are_those_of_numpy_in_double_precision():
    # Pictures that are nearly alike over a large background: single precision loses them.
    positive, negative = draw(50)
    positive, negative = 100 + 0.1 * positive, 100 + 0.1 * negative
    simulated = 1.5 * positive - 1.2 * negative + 0.3
    found, shifted = fit_gains(captured(positive, negative), simulated)
    for kernel in range(4):
        columns = [positive[:, kernel], -negative[:, kernel], torch.ones_like(negative[:, kernel])]
        A = np.stack([column.double().numpy().ravel() for column in columns], 1)
        wanted = np.linalg.lstsq(A, simulated[:, kernel].double().numpy().ravel())[0]
        assert found[kernel].numpy() == pytest.approx(wanted[:2], rel=2e-3)
        assert float(shifted[kernel]) == pytest.approx(wanted[2], abs=0.1)


def test_pixels_that_were_not_measured_take_no_part():
    positive, negative = draw(40)
    measured = torch.ones(4, 2, 8, 8, dtype=torch.bool)
    measured[:, 0, :, 0] = measured[2, 1, 7] = False
    simulated = 1.5 * positive - 0.5 * negative + 0.1
    spoilt = torch.where(measured[:, 0], positive, 9.0), torch.where(measured[:, 1], negative, 9.0)
    found, shifted = fit_gains(captured(*spoilt, measured), simulated)
    assert torch.allclose(found, torch.tensor([1.5, 0.5]).expand(4, 2), atol=1e-4)
    assert torch.allclose(shifted, torch.full((4,), 0.1), atol=1e-4)


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
        fit_layers(layer, true, spoilt, x, 1e-9, covered)
    assert torch.allclose(layer[0].weight, true[0].weight, atol=1e-4)
    assert torch.allclose(layer[0].bias, true[0].bias, atol=1e-4)


def test_a_dark_picture_gets_no_gain():
    positive, negative = draw(20)
    positive[:, 1] = 0
    found, _ = fit_gains(captured(positive, negative), -negative)
    assert found[1, 0] == 0
    assert found[1, 1] == pytest.approx(1, abs=1e-3)
    assert torch.isfinite(found).all()


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


@pytest.mark.parametrize("more", [{}, {"normalisation": "batch", "two_sided": True}])
def test_calibration_brings_the_answers_back_and_costs_nothing(more):
    torch.manual_seed(0)
    backend = DenseBackend(4, 4, (12,), 5, **more).eval()
    positive, negative = draw(2000)
    simulated = positive - negative
    mixing = torch.eye(4) + 0.2 * torch.randn(4, 4)
    made = captured(
        *(1.2 * torch.einsum("kj,njhw->nkhw", mixing.abs(), part) for part in (positive, negative))
    )
    wanted = backend((simulated,))
    before = (backend((made.subtract(torch.ones(4, 2)),)) - wanted).norm() / wanted.norm()
    found = calibrate(backend, made, simulated, "layers", 1e-4)
    after = (found.backend((made.subtract(found.gains),)) - wanted).norm() / wanted.norm()
    assert after < 0.5 * before
    assert count_parameters(found.backend) == count_parameters(backend)
    assert [m.extra_repr() for m in found.backend] == [m.extra_repr() for m in backend]


def test_none_changes_nothing():
    backend = DenseBackend(4, 4, (12,), 5).eval()
    positive, negative = draw(20)
    found = calibrate(backend, captured(positive, negative), positive - negative, "none", 1.0)
    assert torch.equal(found.gains, torch.ones(4, 2))
    for mine, theirs in zip(found.backend.parameters(), backend.parameters(), strict=True):
        assert torch.equal(mine, theirs)
