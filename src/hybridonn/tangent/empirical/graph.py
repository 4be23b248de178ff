"""Walks through autograd's graph of a forward pass.

A node is an operation; ``next_functions`` are the operations whose results it was given, so that
a walk from the outputs meets each operation before those that it depends on.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, Node, get_gradient_edge

from hybridonn.tangent.empirical.torch_internals import (
    RESHAPES,
    parameter_of,
    result_shape,
    result_types,
    sequence_number,
)


class Step(NamedTuple):
    """An operation on the way from the outputs to some places of the graph.

    Attributes:
        node: the operation.
        wanted: the positions of its arguments that lead to one of the places.
    """

    node: Node
    wanted: list[int]


def route_to(root: Node, targets: Set[Node]) -> list[Step]:
    """The operations between the outputs and the targets, each before those it depends on."""
    leads: dict[Node, list[int]] = {}
    order: list[Node] = []
    stack: list[tuple[Node, bool]] = [(root, False)]
    while stack:
        node, left = stack.pop()
        parents = node.next_functions
        if left:
            leads[node] = [
                i for i, (p, _) in enumerate(parents) if p and (leads.get(p) or p in targets)
            ]
            order.append(node)
        elif node not in leads:
            leads[node] = []
            stack.append((node, True))
            stack += [(p, False) for p, _ in parents if p is not None and p not in leads]
    return [Step(n, leads[n]) for n in reversed(order) if leads[n] or n in targets]


def users_of(root: Node) -> dict[Node, list[tuple[Node, int]]]:
    """The operations that take each operation's result, with the position that it has there."""
    users: dict[Node, list[tuple[Node, int]]] = {root: []}
    waiting = [root]
    while waiting:
        node = waiting.pop()
        for position, (parent, _) in enumerate(node.next_functions):
            if parent is None:
                continue
            if parent not in users:
                users[parent] = []
                waiting.append(parent)
            users[parent].append((node, position))
    return users


def types_before(outputs: Tensor) -> set[torch.dtype]:
    """The floating types of the results on the way to some outputs: autocast has lower ones."""
    root = get_gradient_edge(outputs).node
    found = {one for node in users_of(root) for one in result_types(node)}
    return {one for one in found if one.is_floating_point or one.is_complex}


def uses_of(outputs: Sequence[GradientEdge]) -> dict[Tensor, list[int]]:
    """When each parameter is used on the way to the outputs.

    Args:
        outputs: places of the outputs in the graph.

    Returns:
        The sequence numbers of the operations that take it, by parameter.
    """
    found: dict[Tensor, list[int]] = {}
    for root in {edge.node for edge in outputs}:
        for node, users in users_of(root).items():
            parameter = parameter_of(node)
            if parameter is not None and users:
                found.setdefault(parameter, []).extend(sequence_number(u) for u, _ in users)
    return found


def is_output(outputs: Tensor, edge: GradientEdge) -> bool:
    """Whether a place in the graph is the network's output itself, or a mere reshape of it."""
    current = get_gradient_edge(outputs)
    while (current.node, current.output_nr) != (edge.node, edge.output_nr):
        if not current.node.name().startswith(RESHAPES):
            return False
        (parent, index) = current.node.next_functions[0]
        if parent is None:
            return False
        current = GradientEdge(parent, index)
    return True


def argument_shape(node: Node, position: int) -> torch.Size:
    """The shape of an operation's argument; empty for a constant."""
    parent, result = node.next_functions[position]
    return torch.Size() if parent is None else result_shape(parent, result)
