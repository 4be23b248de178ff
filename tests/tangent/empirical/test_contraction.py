"""Kernels from factors are those of the gradients that the factors stand for, in any budget."""

import pytest
import torch

from hybridonn.tangent.empirical.compiled import is_available
from hybridonn.tangent.empirical.contraction import (
    contract,
    contract_identity,
    prefers_pairs,
    products,
)
from hybridonn.tangent.empirical.gradient_factors import (
    ExplicitGradient,
    FactoredGradient,
    FactorSizes,
    LayerCall,
    RowwiseGradient,
)

C, B, ROWS, COLUMNS = 3, 2, 16, 30


def random(*shape):
    return torch.randn(shape, dtype=torch.float64)


def factored(n, T, bias=None, calls=1, bias_in_right=False):
    """A gradient whose inputs and cotangents are its factors."""
    made = [LayerCall(random(n, B, COLUMNS, T), random(n, C, B, ROWS, T)) for _ in range(calls)]
    return FactoredGradient(
        tuple(made), lambda g: g, lambda a: a, "weight", bias, lambda m: m, True, bias_in_right
    )


def explicit(gradient):
    """Gradients (n, C, p) of a factored gradient's weight and bias."""
    left = torch.cat([call.cotangents for call in gradient.calls], -1)
    right = torch.cat([call.inputs for call in gradient.calls], -1)
    found = torch.einsum("icbot,ibkt->icbok", left, right).flatten(2)
    if gradient.sums_left:
        found = torch.cat([found, left.sum(-1).flatten(2)], 2)
    return found


def check(a, b, **options):
    mine, theirs = explicit(a), explicit(a if b is None else b)
    found = contract([a], b and [b], **options)
    torch.testing.assert_close(found, torch.einsum("icp,jcp->ij", mine, theirs))
    full = contract([a], b and [b], per_output=True, **options)
    torch.testing.assert_close(full, torch.einsum("icp,jdp->ijcd", mine, theirs))


@pytest.mark.parametrize("T", [1, 2, 40])  # pairs of few positions, Gram matrices of many
@pytest.mark.parametrize("bias", [None, "bias"])
@pytest.mark.parametrize("calls", [1, 2])
@pytest.mark.parametrize("budget", [float("inf"), 20e3, 1.0])
def test_both_forms_are_the_kernel_of_the_gradients(T, bias, calls, budget):
    torch.manual_seed(0)
    a, b = (factored(n, T, bias, calls) for n in (7, 4))
    assert prefers_pairs(a.sizes(), b.sizes(), per_output=False) == (T < 40)
    check(a, None, budget=budget)
    check(a, b, budget=budget)


def test_the_cheaper_form_is_preferred():
    sizes = {"n": 50, "C": 10, "B": 1, "o": 64}
    dense = FactorSizes(**sizes, k=100, T=1)
    convolution = FactorSizes(**sizes, k=9, T=400)
    assert prefers_pairs(dense, dense, per_output=False)
    assert not prefers_pairs(convolution, convolution, per_output=False)


def test_explicit_gradients():
    a, b = ExplicitGradient("gain", random(6, C, 8)), ExplicitGradient("gain", random(4, C, 8))
    for other in (None, b):
        theirs = (other or a).values
        found = contract([a], other and [other])
        torch.testing.assert_close(found, torch.einsum("icp,jcp->ij", a.values, theirs))
        full = contract([a], other and [other], per_output=True)
        torch.testing.assert_close(full, torch.einsum("icp,jdp->ijcd", a.values, theirs))


@pytest.mark.skipif(not is_available(torch.zeros(1)), reason="there is no C compiler")
@pytest.mark.parametrize("rows", [10, 2, 1])  # that the budget holds at a time
def test_rowwise_gradients_are_computed_some_rows_at_a_time(rows):
    torch.manual_seed(0)
    values, others, asked = random(5, 10, C, 8), random(4, 10, C, 8), []

    def rowwise(values):
        def compute(part, _):
            asked.append(part)
            return values[:, part].contiguous(), None

        sizes = 10, values[:, 0].numel(), 8
        return RowwiseGradient("weight", None, compute, None, *sizes, lambda m: m)

    def kernel(b, numbers):
        return contract([rowwise(values)], b and [b], budget=16 * rows * numbers)

    alone = kernel(None, 5 * C * 8)
    assert len(asked) == 10 // rows
    torch.testing.assert_close(alone, values.flatten(1) @ values.flatten(1).T)
    both = kernel(rowwise(others), (5 + 4) * C * 8)
    torch.testing.assert_close(both, values.flatten(1) @ others.flatten(1).T)


def test_several_gradients_add_up_and_none_is_none():
    a, b = factored(5, 1), factored(5, 30, "bias")
    expected = contract([a]) + contract([b])
    torch.testing.assert_close(contract([a, b]), expected)
    assert contract([]) is None


def test_gradients_of_two_kinds_do_not_contract():
    with pytest.raises(TypeError, match=r"FactoredGradient.*ExplicitGradient"):
        contract([factored(2, 1)], [ExplicitGradient("weight", random(2, C, 4))])


@pytest.mark.parametrize("bias", [None, "bias"])
def test_a_last_layer_needs_no_cotangents(bias):
    """Every output is one row of one block at one position."""
    T, n = 3, 6
    outputs = torch.eye(B * ROWS * T, dtype=torch.float64).view(1, B * ROWS * T, B, ROWS, T)
    exact = factored(n, T, bias)
    (call,) = exact.calls
    known = LayerCall(call.inputs, outputs.expand(n, -1, -1, -1, -1))
    unknown = LayerCall(call.inputs, torch.full((1,), torch.nan).expand(n, 1, B, ROWS, T))
    gradient = [
        FactoredGradient((one,), lambda g: g, lambda a: a, "weight", bias, lambda m: m)
        for one in (known, unknown)
    ]
    torch.testing.assert_close(contract_identity(gradient[1]), contract([gradient[0]]))


def test_products_of_rows_can_be_differentiated_twice():
    rows = torch.randn(2, 4, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(products, (rows,))
    assert torch.autograd.gradgradcheck(products, (rows,))
