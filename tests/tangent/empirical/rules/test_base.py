"""A rule of one's own needs three methods, from the public names alone."""

import warnings

import pytest
import torch
from torch import nn

from hybridonn.tangent import (
    FactoredGradient,
    LayerCall,
    Rule,
    TangentError,
    TangentWarning,
    explain,
    ntk,
    register_rule,
)


class Bottleneck(nn.Module):
    """A fixed matrix before a trained one, whose rows are flipped: an odd dense layer."""

    def __init__(self):
        super().__init__()
        self.matrix = nn.Parameter(torch.randn(5, 3))
        self.register_buffer("fixed", torch.randn(3, 4))

    def forward(self, x):
        return (x @ self.fixed.T) @ self.matrix.flip(0).T


class BottleneckRule(Rule):
    name = "bottleneck"

    def covers(self, layer):
        return ("matrix",)

    def fits(self, layer, inputs, output):
        return inputs.ndim == 2

    def gradients(self, layer, calls):
        assert all(isinstance(call, LayerCall) for call in calls)
        left = lambda cotangents: cotangents.flip(2)[:, :, None, :, None]  # noqa: E731
        right = lambda inputs: (inputs @ layer.fixed.T)[:, None, :, None]  # noqa: E731
        return [FactoredGradient(tuple(calls), left, right, "matrix", None, lambda m: m[0])]


def network():
    torch.manual_seed(0)
    return nn.Sequential(Bottleneck(), nn.Tanh(), nn.Linear(5, 2)).double()


def test_a_rule_of_ones_own_replaces_the_slow_way():
    model, x = network(), torch.randn(4, 4).double()
    with pytest.warns(TangentWarning, match=r"0\.matrix"):
        slow = ntk(model, x)
    register_rule(Bottleneck, BottleneckRule())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        torch.testing.assert_close(ntk(model := network(), x), slow)
    assert explain(model, x).splitlines()[0] == "0: bottleneck"


def test_what_is_no_class_or_no_rule_is_refused():
    with pytest.raises(TangentError, match=r"torch\.nn\.Module.*int"):
        register_rule(int, None)
    with pytest.raises(TangentError, match=r"Bilinear is 'dense'.*hybridonn\.tangent\.Rule"):
        register_rule(nn.Bilinear, "dense")
