"""Closed forms against known answers."""

import numpy as np
import pytest
import torch

from hybridonn.compensation.calibration import calibrate, fit_gains
from hybridonn.compensation.capture_pair import CapturePair
from hybridonn.data.dataset import ImageSet
from hybridonn.networks.backends.dense import DenseBackend
from hybridonn.networks.hybrid import count_parameters


def captured(positive, negative, measured=None):
    count = len(positive)
    shown = ImageSet(torch.zeros(count, 1, 2, 2, dtype=torch.uint8), torch.zeros(count).long())
    pictures = torch.stack([positive, negative], 2)
    return CapturePair((pictures,), shown, None if measured is None else (measured,))


def draw(count=200):
    generator = torch.Generator().manual_seed(0)
    return torch.rand(2, count, 4, 8, 8, generator=generator)


def test_gains_and_offsets_are_found_to_one_percent_at_20_db():
    positive, negative = draw()
    gains = torch.tensor([[1.3, 0.8], [0.7, 1.1], [1.0, 1.0], [2.0, 0.5]])
    offsets = torch.tensor([0.1, -0.2, 0.0, 0.3])
    made = captured(positive, negative)
    simulated = made.subtract(gains)[0] + offsets[:, None, None]
    noise = torch.randn(simulated.shape, generator=torch.Generator().manual_seed(1))
    simulated += 0.1 * simulated.std() * noise
    found, shifted = fit_gains(made, (simulated,))
    assert torch.allclose(found, gains, rtol=0.01)
    assert torch.allclose(shifted, offsets, atol=0.01)


def test_gains_are_those_of_numpy_in_double_precision():
    # Captures that are nearly alike over a large background: single precision loses them.
    positive, negative = draw(50)
    positive, negative = 100 + 0.1 * positive, 100 + 0.1 * negative
    simulated = 1.5 * positive - 1.2 * negative + 0.3
    found, shifted = fit_gains(captured(positive, negative), (simulated,))
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
    found, shifted = fit_gains(captured(*spoilt, measured), (simulated,))
    assert torch.allclose(found, torch.tensor([1.5, 0.5]).expand(4, 2), atol=1e-4)
    assert torch.allclose(shifted, torch.full((4,), 0.1), atol=1e-4)


def test_a_dark_picture_gets_no_gain():
    positive, negative = draw(20)
    positive[:, 1] = 0
    found, _ = fit_gains(captured(positive, negative), (-negative,))
    assert found[1, 0] == 0
    assert found[1, 1] == pytest.approx(1, abs=1e-3)
    assert torch.isfinite(found).all()


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
    before = (backend(made.subtract(torch.ones(4, 2))) - wanted).norm() / wanted.norm()
    found = calibrate(backend, made, (simulated,), "layers", 1e-4)
    after = (found.backend(made.subtract(found.gains)) - wanted).norm() / wanted.norm()
    assert after < 0.5 * before
    assert count_parameters(found.backend) == count_parameters(backend)
    assert [m.extra_repr() for m in found.backend] == [m.extra_repr() for m in backend]


def test_none_changes_nothing():
    backend = DenseBackend(4, 4, (12,), 5).eval()
    positive, negative = draw(20)
    found = calibrate(backend, captured(positive, negative), (positive - negative,), "none", 1.0)
    assert torch.equal(found.gains, torch.ones(4, 2))
    for mine, theirs in zip(found.backend.parameters(), backend.parameters(), strict=True):
        assert torch.equal(mine, theirs)
