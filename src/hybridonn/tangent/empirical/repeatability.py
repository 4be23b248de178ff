"""Models whose samples interact, or that draw random numbers, have no kernel: they are refused.

Some samples of every block are run once more by themselves, in the reverse order; where they
interact with others or meet other random numbers, their outputs are not those of the block.
Random numbers of torch's own generators cannot hide: their state tells that some were drawn, and
then the whole block is run again.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from hybridonn.tangent.empirical.checks import check_outputs, run
from hybridonn.tangent.empirical.graph import types_before
from hybridonn.tangent.empirical.precision import rounding_tolerance
from hybridonn.tangent.errors import TangentError

# Samples of a block that are run once more.
SAMPLES = 4


def run_repeatably(
    model: nn.Module, x: Tensor, within: AbstractContextManager[Any] | None = None
) -> Tensor:
    """Run a model on some samples, and refuse one that gives other outputs when it is run again.

    Args:
        model: the model.
        x: samples (n, ...).
        within: a context for the run whose outputs are returned.

    Returns:
        The outputs (n, ...).

    Raises:
        TangentError: the outputs have no tangent kernel, samples interact, or the model draws
            random numbers.
    """
    before = _states(x.device)
    with within or nullcontext():
        outputs = run(model, x)
    drawn = not all(map(torch.equal, before, _states(x.device)))
    check_outputs(outputs, model, len(x))
    types = types_before(outputs)
    with torch.no_grad():
        if drawn:
            _compare(model, outputs, run(model, x), "the same samples once more", 0.0)
        # Blocks of other sizes round differently, but far less than gradients do.
        tolerance = rounding_tolerance(outputs, *list(model.parameters())[:1], within=types) / 10
        for some in _companies(len(x)):
            what = f"{len(some)} of its samples by themselves"
            _compare(model, outputs[some], run(model, x[some]), what, tolerance)
    return outputs


def _companies(n: int) -> list[Tensor]:
    """Which of n samples are run once more: fewer than all, in the reverse order.

    All of a few samples, in two halves; of more only some.
    """
    if n > SAMPLES:
        return [torch.linspace(0, n - 1, SAMPLES).long().flip(0)]
    return [half for half in torch.arange(n).flip(0).tensor_split(2) if len(half)]


def _compare(model: nn.Module, outputs: Tensor, again: Tensor, what: str, tolerance: float) -> None:
    """Refuse outputs that differ.

    Raises:
        TangentError: they do.
    """
    outputs = outputs.detach()
    same_shape = isinstance(again, Tensor) and again.shape == outputs.shape
    scale = float(outputs.abs().amax()) if outputs.numel() else 0.0
    error = float((again - outputs).abs().amax()) if same_shape and outputs.numel() else 0.0
    smallest = torch.finfo(outputs.dtype).tiny
    if same_shape and error <= tolerance * scale + smallest:
        return
    found = f"differ by {error:.3g} of {scale:.3g}" if same_shape else "have another shape"
    raise TangentError(
        f"{type(model).__name__} gives other outputs to {what} (they {found}): it draws random "
        "numbers or its samples interact, or each call changes it, so there is no one function "
        "of a sample whose kernel this could be; call .eval() on it, or switch its noise, dropout, "
        "batch statistics or counters off"
    )


def _states(device: torch.device) -> list[Tensor]:
    """The states of torch's own generators."""
    states = [torch.get_rng_state()]
    return [*states, torch.cuda.get_rng_state(device)] if device.type == "cuda" else states
