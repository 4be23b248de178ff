"""Blocks of samples of a kernel: each is run, and verified when it is met first."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field, replace

from torch import Tensor, nn

from hybridonn.tangent.empirical.forward_pass import ForwardPass, record_forward
from hybridonn.tangent.empirical.layer_gradients import LayerGradients, layer_gradients
from hybridonn.tangent.empirical.layer_io import Layers, Recorder, RuledLayer
from hybridonn.tangent.empirical.operation_layers import known_layers
from hybridonn.tangent.empirical.output_vectors import OutputVectors
from hybridonn.tangent.empirical.plan import MemoryPlan
from hybridonn.tangent.empirical.pooled_convolution import (
    CompiledLayer,
    PooledLayer,
    find_pooled_layers,
)
from hybridonn.tangent.empirical.portions import chunks
from hybridonn.tangent.empirical.verification import (
    RefutedError,
    Verification,
    compare,
    verify,
)


@dataclass(frozen=True)
class KernelTask:
    """What is computed, and in which portions.

    Attributes:
        model: the model.
        layers: the layers whose parameters the kernel is meant for.
        vectors: combinations of the outputs.
        per_output: keep the outputs rather than contract them.
        plan: how many samples and outputs at a time.
        create_graph: let the kernel be differentiated.
        wrong: the layers whose rules do not hold for all samples, with the reason.
        reached: parameters that the outputs of later samples depend on, by name.
    """

    model: nn.Module
    layers: Layers
    vectors: OutputVectors
    per_output: bool
    plan: MemoryPlan
    create_graph: bool
    wrong: Mapping[str, str] = field(default_factory=dict)
    reached: frozenset[str] = frozenset()

    @property
    def graph(self) -> dict[str, bool]:
        """What a backward pass keeps."""
        keep = self.plan.keep and not self.create_graph
        return {"create_graph": self.create_graph, "keep": keep}

    def knowing(self, refuted: RefutedError) -> KernelTask:
        """The same task with what a block of samples has shown."""
        wrong, reached = {**self.wrong, **refuted.wrong}, self.reached | refuted.reached
        return replace(self, wrong=wrong, reached=reached)


@dataclass(frozen=True)
class Block:
    """Some samples and their forward pass.

    Attributes:
        x: samples (n, ...).
        forward: their forward pass.
        recorder: what noted it.
        reached: the names of the parameters that the outputs depend on, of the first block.
        verified: gradients of some outputs that were compared with autograd's; taken out once.
    """

    x: Tensor
    forward: ForwardPass
    recorder: Recorder
    reached: frozenset[str] = frozenset()
    verified: dict[tuple[int, int], list[LayerGradients]] = field(default_factory=dict)

    @property
    def parameters(self) -> dict[str, nn.Parameter]:
        """The wanted parameters by name."""
        return self.recorder.parameters()

    def gradients(self, task: KernelTask, part: slice) -> list[LayerGradients]:
        """The gradients of its layers for some of the vectors."""
        done = self.verified.pop((part.start, part.stop), None)
        return done or layer_gradients(self.forward, task.vectors.part(part), **task.graph)


def run_block(
    task: KernelTask, x: Tensor, *, by_rules: bool = True, names: Set[str] | None = None
) -> Block:
    """A recorded forward pass, with the layers whose gradients are taken behind their pooling.

    Args:
        task: what is computed.
        x: the samples (n, ...).
        by_rules: whether layers go by rules.
        names: the layers of the first block; None: this is the first.
    """
    outputs, recorder = record_forward(task.model, x, task.layers)
    known = known_layers(recorder, outputs, task.wrong, names) if by_rules else []
    forward = ForwardPass(outputs, known, _pooled(task, known, outputs))
    return Block(x, forward, recorder)


def _pooled(
    task: KernelTask, known: list[RuledLayer], outputs: Tensor
) -> Mapping[int, PooledLayer | CompiledLayer]:
    """The layers whose gradients are taken behind their pooling."""
    if task.per_output:
        return {}
    block = None if task.create_graph else task.plan.samples
    return find_pooled_layers(known, outputs, task.vectors.count, task.plan.room, block=block)


def repeat_block(task: KernelTask, x: Tensor, first: Block, *, new: bool) -> Block:
    """The forward pass of another block, with the same layers as the first.

    Args:
        task: what is computed.
        x: the samples of the block.
        first: the first block.
        new: the block has not been verified yet.

    Raises:
        RefutedError: what was decided at the first block does not hold for this one.
    """
    names = {layer.name for layer in first.forward.layers}
    block = run_block(task, x, names=names)
    missing = names - {layer.name for layer in block.forward.layers}
    if missing:
        why = "it is not executed in the same way for all samples"
        raise RefutedError(dict.fromkeys(missing, why))
    if new:
        block = _only(block, names)
        found = verify_block(task, block)
        later = found.reached - first.reached
        if found.wrong or later:
            raise RefutedError(found.wrong, later)
        return block
    return _only(block, names)


def verify_block(task: KernelTask, block: Block) -> Verification:
    """Compare the gradients of a block with autograd's.

    Where all outputs go at once, their gradients serve the kernel as well and are kept; else a
    random combination of all outputs is compared: a part of them does not stand for the others.
    """
    part, *others = chunks(task.vectors.count, task.plan.outputs)
    if others:
        return verify(block.forward, block.parameters)
    found = block.gradients(task, part)
    block.verified[part.start, part.stop] = found
    return compare(found, block.forward.outputs, task.vectors.part(part), block.parameters)


def _only(block: Block, names: Set[str]) -> Block:
    """A block with some of its layers."""
    layers = [layer for layer in block.forward.layers if layer.name in names]
    return replace(block, forward=replace(block.forward, layers=layers))
