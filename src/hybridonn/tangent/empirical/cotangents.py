"""Cotangents: the gradients of every output of a network with respect to its layers' outputs.

Through operations that `operations` knows, all outputs go as one batch; a graph with another
operation is left to autograd.
"""

from __future__ import annotations

from collections.abc import Sequence, Set

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, Node, get_gradient_edge

from hybridonn.tangent.empirical.batched_operations import Part, Product, batched_product
from hybridonn.tangent.empirical.checks import backward_faults, without_notes
from hybridonn.tangent.empirical.gated_cotangent import GatedCotangent
from hybridonn.tangent.empirical.graph import Step, route_to
from hybridonn.tangent.empirical.operations import vector_jacobian_product
from hybridonn.tangent.empirical.torch_internals import count_results, result_shape


def known_cotangents(
    outputs: Tensor, targets: Sequence[GradientEdge], vectors: Tensor
) -> list[Tensor | None] | None:
    """Gradients of combinations of the outputs, where every operation on the way is known.

    They can be differentiated again if gradients are switched on.

    Args:
        outputs: the network's outputs (n, ...), samples independent.
        targets: places in the graph whose gradients are wanted.
        vectors: combinations (C, ...) of the outputs; unit vectors for the outputs themselves.

    Returns:
        For each target its gradients (n, C, ...), or None where no output depends on it; None
        altogether where an operation on the way is not known.
    """
    root, places = get_gradient_edge(outputs), {edge.node for edge in targets}
    route = route_to(root.node, places)
    first_results = not any(edge.output_nr for edge in (root, *targets))
    if not first_results or not all(map(_is_known, route)):
        return None
    arrived = {root.node: GatedCotangent(vectors[None])}
    found: dict[Node, Tensor] = {}
    for node, wanted in route:
        here = arrived.pop(node)
        if node in places:
            value = here.product()
            found[node] = value.expand(len(outputs), *value.shape[1:])
            here = GatedCotangent(value)
        product = vector_jacobian_product(node)
        passed = product(node, here) if product and wanted else {}
        if passed is None or not set(wanted) <= set(passed):
            return None
        for position in wanted:
            parent, result = node.next_functions[position]
            if parent is None or result:
                return None
            more = passed[position]
            arrived[parent] = arrived[parent] + more if parent in arrived else more
    return [found.get(edge.node) for edge in targets]


@torch.no_grad()
def batched_cotangents(
    outputs: Tensor, targets: Sequence[GradientEdge], vectors: Tensor
) -> list[Tensor | None] | None:
    """The same through the operations that `batched_operations` knows; not differentiable.

    The samples may lie anywhere in what stands between the targets and the outputs.

    Args:
        outputs: as for `known_cotangents`.
        targets: as for `known_cotangents`.
        vectors: as for `known_cotangents`.

    Returns:
        As for `known_cotangents`.
    """
    root, places = get_gradient_edge(outputs), {(edge.node, edge.output_nr) for edge in targets}
    route = route_to(root.node, {node for node, _ in places})
    products = [batched_product(node, wanted) if wanted else None for node, wanted in route]
    if any(step.wanted and not known for step, known in zip(route, products, strict=True)):
        return None
    with backward_faults():
        found = _go_back(root, vectors[:, None].expand(-1, *outputs.shape), route, products, places)
    here = [found.get((edge.node, edge.output_nr)) for edge in targets]
    return [None if g is None else g.transpose(0, 1) for g in here]


def _go_back(
    root: GradientEdge,
    start: Tensor,
    route: Sequence[Step],
    products: Sequence[Product | None],
    places: Set[tuple[Node, int]],
) -> dict[tuple[Node, int], Tensor]:
    """The cotangents (C, ...) at some results of operations, from those at the outputs."""
    arrived = _Arrivals(len(start))
    arrived.add(root, start)
    found: dict[tuple[Node, int], Tensor] = {}
    for (node, wanted), product in zip(route, products, strict=True):
        results = arrived.pop(node)
        for index, g in enumerate(results):
            if g is not None and (node, index) in places:
                found[node, index] = g
        if product is None or all(g is None for g in results):
            continue
        for position in wanted:
            parent, result = node.next_functions[position]
            if parent is not None:
                arrived.add(GradientEdge(parent, result), product(node, results, position))
    return found


class _Arrivals:
    """The cotangents (C, ...) that have arrived at the results of operations.

    Args:
        count: the number C of combinations.
    """

    def __init__(self, count: int):
        self._count = count
        self._sums: dict[Node, dict[int, Tensor]] = {}
        self._parts: dict[Node, dict[int, Tensor]] = {}

    def add(self, edge: GradientEdge, more: Tensor | Part) -> None:
        """Let a cotangent arrive at an operation's result."""
        node, index = edge.node, edge.output_nr
        if isinstance(more, Part):
            whole = self._parts.setdefault(node, {})
            if index not in whole:
                whole[index] = more.value.new_zeros(self._count, *result_shape(node, index))
            more.view(whole[index]).add_(more.value)
            return
        sums = self._sums.setdefault(node, {})
        sums[index] = sums[index] + more if index in sums else more

    def pop(self, node: Node) -> list[Tensor | None]:
        """The cotangents of all results of an operation; they are forgotten."""
        sums, parts = self._sums.pop(node, {}), self._parts.pop(node, {})
        for index, part in parts.items():
            sums[index] = part.add_(sums[index]) if index in sums else part
        return [sums.get(index) for index in range(count_results(node))]


def batches_well(outputs: Tensor, targets: Sequence[GradientEdge]) -> bool:
    """Whether all outputs' cotangents go as one batch between the outputs and some places.

    They do where every operation is known by name, and where autograd's batched pass loops over
    none of them.
    """
    places = {edge.node for edge in targets}
    route = [step for step in route_to(get_gradient_edge(outputs).node, places) if step.wanted]
    loops = any(step.node.name().startswith(_LOOPED) for step in route)
    return not loops or all(map(_is_known, route))


# Operations over whose batched backward pass torch loops.
_LOOPED = ("Convolution", "MaxPool", "AvgPool", "AdaptiveMaxPool", "AdaptiveAvgPool", "Mkldnn")


def _is_known(step: Step) -> bool:
    """Whether cotangents pass an operation as far as they have to."""
    return not step.wanted or vector_jacobian_product(step.node) is not None


def autograd_cotangents(
    outputs: Tensor, targets: Sequence[GradientEdge], vectors: Tensor, *, create_graph: bool
) -> list[Tensor | None]:
    """Gradients of combinations of the outputs, by autograd's batched backward pass or single ones.

    Args:
        outputs: the network's outputs (n, ...), samples independent.
        targets: places in the graph whose gradients are wanted.
        vectors: combinations (C, ...) of the outputs; unit vectors for the outputs themselves.
        create_graph: let the gradients be differentiated again.

    Returns:
        For each target its gradients (n, C, ...), or None where no output depends on it.
    """
    expanded = vectors[:, None].expand(-1, *outputs.shape)

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

    if len(vectors) == 1:
        with backward_faults():
            found = gradients(expanded[0], False)
        return [None if g is None else g[:, None] for g in found]
    try:
        with without_notes():
            found = gradients(expanded, True)
    except Exception as fault:  # an operation without a batched backward pass, or without any
        if isinstance(fault, torch.OutOfMemoryError):
            raise
        with backward_faults():
            return _stack_outputs([gradients(vector, False) for vector in expanded])
    return [None if g is None else g.transpose(0, 1) for g in found]


def _stack_outputs(rows: Sequence[Sequence[Tensor | None]]) -> list[Tensor | None]:
    """Gradients by combination, then target, as one tensor (n, C, ...) for each target."""
    found = []
    for column in zip(*rows, strict=True):
        known = [g for g in column if g is not None]
        found.append(torch.stack(known, 1) if known else None)
    return found
