"""Corrections merged into a backend: the same answer, the same operations, as many parameters."""

from copy import deepcopy

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from hybridonn.compensation.fold_into_backend import FoldError, fold_offsets
from hybridonn.networks.backends.coarse_fine import CoarseFineBackend
from hybridonn.networks.backends.dense import DenseBackend
from hybridonn.networks.backends.layers import ChannelBias
from hybridonn.networks.backends.pyramid import PyramidBackend
from hybridonn.networks.hybrid import count_parameters

SHAPES = [{}, {"pooling": "max"}, {"two_sided": True}, {"normalisation": "batch"}]


def build(**more):
    torch.manual_seed(0)
    backend = DenseBackend(4, 3, (10,), 5, **more).double()
    for module in backend.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight)
    nn.init.normal_(backend[0].bias)
    return backend.eval()


@pytest.mark.parametrize("more", SHAPES)
def test_offsets_merge_exactly(more):
    backend, features = build(**more), torch.randn(6, 4, 9, 9, dtype=torch.float64)
    offsets = torch.randn(4).double()
    wanted = backend((features + offsets[:, None, None],))
    merged = deepcopy(backend)
    fold_offsets(merged, offsets, (features[:1],))
    assert torch.allclose(merged((features,)), wanted, atol=1e-10)
    assert count_parameters(merged) == count_parameters(backend)
    assert count_flops(merged, features) == count_flops(backend, features)
    assert [type(m) for m in merged.modules()] == [type(m) for m in backend.modules()]


def count_flops(backend, features):
    with FlopCounterMode(display=False) as counter:
        backend((features,))
    return counter.get_total_flops()


def test_what_does_not_merge_is_said():
    with pytest.raises(FoldError, match="does not begin with an offset"):
        fold_offsets(Bare(), torch.zeros(4), (torch.zeros(1, 4, 5, 5),))


class Bare(nn.Module):
    """A backend that begins with a convolution."""

    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(4, 2, 3)

    def forward(self, branches):
        return self.convolution(branches[0])


class Twice(nn.Module):
    """A backend that uses its only branch in two places."""

    def __init__(self):
        super().__init__()
        self.first, self.second = ChannelBias(4), ChannelBias(4)

    def forward(self, branches):
        return self.first(branches[0]) + self.second(branches[0])


def test_a_branch_that_goes_two_ways_is_refused():
    with pytest.raises(FoldError, match="4 kernels at branch 0"):
        fold_offsets(Twice(), torch.zeros(4), (torch.zeros(1, 4, 5, 5),))


@pytest.mark.parametrize("kind", ["none", "batch"])
@pytest.mark.parametrize("two_sided", [False, True])
@pytest.mark.parametrize("backend", [PyramidBackend, CoarseFineBackend])
def test_offsets_of_each_branch_merge_exactly(backend, kind, two_sided):
    torch.manual_seed(0)
    made = backend((3, 4), (1, 4), (4, 6), 2, kind, two_sided).double().eval()
    shapes = ((3, 8, 8), (4, 2, 2))
    features = tuple(torch.randn(5, *shape, dtype=torch.float64) for shape in shapes)
    offsets = torch.randn(7).double()
    moved = tuple(
        one + own[:, None, None] for one, own in zip(features, offsets.split((3, 4)), strict=True)
    )
    wanted = made(moved)
    fold_offsets(made, offsets, tuple(one[:1] for one in features))
    torch.testing.assert_close(made(features), wanted)
