"""What autograd's graph tells of an operation."""

from __future__ import annotations

from typing import Any

import torch
from torch.autograd.graph import Node


def shape_of(node: Node, result: int = 0) -> torch.Size:
    """The shape of an operation's result."""
    return torch.Size(node._input_metadata[result].shape)  # type: ignore[attr-defined]


def saved(node: Node, name: str) -> Any:
    """What an operation keeps for its backward pass."""
    return getattr(node, f"_saved_{name}")
