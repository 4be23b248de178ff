"""What each layer of a forward pass was given, and where its output lies in autograd's graph."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge

from hybridonn.tangent.empirical.graph import uses_of
from hybridonn.tangent.empirical.rules.base import Rule, rule_of, trainable_parameters
from hybridonn.tangent.empirical.torch_internals import (
    count_changes,
    is_transformed,
    own_parameters,
)
from hybridonn.tangent.errors import TangentError

Layers = str | Sequence[str]


@dataclass(frozen=True)
class Execution:
    """One execution of a layer.

    Attributes:
        inputs: what the layer was given.
        changes: how often that had been changed in place by then.
        edge: the place of its output in autograd's graph; it stays right when the output
            is changed in place afterwards, as ``nn.ReLU(inplace=True)`` does.
        shape: the shape of its output.
        order: the number of executions before it.
        cache: what is worth keeping between backward passes.
    """

    inputs: Tensor
    changes: int
    edge: GradientEdge
    shape: torch.Size
    order: int
    cache: dict[str, Tensor] = field(default_factory=dict)


@dataclass
class Layer:
    """A module that owns trainable parameters, and its executions so far.

    Attributes:
        name: its name in the model.
        module: the module.
        rule: the rule it goes by, or None.
        covered: the names of its own parameters that the rule accounts for.
        executions: its executions, in order.
        first: the order of its first execution; -1 for none.
        last: the order of its latest execution, known to the rule or not; -1 for none.
        problem: why the rule does not hold for what was executed; empty where it does.
    """

    name: str
    module: nn.Module
    rule: Rule | None
    covered: tuple[str, ...]
    executions: list[Execution] = field(default_factory=list)
    first: int = -1
    last: int = -1
    problem: str = ""

    @property
    def own(self) -> dict[str, nn.Parameter]:
        """Its own trainable parameters by their names within the layer."""
        return trainable_parameters(self.module)


@dataclass(frozen=True)
class RuledLayer:
    """A layer whose executions all go by its rule.

    Attributes:
        name: its name in the model.
        module: the module.
        rule: its rule.
        covered: the names of its own parameters that the rule accounts for.
        executions: its executions, in order; at least one.
        full_names: the names in the model of the parameters that the rule accounts for.
    """

    name: str
    module: nn.Module
    rule: Rule
    covered: tuple[str, ...]
    executions: tuple[Execution, ...]
    full_names: tuple[str, ...]

    def inputs(self, execution: Execution, keep_graph: bool) -> Tensor:
        """What the layer was given, if it still is what it was.

        Raises:
            TangentError: it was changed in place since.
        """
        if count_changes(execution.inputs) != execution.changes:
            raise TangentError(
                f"the input of layer '{self.name}' was changed in place after the layer had read "
                "it, so its gradient is lost; write the operation after it without inplace=True"
            )
        return execution.inputs if keep_graph else execution.inputs.detach()


class Recorder:
    """Notes the layers of one forward pass of a model.

    Attributes:
        model: the model.
        layers: its layers with trainable parameters.
        wanted: the layers that the kernel is meant for: "all", "first", "last" or names.
    """

    def __init__(self, model: nn.Module, wanted: Layers = "all"):
        self.model = model
        self.layers = trainable_layers(model)
        self.wanted = wanted
        self._by_module = {layer.module: layer for layer in self.layers}
        self._count = 0
        self._outputs: list[GradientEdge] = []
        self._uses: dict[Tensor, list[int]] | None = None
        words = isinstance(wanted, str) and wanted in ("all", "first", "last")
        self._named = None if words else _find_named(model, self.layers, wanted)

    @contextmanager
    def recording(self) -> Iterator[Recorder]:
        """Hooks on every layer that may be wanted, for as long as the context lasts."""
        handles = [
            layer.module.register_forward_hook(self._note, with_kwargs=True)
            for layer in self.layers
            if self._named is None or layer.name in self._named
            if not isinstance(layer.module, torch.jit.ScriptModule)  # it takes no hooks
        ]
        handles.append(self.model.register_forward_pre_hook(self._restart, prepend=True))
        handles.append(self.model.register_forward_hook(self._note_outputs))
        try:
            yield self
        finally:
            for handle in handles:
                handle.remove()

    @property
    def outputs(self) -> list[GradientEdge]:
        """Where the outputs of the latest forward pass lie in autograd's graph."""
        return self._outputs

    def uses(self) -> dict[Tensor, list[int]]:
        """When each parameter is used on the way to the outputs, as `uses_of` says."""
        if self._uses is None:
            self._uses = uses_of(self._outputs)
        return self._uses

    def selected(self) -> list[Layer]:
        """The wanted layers that were executed, in order of execution.

        The first and the last one are those whose parameters are used first and last on the way
        to the outputs, wherever the module that owns them stands.

        Raises:
            TangentError: none was.
        """
        if self.wanted in ("first", "last"):
            used = self._by_use()
            if used:
                return self._of_one_module(used[0 if self.wanted == "first" else -1])
        executed = sorted((lay for lay in self.layers if lay.last >= 0), key=lambda lay: lay.first)
        if not executed and self._outputs and self.wanted not in ("first", "last"):
            return []  # parameters that are used without their modules
        if not executed:
            raise TangentError(
                f"no layer with trainable parameters of {type(self.model).__name__} was executed "
                "while it was watched; call the model itself inside the context of record()"
            )
        if self.wanted == "first":
            return executed[:1]
        if self.wanted == "last":
            return [max(executed, key=lambda lay: lay.last)]
        return executed

    def parameters(self) -> dict[str, nn.Parameter]:
        """The wanted trainable parameters by their full names, shared ones once."""
        if self.wanted == "all":
            layers = self.layers
        elif self._named is not None:
            layers = [lay for lay in self.layers if lay.name in self._named]
        else:
            layers = self.selected()
        found: dict[int, tuple[str, nn.Parameter]] = {}
        for layer in layers:
            for name, parameter in layer.own.items():
                found.setdefault(id(parameter), (full_name(layer.name, name), parameter))
        return dict(found.values())

    def _by_use(self) -> list[Layer]:
        """The layers on the way to the outputs, by the operation that uses a parameter of theirs.

        That is the earliest such operation where the first layer is wanted, else the latest.
        """
        choose = min if self.wanted == "first" else max
        times = {id(parameter): choose(numbers) for parameter, numbers in self.uses().items()}
        found = [
            (choose(own), layer.last, place, layer)
            for place, layer in enumerate(self.layers)
            if (own := [times[id(p)] for p in layer.own.values() if id(p) in times])
        ]
        return [layer for *_, layer in sorted(found, key=lambda one: one[:3])]

    def _of_one_module(self, layer: Layer) -> list[Layer]:
        """A layer with what ``torch.nn.utils.parametrize`` keeps of its weights in modules below.

        A weight that is normalised is made anew of parameters that are used earlier than the bias.
        """
        owner = _owner(layer.name)
        return [one for one in self.layers if _owner(one.name) == owner]

    def _note_outputs(self, module: nn.Module, args: Any, output: Any) -> None:
        """Note where the outputs lie in autograd's graph."""
        self._outputs = [get_gradient_edge(one) for one in _tensors(output) if one.requires_grad]
        self._uses = None

    def _restart(self, module: nn.Module, args: Any) -> None:
        """Forget the forward pass before a new one of the whole model."""
        self._count = 0
        self._outputs = []
        self._uses = None
        for layer in self.layers:
            layer.executions.clear()
            layer.first = layer.last = -1
            layer.problem = ""

    def _note(self, module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        """Note one execution of a layer."""
        layer = self._by_module[module]
        layer.last = self._count
        layer.first = layer.last if layer.first < 0 else layer.first
        self._count += 1
        if layer.rule is None or layer.problem:
            return
        inputs = args[0] if args else next(iter(kwargs.values()), None)
        if not isinstance(inputs, Tensor) or not isinstance(output, Tensor):
            layer.problem = "it does not map one tensor to one tensor"
            return
        layer.problem = _find_mismatch(layer, layer.rule, inputs, output)
        if not layer.problem:
            edge, changes = get_gradient_edge(output), count_changes(inputs)
            layer.executions.append(Execution(inputs, changes, edge, output.shape, layer.last))


def trainable_layers(model: nn.Module) -> list[Layer]:
    """The modules of a model that own trainable parameters, with their rules.

    A parameter that two modules own is covered by no rule, since each sees its own part only.

    Raises:
        TangentError: the model has no parameters, or no trainable ones.
    """
    owners: dict[int, int] = {}
    owning = [(name, module) for name, module in model.named_modules() if own_parameters(module)]
    for _, module in owning:
        for parameter in own_parameters(module).values():
            owners[id(parameter)] = owners.get(id(parameter), 0) + 1
    found = []
    for name, module in owning:
        own = trainable_parameters(module)
        if not own:
            continue
        rule = rule_of(module)
        covered = rule.covers(module) if rule else ()
        if any(owners[id(own[name])] > 1 or own[name].is_complex() for name in covered):
            rule, covered = None, ()
        found.append(Layer(name, module, rule, covered))
    if not found:
        raise TangentError(_describe_no_parameters(model))
    return found


def ruled_layers(layers: Sequence[Layer], samples: int) -> list[RuledLayer]:
    """The layers whose executions all go by a rule, with the samples first."""
    found = []
    for layer in layers:
        if layer.rule is None or layer.problem or not layer.executions or not layer.covered:
            continue
        odd = next((e.shape for e in layer.executions if e.shape[0] != samples), None)
        if odd is not None:
            layer.problem = f"its output of shape {tuple(odd)} does not lead with the samples"
            continue
        executions = tuple(layer.executions)
        names = tuple(full_name(layer.name, name) for name in layer.covered)
        known = RuledLayer(layer.name, layer.module, layer.rule, layer.covered, executions, names)
        found.append(known)
    return found


def covered_names(layers: Sequence[RuledLayer]) -> set[str]:
    """The full names of the parameters that layers' rules account for."""
    return {name for layer in layers for name in layer.full_names}


def _owner(name: str) -> str:
    """The name of the module whose weight a parametrization makes; else the name itself."""
    return re.split(r"(?:^|\.)parametrizations\.", name, maxsplit=1)[0]


def full_name(layer: str, parameter: str) -> str:
    """The name of a layer's parameter in the model."""
    return f"{layer}.{parameter}" if layer else parameter


def _find_mismatch(layer: Layer, rule: Rule, inputs: Tensor, output: Tensor) -> str:
    """Why a rule does not fit an execution; empty where it does.

    Raises:
        TangentError: gradients were switched off.
    """
    if is_transformed(output):
        return "it runs inside a transformation of torch.func"
    if not output.requires_grad:
        raise TangentError(
            f"the output of layer '{layer.name}' does not depend on its parameters: gradients "
            "were switched off; call the model outside torch.no_grad(), and a checkpoint in it "
            "with use_reentrant=False"
        )
    if inputs.is_complex() or output.is_complex():
        return "its numbers are complex"
    if not (inputs.ndim > 0 and output.ndim > 0 and inputs.shape[0] == output.shape[0]):
        return "its input and output do not share their first axis"
    if not rule.fits(layer.module, inputs, output):
        return f"its input of shape {tuple(inputs.shape)} is not (samples, ...) as its rule needs"
    return ""


def _tensors(output: Any) -> Iterator[Tensor]:
    """The tensors in what a model returned."""
    if isinstance(output, Tensor):
        yield output
    elif isinstance(output, Mapping):
        yield from _tensors(list(output.values()))
    elif isinstance(output, list | tuple):
        for one in output:
            yield from _tensors(one)


def _find_named(model: nn.Module, layers: list[Layer], wanted: Layers) -> set[str]:
    """The names of the trainable layers at or below the wanted names.

    Raises:
        TangentError: there is none for a name.
    """
    names = [layer.name for layer in layers]
    found: set[str] = set()
    asked = [wanted] if isinstance(wanted, str) else wanted
    if not isinstance(asked, Sequence | Set) or not all(isinstance(name, str) for name in asked):
        raise TangentError(
            f"layers is {wanted!r}; give 'all', 'first', 'last', or names of layers as strings"
        )
    if not asked:
        raise TangentError("layers names no layer; give 'all', 'first', 'last' or some names")
    for name in asked:
        matches = {n for n in names if n == name or n.startswith(f"{name}.")}
        if not matches:
            near = get_close_matches(name, names, n=1, cutoff=0)
            known = ", ".join(one or "''" for one in names)
            raise TangentError(
                f"layers names '{name}', which is no layer with trainable parameters of "
                f"{type(model).__name__}; the nearest is '{near[0]}', all are "
                f"{known}; 'all', 'first' and 'last' are allowed as well"
            )
        found |= matches
    return found


def _describe_no_parameters(model: nn.Module) -> str:
    """What to say of a model without trainable parameters."""
    kind = type(model).__name__
    if any(True for _ in model.parameters()):
        return (
            f"none of the parameters of {kind} is trainable; "
            "set requires_grad on those that the kernel is meant for"
        )
    return f"{kind} has no parameters, so it has no tangent kernel; give a model with layers"
