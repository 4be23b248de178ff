"""Discrepancies: how many samples it takes until two kernels can differ."""

import pytest
import torch

from hybridonn.distillation.discrepancies import DISCREPANCIES
from hybridonn.tangent import TangentError


def find_slope(name, samples):
    """The norm of a discrepancy's gradient over features of the student's kernel."""
    draw = torch.Generator().manual_seed(samples)
    features, taught = torch.randn(2, samples, 8, generator=draw, dtype=torch.float64)
    features.requires_grad_()
    value = DISCREPANCIES[name].compute(features @ features.T, taught @ taught.T, 0.3)
    (gradient,) = torch.autograd.grad(value, features)
    return float(gradient.norm())


@pytest.mark.parametrize("name", DISCREPANCIES)
def test_the_least_samples_are_those_from_which_something_is_learnt(name):
    least = DISCREPANCIES[name].least_samples
    assert find_slope(name, least) > 1e-4
    for fewer in range(1, least):
        try:
            assert find_slope(name, fewer) < 1e-12
        except TangentError as refused:
            assert f"of {fewer} samples" in str(refused)
