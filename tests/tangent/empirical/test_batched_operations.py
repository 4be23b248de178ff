"""Cotangents of all outputs as one batch, wherever the samples lie, against autograd's own."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.graph import get_gradient_edge

from hybridonn.tangent.empirical.cotangents import autograd_cotangents, batched_cotangents

N, T, W = 3, 4, 6


def attention(x: Tensor, w: Tensor) -> Tensor:
    q, k, v = (x @ w).chunk(3, -1)
    scores = (q @ k.mT / 2.0).softmax(-1)
    return scores @ v


def heads(x: Tensor, w: Tensor) -> Tensor:
    """Samples behind the tokens and merged with the heads, as in `nn.MultiheadAttention`."""
    packed = (x.transpose(0, 1) @ w).unflatten(-1, (3, W)).permute(2, 0, 1, 3).contiguous()
    q, k, v = (packed[i].view(T, N * 2, 3).transpose(0, 1) for i in range(3))
    mixed = (q * 0.5) @ k.transpose(-2, -1) - 1
    found = mixed.softmax(-1) @ v
    return found.transpose(0, 1).reshape(T, N, W).transpose(0, 1)


FUNCTIONS = {
    "attention": attention,
    "heads": heads,
    "unbind": lambda x, w: sum((x @ w).unflatten(-1, (3, W)).unbind(2)[:2]),
    "parts side by side": lambda x, w: torch.cat([x[:, :1], x @ w[:, :W], x], 1),
    "layer norm": lambda x, w: F.layer_norm(x @ w, (T, 3 * W), w.new_ones(T, 3 * W) * 2),
    "activations": lambda x, w: F.silu(F.gelu(x @ w)) + F.elu(torch.tanh(x @ w)) ** 3,
    "broadcast": lambda x, w: (x @ w) * (x @ w).mean(1, keepdim=True) / w.sum() - x[..., :1],
    "slices": lambda x, w: (x @ w)[:, 1:, ::2] + (x @ w)[:, :-1, 1::2],
    "split": lambda x, w: (x @ w).split([1, 5, 12], 2)[1].squeeze().unsqueeze(0).expand(2, N, T, 5),
    "no axis left": lambda x, w: (x @ w).sum(-1) + torch.mean(x @ w, (-1,)),
    "both sides of a product": lambda x, w: (x @ w).mT @ (x @ w),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_all_outputs_go_back_as_one_batch(name):
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(N, T, W, dtype=torch.float64, generator=draw)
    first = torch.randn(W, W, dtype=torch.float64, generator=draw).requires_grad_()
    w = torch.randn(W, 3 * W, dtype=torch.float64, generator=draw)
    hidden = torch.tanh(x @ first)
    found = FUNCTIONS[name](hidden, w)
    head = torch.randn(found.numel() // N, 2, dtype=torch.float64, generator=draw)
    outputs = found.reshape(N, -1) @ head
    targets = [get_gradient_edge(hidden), get_gradient_edge(found)]
    vectors = torch.eye(2, dtype=torch.float64)
    mine = batched_cotangents(outputs, targets, vectors)
    theirs = autograd_cotangents(outputs, targets, vectors, create_graph=False)
    assert mine is not None
    for one, other in zip(mine, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-12)


def test_an_unknown_operation_is_left_to_autograd():
    x = torch.randn(N, W, requires_grad=True)
    hidden = nn.Linear(W, W)(x)
    outputs = torch.cumsum(hidden, 1)
    assert batched_cotangents(outputs, [get_gradient_edge(hidden)], torch.eye(W)) is None
