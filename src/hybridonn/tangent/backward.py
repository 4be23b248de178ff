"""Output gradients: how every output of a network moves with a layer's output."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, get_gradient_edge

from hybridonn.tangent.reverse import RESHAPES, known_gradients


def output_gradients(
    outputs: Tensor,
    targets: Sequence[GradientEdge],
    seeds: Tensor,
    *,
    create_graph: bool = False,
) -> list[Tensor | None]:
    """Gradients of combinations of the outputs, of all samples and combinations at once.

    Args:
        outputs: the network's outputs (n, ...), samples independent.
        targets: places in the graph whose gradients are wanted.
        seeds: combinations (C, ...) of the outputs, one-hot for the outputs themselves.
        create_graph: let the gradients be differentiated again.

    Returns:
        For each target its gradients (n, C, ...), or None where no output depends on it.
    """
    with torch.set_grad_enabled(create_graph):
        known = known_gradients(outputs, targets, seeds)
    if known is not None:
        return known
    vectors = seeds[:, None].expand(-1, *outputs.shape)

    def gradients(vector: Tensor, batched: bool) -> Sequence[Tensor | None]:
        return torch.autograd.grad(
            outputs,
            list(targets),
            vector,
            retain_graph=True,
            create_graph=create_graph,
            allow_unused=True,
            is_grads_batched=batched,
        )

    if len(seeds) == 1:
        found = gradients(vectors[0], False)
        return [None if g is None else g[:, None] for g in found]
    try:
        with quiet_batching():
            found = gradients(vectors, True)
    except (RuntimeError, NotImplementedError):  # an operation without a batched backward
        return _one_by_one([gradients(vector, False) for vector in vectors])
    return [None if g is None else g.transpose(0, 1) for g in found]


@contextmanager
def quiet_batching() -> Iterator[None]:
    """Keep torch from telling that it loops over an operation that it cannot batch."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="There is a performance drop")
        yield


def _one_by_one(rows: Sequence[Sequence[Tensor | None]]) -> list[Tensor | None]:
    """Gradients by combination, then target, to one tensor (n, C, ...) a target."""
    found = []
    for column in zip(*rows, strict=True):
        known = [g for g in column if g is not None]
        found.append(torch.stack(known, 1) if known else None)
    return found


def is_output(outputs: Tensor, edge: GradientEdge) -> bool:
    """Whether a place in the graph is the network's output itself, or a mere reshape of it."""
    current = get_gradient_edge(outputs)
    while (current.node, current.output_nr) != (edge.node, edge.output_nr):
        node = current.node
        if not node.name().startswith(RESHAPES):
            return False
        (parent, index) = node.next_functions[0]
        if parent is None:
            return False
        current = GradientEdge(parent, index)
    return True
