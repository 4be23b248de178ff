"""How many samples and outputs at a time, so that a memory budget holds."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hybridonn.tangent.capture import Layer, Observation
from hybridonn.tangent.checks import check_outputs
from hybridonn.tangent.errors import TangentError
from hybridonn.tangent.layerwise import fitting
from hybridonn.tangent.pieces import Call, Product
from hybridonn.tangent.reverse import is_known

# Bytes of gradients at a time on a CPU. Through operations that `reverse` knows, all outputs go
# as one batch, until its gradients leave the last cache.
BATCH_BYTES = 2e8
# Elsewhere torch loops over the outputs of a batched backward pass of convolutions and pooling,
# then copies them together. From about this size on, one pass an output is faster (measured 1.3
# times for two convolutions at batch 64, 1.8 times with create_graph).
LOOP_BYTES = 1e6
# Of the budget, the forward graph and its output gradients take the first part, the
# contraction's temporaries the rest.
_GRAPH_SHARE = 0.6


@dataclass(frozen=True)
class Footprint:
    """What one sample needs.

    Attributes:
        graph: bytes that autograd keeps of its forward pass.
        gradients: bytes of one output's gradients in its backward pass.
        patches: bytes of the patches of its convolutions.
        outputs: the shape of its outputs.
        known: whether all outputs' gradients go as one batch.
    """

    graph: float
    gradients: float
    patches: float
    outputs: torch.Size
    known: bool = False


@dataclass(frozen=True)
class Plan:
    """How the work is split.

    Attributes:
        samples: samples of a block.
        outputs: outputs (or probes) of a backward pass.
        contraction: bytes for the contraction's temporaries.
        keep: whether the convolutions' patches may be kept between backward passes.
        room: how many outputs' gradients would fit; what is pooled may take their place.
    """

    samples: int
    outputs: int
    contraction: float
    keep: bool = False
    room: int = 1


def footprint(model: nn.Module, x: Tensor) -> Footprint:
    """Measure a forward pass of one or two samples."""
    probe = x[:2]
    saved: dict[tuple[int, int], int] = {}
    parameters = {p.data_ptr() for p in model.parameters()}

    def pack(tensor: Tensor) -> Tensor:
        if tensor.data_ptr() not in parameters:
            saved[(tensor.data_ptr(), tensor.numel())] = tensor.numel() * tensor.element_size()
        # An output that its own node holds as it is would never be freed.
        return tensor.detach()

    seen = Observation(model, "all")
    with seen.watching(), torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        outputs = model(probe)
    check_outputs(outputs, model, len(probe))
    size, n = outputs.element_size(), len(probe)
    executions = [execution for layer in seen.layers for execution in layer.executions]
    maps = [execution.shape.numel() * size for execution in executions]
    # All layers' output gradients, and two steps of the backward pass between the largest.
    gradients = sum(maps) + 2 * max(maps, default=0)
    patches = sum(_patches(layer) for layer in fitting(seen.layers, n)) * size
    known = is_known(outputs, [execution.edge for execution in executions])
    return Footprint(sum(saved.values()) / n, gradients / n, patches, outputs.shape[1:], known)


def _patches(layer: Layer) -> int:
    """The numbers in a layer's right factors of one sample, where they are made by copying."""
    count = 0
    assert layer.rule is not None
    for execution in layer.executions:
        unused = execution.inputs.new_empty(1).expand(1, 1, *execution.shape[1:])
        call = Call(execution.inputs[:1].detach(), unused)
        for piece in layer.rule.pieces(layer.module, [call]):
            size = piece.size() if isinstance(piece, Product) else None
            count += size.B * size.k * size.T if size and size.T > 1 else 0
    return count


def make_plan(
    need: Footprint,
    n1: int,
    n2: int | None,
    seeds: int,
    memory_gb: float,
    result: float,
    *,
    cached: bool = False,
) -> Plan:
    """Split the work so that it fits.

    Args:
        need: what one sample needs.
        n1: samples of x1.
        n2: samples of x2; None where the kernel is of x1 with itself.
        seeds: outputs or probes in all.
        memory_gb: the budget in GB, besides the model.
        result: bytes of the kernel.
        cached: take so few outputs at a time that their gradients suit a CPU's caches.

    Returns:
        The plan: all samples at once with as many outputs as fit, else fewer samples.

    Raises:
        TangentError: not even one sample with one output fits.
    """
    memory = memory_gb * 1e9 - 2 * result
    room = _GRAPH_SHARE * memory
    samples = n1 if n2 is None else n1 + n2
    outputs = (room / samples - need.graph) // max(need.gradients, 1)
    if outputs >= 1:
        fit = int(min(outputs, 2 * seeds))
        if cached:
            size = BATCH_BYTES if need.known else LOOP_BYTES
            outputs = min(outputs, max(size // (samples * need.gradients + 1), 1))
        kept = samples * need.patches
        keep = kept <= (memory - room) / 2
        left = memory - room - (kept if keep else 0)
        return Plan(max(n1, n2 or 0), int(min(outputs, seeds)), left, keep, fit // 2)
    count = room // (2 * (need.graph + need.gradients))
    if count < 1:
        least = 2 * (need.graph + need.gradients) / _GRAPH_SHARE + 2 * result
        raise TangentError(
            f"memory_gb is {memory_gb:g}, but one pair of samples with one output needs "
            f"{least / 1e9:.3g} GB; give memory_gb={1.1 * least / 1e9:.3g} or more"
        )
    return Plan(int(count), 1, memory - room)
