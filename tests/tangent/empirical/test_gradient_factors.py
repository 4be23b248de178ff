"""Factored, explicit and rowwise gradients: sums over samples, portions of outputs, the cache."""

import pytest
import torch

from hybridonn.tangent.empirical.gradient_factors import (
    ExplicitGradient,
    FactoredGradient,
    LayerCall,
    RowwiseGradient,
    combine_outputs,
    join_outputs,
)


def random(*shape):
    return torch.randn(shape, dtype=torch.float64)


def dense(calls, bias="bias", **options):
    """A dense layer's gradient: cotangents (n, C, 1, o, T) and inputs (n, 1, k, T) as they are."""
    made = tuple(LayerCall(inputs, cotangents) for inputs, cotangents in calls)
    options = {"bias": bias, "restore": lambda m: m[0], **options}
    return FactoredGradient(made, lambda g: g, lambda a: a, "weight", **options)


@pytest.mark.parametrize("count", [1, 2])
def test_a_weighted_sum_of_factors_is_that_of_the_gradients(count):
    calls = [(random(5, 1, 4, 3), random(5, 2, 1, 6, 3)) for _ in range(count)]
    weights = random(5, 2)
    found = dense(calls).weighted_sum(weights)
    weight = sum(torch.einsum("ic,icot,ikt->ok", weights, g[:, :, 0], a[:, 0]) for a, g in calls)
    bias = sum(torch.einsum("ic,icot->o", weights, g[:, :, 0]) for _, g in calls)
    torch.testing.assert_close(found["weight"], weight)
    torch.testing.assert_close(found["bias"], bias)
    assert set(dense(calls, bias=None).weighted_sum(weights)) == {"weight"}


def test_a_bias_may_be_the_last_row_of_the_right_factor():
    inputs, cotangents, weights = random(5, 1, 4, 3), random(5, 2, 1, 6, 3), random(5, 2)
    with_ones = torch.cat([inputs, torch.ones(5, 1, 1, 3)], 2)
    found = dense([(with_ones, cotangents)], bias_in_right=True)
    assert not found.sums_left
    expected = dense([(inputs, cotangents)]).weighted_sum(weights)
    for name, value in found.weighted_sum(weights).items():
        torch.testing.assert_close(value, expected[name])


def test_sizes_are_read_off():
    sizes = dense([(random(5, 1, 4, 3), random(5, 2, 1, 6, 3))] * 2).sizes()
    assert (sizes.n, sizes.C, sizes.B, sizes.o, sizes.k, sizes.T) == (5, 2, 1, 6, 4, 6)


def test_half_precision_factors_come_in_single():
    gradient = dense([(random(5, 1, 4, 1).half(), random(5, 2, 1, 6, 1).bfloat16())])
    assert gradient.lefts().dtype == gradient.rights().dtype == torch.float32


def test_a_cache_makes_the_right_factor_once():
    made, cache = [], {}

    def right(inputs):
        made.append(len(inputs))
        return inputs

    call = LayerCall(random(5, 1, 4, 3), random(5, 2, 1, 6, 3), cache)
    gradient = FactoredGradient((call,), lambda g: g, right, "weight", None, lambda m: m)
    for samples in (slice(0, 2), slice(1, 5), slice(None)):
        assert torch.equal(gradient.rights(samples), call.inputs[samples])
    assert made == [5]


def test_explicit_and_rowwise_sums():
    values, weights = random(5, 2, 7), random(5, 2)
    expected = torch.einsum("ic,icp->p", weights, values)
    found = ExplicitGradient("gain", values).weighted_sum(weights)
    torch.testing.assert_close(found["gain"], expected)
    rows = random(5, 3, 2, 8)  # (n, rows, C, numbers): four of the weight, the bias, zeros

    def combine(weights):
        return torch.einsum("ic,iock->ok", weights, rows)

    def compute(part, weights):
        asked.append(part)
        return rows[:, part], None if weights is None else combine(weights)

    whole = combine(weights)
    for keep in (False, True):
        asked = []
        gradient = RowwiseGradient("weight", "bias", compute, combine, 3, 80, 4, lambda m: m, keep)
        found = gradient.weighted_sum(weights)
        torch.testing.assert_close(found["weight"], whole[:, :4])
        torch.testing.assert_close(found["bias"], whole[:, 4])
        assert gradient.parameters == ("weight", "bias")
        assert torch.equal(gradient.some(slice(1, 3)), rows[:, 1:])
        assert asked == ([slice(0, 3)] if keep else [slice(1, 3)])


@pytest.mark.parametrize("lay", ["as they are", "shared", "side by side"])
def test_outputs_are_combined_wherever_they_lie(lay):
    cotangents, weights = random(5, 3, 4, 2), random(5, 3)
    if lay == "shared":
        cotangents = cotangents[:1].expand(5, -1, -1, -1)
    if lay == "side by side":
        cotangents = cotangents.movedim(1, -1).contiguous().movedim(-1, 1)
    expected = torch.einsum("ic,icop->iop", weights, cotangents.contiguous())
    torch.testing.assert_close(combine_outputs(cotangents, weights), expected)


def test_portions_of_outputs_join_to_all_outputs():
    inputs, cotangents, values = random(5, 1, 4, 3), random(5, 6, 1, 2, 3), random(5, 6, 7)
    portions = [
        [dense([(inputs, cotangents[:, part])]), ExplicitGradient("gain", values[:, part])]
        for part in (slice(0, 2), slice(2, 6))
    ]
    factored, explicit = join_outputs(portions)
    assert torch.equal(factored.lefts(), cotangents)
    assert torch.equal(explicit.values, values)
    assert join_outputs([[], []]) == []
