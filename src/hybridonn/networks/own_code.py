"""Calls of the user's own code: of a teacher, a backend or a loss term."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

# Part of the largest answer by which rounding may change the others: blocks of another size are
# summed in another order.
UNSTABLE = 1e-4


def accepts(make: Callable[..., Any], name: str) -> bool:
    """Whether a callable takes an argument of this name."""
    try:
        return name in inspect.signature(make).parameters
    except (TypeError, ValueError):  # a class without a signature
        return False


def quote(error: Exception) -> str:
    """Message of an error in one line; with its kind where the message alone may say little."""
    said = " ".join(str(error).split())
    return said if isinstance(error, (TypeError, ValueError)) else f"{type(error).__name__}: {said}"


@torch.no_grad()
def find_instability(network: Callable[[Any], Tensor], inputs: Any, few: Any) -> str | None:
    """What makes a network's answers in inference no function of a sample; None: nothing.

    Args:
        network: The network.
        inputs: What it takes.
        few: The first of these samples by itself.

    Returns:
        The end of a sentence that begins with the name of the network.
    """
    answers = network(inputs)
    scale = float(answers.abs().amax())
    for what, given in (("the same samples once more", inputs), ("a sample by itself", few)):
        try:
            found = network(given)
        except Exception as error:  # the user's own code may raise anything
            return f"cannot take {what} in inference: {quote(error)}"
        expected = answers[:1] if given is few else answers
        if found.shape != expected.shape:
            return f"gives {tuple(found.shape)} for {what} in place of {tuple(expected.shape)}"
        error = float((found - expected).abs().amax())
        if not error <= UNSTABLE * scale:
            return (
                f"gives other numbers to {what} in inference (they differ by {error:.3g} of "
                f"{scale:.3g}); it must neither draw random numbers, nor mix samples, nor change "
                "from call to call: look at self.training"
            )
    return None
