"""A recorded forward pass: what the gradients of its layers are computed from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge

from hybridonn.tangent.empirical.empty_windows import refuse_empty_windows
from hybridonn.tangent.empirical.layer_io import (
    Execution,
    Layers,
    Recorder,
    RuledLayer,
    full_name,
)
from hybridonn.tangent.empirical.pooled_convolution import CompiledLayer, PooledLayer
from hybridonn.tangent.empirical.repeatability import run_repeatably
from hybridonn.tangent.empirical.scaled_gradients import refuse_scaled_gradients
from hybridonn.tangent.empirical.torch_internals import own_parameters


@dataclass(frozen=True)
class ForwardPass:
    """The outputs of some samples, and the layers on the way whose gradients go by rules.

    Attributes:
        outputs: the network's outputs (n, ...).
        layers: its layers that go by rules.
        pooled: those of its layers whose gradients are taken behind their pooling, by the order
            of their execution.
    """

    outputs: Tensor
    layers: Sequence[RuledLayer]
    pooled: Mapping[int, PooledLayer | CompiledLayer] = field(default_factory=dict)

    def targets(self) -> list[GradientEdge]:
        """Where each execution's cotangents are taken: at its output, or behind its pooling."""
        return [self._target(one) for layer in self.layers for one in layer.executions]

    def _target(self, execution: Execution) -> GradientEdge:
        """The place of one execution."""
        pooled = self.pooled.get(execution.order)
        return execution.edge if pooled is None else pooled.edge


def record_forward(model: nn.Module, x: Tensor, layers: Layers) -> tuple[Tensor, Recorder]:
    """Run a model on some samples and note its layers.

    Args:
        model: the model.
        x: samples (n, ...).
        layers: the wanted layers.

    Returns:
        The outputs (n, ...) and the recorder.

    Raises:
        TangentError: the outputs have no tangent kernel, the model draws random numbers, or its
            samples interact.
    """
    recorder = Recorder(model, layers)
    outputs = run_repeatably(model, x, recorder.recording())
    refuse_empty_windows(outputs)
    refuse_scaled_gradients(outputs)
    return outputs, recorder


def call_with(model: nn.Module, values: Mapping[str, Tensor], x: Tensor) -> Tensor:
    """What a model returns with other values of its parameters.

    torch's own way with tied parameters replaces those of a module that has two names twice, and
    leaves the second values in the model.

    Args:
        model: the model.
        values: the values of parameters, by their names in ``model.named_parameters()``.
        x: samples (n, ...).

    Returns:
        The outputs (n, ...).
    """
    parameters = dict(model.named_parameters())
    given = {id(parameters[name]): value for name, value in values.items()}
    everywhere = {
        full_name(prefix, name): given[id(parameter)]
        for prefix, module in model.named_modules()
        for name, parameter in own_parameters(module).items()
        if id(parameter) in given
    }
    return torch.func.functional_call(model, everywhere, (x,), tie_weights=False)
