"""How many samples and outputs at a time, so that a memory budget holds."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from hybridonn.tangent.empirical.checks import check_outputs, run
from hybridonn.tangent.empirical.cotangents import batches_well
from hybridonn.tangent.empirical.gradient_factors import FactoredGradient, LayerCall
from hybridonn.tangent.empirical.layer_io import (
    Recorder,
    RuledLayer,
    covered_names,
    ruled_layers,
)
from hybridonn.tangent.empirical.operation_layers import operation_layers
from hybridonn.tangent.errors import TangentError

# Bytes of cotangents at a time on a CPU. Through operations that `operations` knows, all outputs
# go as one batch, until its cotangents leave the last cache.
BATCH_BYTES = 2e8
# Elsewhere torch loops over the outputs of a batched backward pass of convolutions and pooling,
# then copies them together. From about this size on, one pass for each output is faster (measured
# 1.3 times for two convolutions at batch 64, 1.8 times with create_graph).
LOOP_BYTES = 1e6
# Of the budget, the forward graph and its cotangents take the first part, the contraction's
# temporaries the rest.
_GRAPH_SHARE = 0.6


@dataclass(frozen=True)
class Footprint:
    """The memory that one sample needs.

    Attributes:
        graph: bytes that autograd keeps of its forward pass.
        cotangents: bytes of one output's cotangents in its backward pass.
        patches: bytes of the patches of its convolutions.
        outputs: the shape of its outputs.
        known: whether all outputs' cotangents go as one batch.
        like: an empty tensor of the outputs' type and device.
    """

    graph: float
    cotangents: float
    patches: float
    outputs: torch.Size
    known: bool = False
    like: Tensor = field(default_factory=lambda: torch.empty(0))


@dataclass(frozen=True)
class MemoryPlan:
    """How the work is split.

    Attributes:
        samples: samples of a block.
        outputs: outputs (or probes) of a backward pass.
        contraction: bytes for the contraction's temporaries.
        keep: whether the convolutions' patches may be kept between backward passes.
        room: how many outputs' cotangents would fit; pooled factors may take their place.
    """

    samples: int
    outputs: int
    contraction: float
    keep: bool = False
    room: int = 1


def measure_footprint(model: nn.Module, x: Tensor) -> Footprint:
    """Measure a forward pass of one or two samples.

    Args:
        model: the model.
        x: samples (n, ...), the first of which are run.

    Returns:
        The memory that one sample needs.

    Raises:
        TangentError: the outputs have no tangent kernel.
    """
    probe = x[:2].clone()
    saved: dict[tuple[int, int], int] = {}
    parameters = {p.data_ptr() for p in model.parameters()}

    def pack(tensor: Tensor) -> Tensor:
        if tensor.data_ptr() not in parameters:
            saved[(tensor.data_ptr(), tensor.numel())] = tensor.numel() * tensor.element_size()
        # An output that its own node holds as it is would never be freed.
        return tensor.detach()

    seen = Recorder(model, "all")
    with seen.recording(), torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        outputs = run(model, probe)
    check_outputs(outputs, model, len(probe))
    size, n = outputs.element_size(), len(probe)
    executions = [execution for layer in seen.layers for execution in layer.executions]
    modules = ruled_layers(seen.layers, n)
    covered = covered_names(modules)
    rest = {name: p for name, p in seen.parameters().items() if name not in covered}
    loose = operation_layers(model, outputs, rest, n)
    executions += [execution for layer in loose for execution in layer.executions]
    maps = [execution.shape.numel() * size for execution in executions]
    # All layers' cotangents, and two steps of the backward pass between the largest.
    cotangents = sum(maps) + 2 * max(maps, default=0)
    patches = sum(_patch_numbers(layer) for layer in modules) * size
    known = batches_well(outputs, [execution.edge for execution in executions])
    like = outputs.new_empty(0)
    graph = sum(saved.values())
    return Footprint(graph / n, cotangents / n, patches, outputs.shape[1:], known, like)


def _patch_numbers(layer: RuledLayer) -> int:
    """The numbers in a layer's right factors of one sample, where they are made by copying."""
    count = 0
    for execution in layer.executions:
        unused = execution.inputs.new_empty(1).expand(1, 1, *execution.shape[1:])
        call = LayerCall(execution.inputs[:1].detach(), unused)
        for gradient in layer.rule.gradients(layer.module, [call]):
            size = gradient.sizes() if isinstance(gradient, FactoredGradient) else None
            count += size.B * size.k * size.T if size and size.T > 1 else 0
    return count


def plan_memory(
    need: Footprint,
    n1: int,
    n2: int | None,
    count: int,
    memory_gb: float,
    result: float,
    *,
    cached: bool = False,
) -> MemoryPlan:
    """Split the work so that it fits.

    Args:
        need: the memory that one sample needs.
        n1: samples of x1.
        n2: samples of x2; None where the kernel is of x1 with itself.
        count: outputs or probes in all.
        memory_gb: the budget in GB, besides the model.
        result: bytes of the kernel.
        cached: take so few outputs at a time that their cotangents suit a CPU's caches.

    Returns:
        The plan: all samples at once with as many outputs as fit, else fewer samples.

    Raises:
        TangentError: not even one sample with one output fits.
    """
    memory = memory_gb * 1e9 - 2 * result
    room = _GRAPH_SHARE * memory
    samples = n1 if n2 is None else n1 + n2
    outputs = (room / samples - need.graph) // max(need.cotangents, 1)
    if outputs < 1:
        return _plan_blocks(need, memory_gb, result)
    fit = int(min(outputs, 2 * count))
    if cached:
        size = BATCH_BYTES if need.known else LOOP_BYTES
        outputs = min(outputs, max(size // (samples * need.cotangents + 1), 1))
    kept = samples * need.patches
    keep = kept <= (memory - room) / 2
    left = memory - room - (kept if keep else 0)
    return MemoryPlan(max(n1, n2 or 0), int(min(outputs, count)), left, keep, fit // 2)


def _plan_blocks(need: Footprint, memory_gb: float, result: float) -> MemoryPlan:
    """Blocks of fewer samples, one output at a time.

    Raises:
        TangentError: not even a pair of samples with one output fits.
    """
    memory = memory_gb * 1e9 - 2 * result
    pair = 2 * (need.graph + need.cotangents)
    count = _GRAPH_SHARE * memory // pair
    if count < 1:
        least = pair / _GRAPH_SHARE + 2 * result
        raise TangentError(
            f"memory_gb is {memory_gb:g}, but one pair of samples with one output needs "
            f"{least / 1e9:.3g} GB; give memory_gb={1.1 * least / 1e9:.3g} or more"
        )
    return MemoryPlan(int(count), 1, memory - _GRAPH_SHARE * memory)
