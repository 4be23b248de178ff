"""Parameters by the operations that use them, for what no rule of a layer accounts for.

Class tokens, the projections of an attention, the gates of an LSTM at each step: autograd's graph
tells which operations were given them. Where the samples lie in the results of those operations
(behind the steps of a sequence, or merged with them) is read off one backward pass of random
samples: the gradients of all others are zero there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, Node

from hybridonn.tangent.empirical.checks import backward_faults
from hybridonn.tangent.empirical.gradient_factors import LayerCall, ParameterGradient
from hybridonn.tangent.empirical.graph import users_of
from hybridonn.tangent.empirical.layer_io import (
    Execution,
    Recorder,
    RuledLayer,
    covered_names,
    ruled_layers,
)
from hybridonn.tangent.empirical.parameter_views import ParameterUse, find_uses
from hybridonn.tangent.empirical.rules.base import Rule
from hybridonn.tangent.empirical.rules.operation import (
    Operand,
    Place,
    parameter_gradients,
    read_operand,
)
from hybridonn.tangent.empirical.torch_internals import count_changes, parameter_of, result_shape

# Markings of random samples at most; one is enough unless there are few samples.
_ROUNDS = 6


@dataclass(frozen=True)
class OperationRule(Rule):
    """The gradient of one parameter from all operations that use it.

    Attributes:
        parameter: its name within its module.
        shape: its shape.
        operands: how each operation uses it.
        places: where the samples lie in each one's result.
        samples: their number.
    """

    parameter: str
    shape: torch.Size
    operands: tuple[Operand, ...]
    places: tuple[Place, ...]
    samples: int
    name = "the operations that use it"

    def covers(self, layer: nn.Module) -> tuple[str, ...]:
        """The parameter."""
        return (self.parameter,)

    def fits(self, layer: nn.Module, inputs: Tensor, output: Tensor) -> bool:
        """It was made for one forward pass."""
        return True

    def gradients(self, layer: nn.Module, calls: Sequence[LayerCall]) -> list[ParameterGradient]:
        """Factored gradients of products, explicit ones of elementwise operations."""
        return parameter_gradients(
            self.parameter, self.operands, self.places, calls, self.shape, self.samples
        )


@dataclass(frozen=True)
class _Used:
    """A parameter and how it is used.

    Attributes:
        name: its name in the model.
        parameter: the parameter.
        operands: how each operation uses it.
        nodes: the operations.
    """

    name: str
    parameter: Tensor
    operands: list[Operand]
    nodes: list[Node]

    @property
    def pairs(self) -> list[tuple[Operand, Node]]:
        """How each operation uses it, and the operation."""
        return list(zip(self.operands, self.nodes, strict=True))


def operation_layers(
    model: nn.Module, outputs: Tensor, parameters: Mapping[str, Tensor], samples: int
) -> list[RuledLayer]:
    """Layers of one parameter each, for those parameters whose every use is known.

    Args:
        model: the model.
        outputs: its outputs (n, ...).
        parameters: the parameters that no other rule accounts for, by their names in the model.
        samples: how many samples there are.

    Returns:
        The layers; their names are those of the parameters.
    """
    if not parameters or outputs.grad_fn is None:
        return []
    used = [u for u in _known_uses(outputs.grad_fn, parameters) if u is not None]
    places = _find_places(outputs, used)
    return [_layer(model, u, p, samples) for u, p in zip(used, places, strict=True) if p]


def known_layers(
    recorder: Recorder,
    outputs: Tensor,
    wrong: Collection[str] = (),
    names: Collection[str] | None = None,
) -> list[RuledLayer]:
    """The wanted layers whose gradients go by rules: their classes', then those of operations.

    Args:
        recorder: what noted the forward pass.
        outputs: its outputs (n, ...).
        wrong: names of layers whose rules do not hold.
        names: names of the layers that another block of samples has; None: there is none yet.
    """
    known = [
        layer
        for layer in ruled_layers(recorder.selected(), len(outputs))
        if layer.name not in wrong and (names is None or layer.name in names)
    ]
    done = covered_names(known) | set(wrong)
    rest = {name: p for name, p in recorder.parameters().items() if name not in done}
    return known + operation_layers(recorder.model, outputs, rest, len(outputs))


def find_odd_uses(
    outputs: Sequence[GradientEdge], parameters: Mapping[str, Tensor]
) -> dict[str, str]:
    """The first operation without a rule that uses each parameter, by name; empty for none."""
    found: dict[str, str] = {}
    for edge in outputs:
        users = users_of(edge.node)
        leaves = _leaves(users)
        for name, parameter in parameters.items():
            if id(parameter) in leaves:
                uses = find_uses(parameter, leaves[id(parameter)], users)
                odd = (u.node.name() for u in uses if read_operand(u, parameter.detach()) is None)
                found[name] = next(odd, found.get(name, ""))
    return found


def _leaves(users: Iterable[Node]) -> dict[int, Node]:
    """The leaves of a graph by the identities of their parameters."""
    return {id(parameter_of(node)): node for node in users if parameter_of(node) is not None}


def _known_uses(outputs: Node, parameters: Mapping[str, Tensor]) -> list[_Used | None]:
    """The uses of each parameter; None where one of them is not known."""
    users = users_of(outputs)
    leaves = _leaves(users)
    reached = {n: p for n, p in parameters.items() if id(p) in leaves and not p.is_complex()}
    return [_read_uses(n, p, list(find_uses(p, leaves[id(p)], users))) for n, p in reached.items()]


def _read_uses(name: str, parameter: Tensor, uses: Sequence[ParameterUse]) -> _Used | None:
    operands = [read_operand(use, parameter.detach()) for use in uses]
    known = [operand for operand in operands if operand is not None]
    if not uses or len(known) < len(operands):
        return None
    return _Used(name, parameter, known, [use.node for use in uses])


def _find_places(outputs: Tensor, used: Sequence[_Used]) -> list[list[Place]]:
    """Where the samples lie in the results that each parameter is used for; empty: nowhere.

    Random samples are marked in turn until each result has one place left.
    """
    nodes = list(dict.fromkeys(node for one in used for node in one.nodes))
    left = [[list(_places(o, len(outputs), n)) for o, n in one.pairs] for one in used]
    generator = torch.Generator().manual_seed(2)
    for _ in range(_ROUNDS if nodes else 0):
        marks, gradients = _mark_samples(outputs, nodes, generator)
        left = [
            [
                [place for place in places if _fits(place, marks, gradients[node])]
                for places, node in zip(results, one.nodes, strict=True)
            ]
            for results, one in zip(left, used, strict=True)
        ]
        if len(outputs) == 1 or not any(len(r) > 1 for results in left for r in results):
            break
    return [[r[0] for r in results] if all(results) else [] for results in left]


def _mark_samples(
    outputs: Tensor, nodes: Sequence[Node], generator: torch.Generator
) -> tuple[Tensor, dict[Node, Tensor | None]]:
    """One backward pass of about half of the samples.

    Returns:
        Whether each sample was marked (n), and where the operations' results have gradients.
    """
    drawn = torch.randn(outputs.shape, generator=generator).to(outputs)
    order = torch.randperm(len(outputs), generator=generator)
    marked = (order < (len(outputs) + 1) // 2).to(outputs.device)
    vector = drawn * marked.view(-1, *[1] * (outputs.ndim - 1))
    edges = [GradientEdge(node, 0) for node in nodes]
    with backward_faults():
        found = torch.autograd.grad(outputs, edges, vector, retain_graph=True, allow_unused=True)
    here = [None if gradient is None else gradient != 0 for gradient in found]
    return marked, dict(zip(nodes, here, strict=True))


def _places(operand: Operand, n: int, node: Node) -> Iterator[Place]:
    """Where n samples may lie in an operation's result."""
    shape = result_shape(node)
    for axis in operand.axes:
        if shape[axis] % n == 0:
            yield from (Place(axis, before) for before in _divisors(shape[axis] // n))


def _fits(place: Place, marked: Tensor, here: Tensor | None) -> bool:
    """Whether nothing that is not marked has gradients."""
    if here is None:
        return False
    by_sample = here.movedim(place.axis, 0).reshape(place.before, len(marked), -1)
    return not bool((by_sample.any(2).any(0) & ~marked).any())


def _divisors(number: int) -> Iterator[int]:
    """The divisors, one and the number itself first: they are the likely ones."""
    yield 1
    yield from [number] if number > 1 else []
    yield from (d for d in range(2, number) if number % d == 0)


def _layer(model: nn.Module, used: _Used, places: Sequence[Place], samples: int) -> RuledLayer:
    """A layer of one parameter."""
    owner, _, own = used.name.rpartition(".")
    shape, operands = used.parameter.shape, tuple(used.operands)
    rule = OperationRule(own, shape, operands, tuple(places), samples)
    executions = tuple(
        Execution(
            operand.inputs,
            count_changes(operand.inputs),
            GradientEdge(node, 0),
            result_shape(node),
            -1,
        )
        for operand, node in zip(operands, used.nodes, strict=True)
    )
    return RuledLayer(used.name, model.get_submodule(owner), rule, (own,), executions, (used.name,))
