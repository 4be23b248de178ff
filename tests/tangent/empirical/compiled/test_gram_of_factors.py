"""Inner products of factored gradients, made a stretch at a time, equal those of whole ones."""

import pytest
import torch

from hybridonn.tangent.empirical import contraction
from hybridonn.tangent.empirical.compiled import gram_of_factors, is_available
from hybridonn.tangent.empirical.contraction import contract
from hybridonn.tangent.empirical.gradient_factors import FactoredGradient, LayerCall

pytestmark = pytest.mark.skipif(
    not is_available(torch.zeros(1)), reason="there is no C compiler on this machine"
)


def rows_side_by_side(*shape, dtype=torch.float64):
    """Numbers (..., m, T) that lie in memory as (..., T, m)."""
    *lead, m, T = shape
    return torch.randn(*lead, T, m, dtype=dtype).transpose(-1, -2)


@pytest.mark.parametrize("n", [1, 8, 13])
@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("blocks", [1, 2])
@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (5, 8), (23, 17), (31, 64), (3, 1100)])
@pytest.mark.parametrize("positions", [1, 6])
def test_inner_products_are_those_of_the_gradients(n, outputs, blocks, rows, columns, positions):
    torch.manual_seed(0)
    left = rows_side_by_side(n, outputs, blocks, rows, positions)
    right = rows_side_by_side(n, blocks, columns, positions)
    gradients = torch.einsum("icbot,ibkt->icbok", left, right).flatten(1)
    expected = gradients @ gradients.T
    assert (gram_of_factors(left, right) - expected).norm() < 1e-14 * expected.norm()


def test_samples_may_share_factors_and_outputs_lead_in_memory():
    torch.manual_seed(0)
    left = rows_side_by_side(4, 9, 1, 12, 5).transpose(0, 1)
    right = rows_side_by_side(1, 1, 16, 5).expand(9, -1, -1, -1)
    gradients = torch.einsum("icbot,ibkt->icbok", left, right).flatten(1)
    found = gram_of_factors(left, right)
    torch.testing.assert_close(found, gradients @ gradients.T, rtol=1e-12, atol=1e-12)


def test_single_precision():
    torch.manual_seed(0)
    left = rows_side_by_side(16, 10, 1, 64, 16, dtype=torch.float32)
    right = rows_side_by_side(16, 1, 48, 16, dtype=torch.float32)
    gradients = torch.einsum("icbot,ibkt->icbok", left.double(), right.double()).flatten(1)
    expected = gradients @ gradients.T
    assert (gram_of_factors(left, right) - expected).norm() < 1e-6 * expected.norm()


@pytest.mark.parametrize("bias", [None, "bias"])
def test_a_contraction_takes_it_where_factors_lie_so(bias, monkeypatch):
    torch.manual_seed(0)
    taken = []

    def watched(left, right):
        taken.append(left.shape)
        return gram_of_factors(left, right)

    monkeypatch.setattr(contraction, "gram_of_factors", watched)
    right, kernels = rows_side_by_side(9, 1, 20, 14), []
    for left in (rows_side_by_side(9, 3, 1, 24, 14), torch.empty(9, 3, 1, 24, 14).double()):
        left.copy_(torch.randn(9, 3, 1, 24, 14, generator=torch.Generator().manual_seed(1)))
        call = LayerCall(right, left)
        same = (lambda g: g, lambda a: a)
        gradient = FactoredGradient((call,), *same, "weight", bias, lambda m: m[0])
        kernels.append(contract([gradient]))
    assert taken == [(9, 3, 1, 24, 14)]
    torch.testing.assert_close(*kernels, rtol=1e-12, atol=1e-12)
