"""Runs a model through operations that autograd can differentiate twice and look into.

Fused operations compute the same numbers but hide what tangent kernels need: fused attention and
oneDNN's or cuDNN's recurrent layers have no second derivative and no batched one, and compiled
code hides its layers. Within a context here attention goes through its products and its softmax,
recurrent layers through their gates, and what `torch.compile` compiled runs as it was written.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn

from hybridonn.tangent.empirical.torch_internals import without_fused_layers


@contextmanager
def plain_operations(model: nn.Module) -> Iterator[None]:
    """Let a model run without fused attention, fused recurrent layers and compiled code."""
    from torch.nn.attention import SDPBackend, sdpa_kernel

    with ExitStack() as stack:
        stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        if "torch._dynamo" in sys.modules:
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        for module in model.modules():
            if isinstance(module, nn.RNNBase):
                _unfuse(module, stack)
        yield


def uncompiled(model: nn.Module) -> nn.Module:
    """The module that `torch.compile` was given; another module as it is."""
    return getattr(model, "_orig_mod", model)


def _unfuse(module: nn.Module, stack: ExitStack) -> None:
    """Switch fused recurrent layers off while one module runs; convolutions keep theirs."""
    running = ExitStack()

    def before(*_: Any) -> None:
        running.enter_context(without_fused_layers())

    def after(*_: Any) -> None:
        running.close()

    stack.callback(module.register_forward_pre_hook(before, prepend=True).remove)
    stack.callback(module.register_forward_hook(after, always_call=True).remove)
