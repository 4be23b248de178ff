"""Exact tangent features of a dense layer at a network's end, in one forward pass."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hybridonn.tangent.empirical.backends import uncompiled
from hybridonn.tangent.empirical.checks import check_inputs, require_inference
from hybridonn.tangent.empirical.forward_pass import ForwardPass, record_forward
from hybridonn.tangent.empirical.gradient_factors import FactoredGradient
from hybridonn.tangent.empirical.layer_gradients import LayerGradients, layer_gradients
from hybridonn.tangent.empirical.layer_io import Layers, Recorder, RuledLayer, ruled_layers
from hybridonn.tangent.empirical.output_vectors import fixed_normal, unit_vectors
from hybridonn.tangent.empirical.verification import compare

# Up to so many outputs have their gradients with respect to a dense layer held at once, 4 MB.
_OUTPUTS = 1024


@dataclass(frozen=True)
class DenseEnd:
    """A dense layer whose outputs a network only combines, with the same weights for all samples.

    Attributes:
        layer: its name.
        gradient: d output / d layer output, (C, o), the same for every sample.
    """

    layer: str
    gradient: Tensor


def find_dense_end(model: nn.Module, x: Tensor, layers: Layers = "last") -> DenseEnd | None:
    """Find the dense layer whose tangent features `dense_features` gives exactly.

    Autograd decides, not the model's class: the layer's gradients must be what its rule says, and
    the outputs' gradients with respect to it the same for all of x.

    Args:
        model: any module, in inference mode; samples lead and do not interact.
        x: samples (n, ...) on which this is checked.
        layers: whose parameters, as for `ntk`.

    Returns:
        The layer; None for several layers, for another kind of layer, for more than 1024
        outputs, and where the outputs' gradients differ between samples.

    Raises:
        TangentError: the model or the inputs have no tangent kernel.
    """
    model = uncompiled(model)
    check_inputs(model, x, None)
    require_inference(model)
    with torch.enable_grad():
        outputs, recorder, layer = _record_dense(model, x[:2], layers)
        shape = outputs.shape[1:]
        if layer is None or shape.numel() > _OUTPUTS:
            return None
        vectors = unit_vectors(shape, slice(0, shape.numel()), outputs)
        found = layer_gradients(ForwardPass(outputs, [layer]), vectors)
        verified = compare(found, outputs, vectors, recorder.parameters())
        gradient = _only_factored(found)
        if gradient is None or verified.wrong:
            return None
        end = DenseEnd(layer.name, gradient.lefts()[0, :, 0, :, 0].detach())
    return None if dense_features(model, x, end) is None else end


def dense_features(model: nn.Module, x: Tensor, end: DenseEnd) -> tuple[Tensor, Tensor] | None:
    """A network's outputs and the exact tangent features of its dense end, in one forward pass.

    With layer inputs h and output gradients G, the same for all samples, the kernel
    contracted over the outputs is ``||G||_F^2 (h h^T + 1_bias)``: so the features are
    ``||G||_F [h, 1_bias]``.

    Args:
        model: the module, in inference mode.
        x: samples (n, ...).
        end: what `find_dense_end` found of it.

    Returns:
        Outputs (n, ...) and features (n, k or k + 1), detached, the features in at least
        single precision; None where the outputs' gradients of these samples differ from those
        that were found.
    """
    model = uncompiled(model)
    with torch.enable_grad(), _only_trainable(model, end.layer):
        outputs, recorder, layer = _record_dense(model, x, end.layer)
        if layer is None:
            return None
        # One random combination of outputs tells gradients apart, at the cost of one backward pass.
        drawn = fixed_normal(outputs)
        layers = layer_gradients(ForwardPass(outputs, [layer]), drawn)
        gradient = _only_factored(layers)
        verified = compare(layers, outputs, drawn, recorder.parameters())
    if gradient is None or verified.wrong:
        return None
    found = gradient.lefts()[:, 0, 0, :, 0]
    # No product of matrices: autocast would round it.
    expected = (drawn.flatten().to(found)[:, None] * end.gradient.to(found)).sum(0)
    rounding = 8 * torch.finfo(outputs.dtype).eps * float(expected.abs().max())
    if not torch.allclose(found, expected.expand_as(found), rtol=0, atol=rounding):
        return None
    h = gradient.rights()[:, 0, :, 0]
    if gradient.sums_left:
        h = torch.nn.functional.pad(h, (0, 1), value=1.0)
    return outputs.detach(), (torch.linalg.norm(end.gradient) * h).detach()


def _record_dense(
    model: nn.Module, x: Tensor, layers: Layers
) -> tuple[Tensor, Recorder, RuledLayer | None]:
    """A forward pass, and its one dense layer with a single position; None if it has another."""
    outputs, recorder = record_forward(model, x, layers)
    chosen = recorder.selected()
    known = ruled_layers(chosen, len(x))
    if len(chosen) != 1 or len(known) != 1:
        return outputs, recorder, None
    dense = [len(execution.shape) for execution in known[0].executions] == [2]
    whole = set(chosen[0].own) == set(known[0].covered)
    return outputs, recorder, known[0] if dense and whole else None


def _only_factored(found: list[LayerGradients]) -> FactoredGradient | None:
    """The gradient of the one layer, if it is factored."""
    gradients = [gradient for one in found for gradient in one.gradients]
    if len(gradients) != 1 or not isinstance(gradients[0], FactoredGradient):
        return None
    return gradients[0]


@contextmanager
def _only_trainable(model: nn.Module, layer: str) -> Iterator[None]:
    """Within this context autograd's graph begins at one layer: nothing before it is kept."""
    kept = {id(parameter) for parameter in model.get_submodule(layer).parameters(recurse=False)}
    others = [p for p in model.parameters() if p.requires_grad and id(p) not in kept]
    try:
        for parameter in others:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in others:
            parameter.requires_grad_(True)
