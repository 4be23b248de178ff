"""The tangent kernel of a forward pass that a training step makes anyway."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import reduce

import torch
from torch import Tensor, nn

from hybridonn.tangent.backward import is_output
from hybridonn.tangent.capture import Layer, Layers, Observation
from hybridonn.tangent.checks import check_outputs, require_inference_statistics
from hybridonn.tangent.contraction import chunks, identity_kernel, kernel_of
from hybridonn.tangent.errors import TangentError, TangentWarning
from hybridonn.tangent.layerwise import (
    covered_names,
    fitting,
    inputs_of,
    joined,
    pieces_of,
    targets_of,
)
from hybridonn.tangent.pieces import Call, Product
from hybridonn.tangent.plan import BATCH_BYTES, LOOP_BYTES
from hybridonn.tangent.reverse import is_known
from hybridonn.tangent.rows import graph_rows
from hybridonn.tangent.seeds import Seeds, seeds_of, sign_seeds
from hybridonn.tangent.tails import find_tails
from hybridonn.tangent.verification import failures


class Trace:
    """The layers of the model's latest forward pass; made by `record`."""

    def __init__(self, observation: Observation):
        self._seen = observation

    @property
    def methods(self) -> dict[str, str]:
        """How each layer's part is computed, by the layers' names, in order of execution."""
        return methods_of(self._seen)

    def kernel(
        self,
        outputs: Tensor,
        probes: int | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """The tangent kernel of the recorded layers, differentiable in the parameters.

        Where the only layer's output is the model's output, or a mere reshape of it, its
        gradient is the identity: the kernel is exact, costs one product (n, p) x (p, n) and
        no backward pass, and ``probes`` is not needed.

        Args:
            outputs: what the model returned inside the context, (n, ...).
            probes: random sign combinations in place of all outputs: an unbiased estimate of
                the kernel whose entries ``B_ij = J_i J_j^T`` (C x C) have the variance
                ``2 ||off-diagonal of (B + B^T) / 2||_F^2 / probes``. None: exact.
            generator: source of the signs.

        Returns:
            The kernel (n, n) contracted over the outputs.

        Raises:
            TangentError: the outputs are not those of the recorded forward pass, or batch
                norm couples their samples.
        """
        check_outputs(outputs, self._seen.model)
        layers = self._seen.selected()
        short = _identity(layers, outputs, self._seen)
        if short is not None:
            return short
        require_inference_statistics(self._seen.model)
        seeds = seeds_of(outputs.shape[1:], probes, generator, outputs)
        known = fitting(layers, len(outputs))
        kernel = _sum_over(known, outputs, seeds)
        rest = self._uncovered(known, outputs)
        if rest:
            whole = seeds.part(slice(0, seeds.count))
            rows = graph_rows(outputs, list(rest.values()), whole).flatten(1)
            kernel = rows @ rows.T if kernel is None else kernel + rows @ rows.T
        if kernel is None:
            raise TangentError(
                "the outputs do not depend on the recorded layers; give kernel() what the latest "
                "call of the model inside the context of record() returned"
            )
        return kernel

    def check(self, outputs: Tensor) -> None:
        """Verify the recorded layers' gradients against autograd; worth one call a training.

        Args:
            outputs: what the model returned inside the context, (n, ...).

        Raises:
            TangentError: a layer's gradients are not what its rule says.
        """
        check_outputs(outputs, self._seen.model)
        known = fitting(self._seen.selected(), len(outputs))
        signs = torch.Generator(outputs.device).manual_seed(0)
        seeds = sign_seeds(outputs.shape[1:], 1, outputs, signs)
        parts = pieces_of(known, outputs, seeds)
        wrong, _ = failures(parts, outputs, seeds, self._seen.parameters())
        if wrong:
            raise TangentError("; ".join(f"layer '{n}': {why}" for n, why in wrong.items()))

    def _uncovered(self, known: list[Layer], outputs: Tensor) -> dict[str, nn.Parameter]:
        """The wanted parameters that no rule accounts for, as far as the outputs use them."""
        covered = covered_names(known)
        rest = {n: p for n, p in self._seen.parameters().items() if n not in covered}
        if not rest:
            return {}
        found = torch.autograd.grad(
            outputs.sum(), list(rest.values()), retain_graph=True, allow_unused=True
        )
        rest = {n: p for (n, p), g in zip(rest.items(), found, strict=True) if g is not None}
        if rest:
            warnings.warn(slow_message(list(rest)), TangentWarning, stacklevel=3)
        return rest


@contextmanager
def record(model: nn.Module, layers: Layers = "last") -> Iterator[Trace]:
    """Watch the forward pass of a training step, so that it also serves the tangent kernel.

    ```python
    with record(student, layers="last") as trace:
        logits = student(images)
    kernel = trace.kernel(logits)
    loss = cross_entropy(logits, labels) + 3 * (1 - centred_alignment(kernel, target))
    ```

    Args:
        model: any module whose inputs and outputs lead with the samples.
        layers: "last", "first" (in order of execution), "all", or names of layers or of
            modules that hold them. A layer is a module that owns trainable parameters.

    Yields:
        A trace; call the model once inside the context, then ask the trace for its kernel.
    """
    observation = Observation(model, layers)
    with observation.watching():
        yield Trace(observation)


def methods_of(seen: Observation) -> dict[str, str]:
    """How each layer's part is computed, in words."""
    found = {}
    for layer in seen.selected():
        missing = [name for name in layer.own if name not in layer.covered]
        if layer.rule is None:
            found[layer.name] = f"vector products: no rule for {type(layer.module).__name__}"
        elif layer.problem:
            found[layer.name] = f"vector products: {layer.problem}"
        elif missing:
            found[layer.name] = f"{layer.rule.name}; vector products for {', '.join(missing)}"
        else:
            found[layer.name] = layer.rule.name
    return found


def slow_message(names: list[str]) -> str:
    """What to say of parameters that take the slow way."""
    shown = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
    return (
        f"no rule accounts for {shown}: their part of the tangent kernel is exact but comes from "
        "one backward pass a sample; see methods or explain(), and register_rule() for a cure"
    )


def _sum_over(layers: list[Layer], outputs: Tensor, seeds: Seeds) -> Tensor | None:
    """The layers' kernel; one backward pass for all seeds, or one each where that is faster."""
    tails = find_tails(layers, outputs, seeds.count)
    executions = [e for layer in layers for e in layer.executions]
    numbers = sum(e.shape.numel() for e in executions if e.order not in tails and len(e.shape) > 2)
    held = numbers * outputs.element_size() * seeds.count
    large = held > LOOP_BYTES and not outputs.is_cuda
    if large and is_known(outputs, targets_of(executions, tails)):
        large = held > BATCH_BYTES
    terms, pooled = [], []
    for part in chunks(seeds.count, 1 if large else seeds.count):
        found = pieces_of(
            layers, outputs, seeds.part(part), create_graph=True, keep=True, tails=tails
        )
        terms.append(kernel_of([p for each in found if not each.pooled for p in each.pieces], None))
        pooled.append([p for each in found if each.pooled for p in each.pieces])
    terms.append(kernel_of(joined(pooled), None))
    terms = [term for term in terms if term is not None]
    return reduce(torch.add, terms) if terms else None


def _identity(layers: list[Layer], outputs: Tensor, seen: Observation) -> Tensor | None:
    """The kernel of one layer whose output is the model's; None where that is not so."""
    if len(layers) != 1 or len(layers[0].executions) != 1:
        return None
    layer = layers[0]
    if fitting([layer], len(outputs)) != [layer] or set(layer.own) != set(layer.covered):
        return None
    if seen.wanted == "all" and len(seen.layers) > 1:
        return None
    (execution,) = layer.executions
    if not is_output(outputs, execution.edge):
        return None
    n, *rest = execution.shape
    unused = outputs.new_empty(1).expand(n, 1, *rest)
    call = Call(inputs_of(layer, execution, True), unused)
    assert layer.rule is not None
    pieces = layer.rule.pieces(layer.module, [call])
    (piece,) = pieces if len(pieces) == 1 else (None,)
    if not (isinstance(piece, Product) and piece.direct):
        return None
    return identity_kernel(piece)
