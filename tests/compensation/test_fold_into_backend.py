"""Corrections merged into a backend: the same answer, the same operations, as many parameters."""

from copy import deepcopy

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from hybridonn.compensation.fold_into_backend import FoldError, fold_offsets
from hybridonn.networks.backends.dense import DenseBackend
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
    fold_offsets(merged, offsets)
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
        fold_offsets(nn.Sequential(nn.Conv2d(4, 2, 3)), torch.zeros(4))
