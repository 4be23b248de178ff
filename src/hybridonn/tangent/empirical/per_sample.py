"""Parameter gradients one sample at a time: for parameters that no rule accounts for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor, nn

from hybridonn.tangent.empirical.checks import backward_faults, run, without_notes
from hybridonn.tangent.empirical.forward_pass import call_with
from hybridonn.tangent.empirical.output_vectors import OutputVectors
from hybridonn.tangent.empirical.portions import chunks
from hybridonn.tangent.empirical.precision import as_real, dense
from hybridonn.tangent.errors import TangentError


@dataclass(frozen=True)
class PerSampleKernel:
    """The part that some parameters have in the kernel, from gradients of single samples.

    Attributes:
        model: the model, whose samples do not interact.
        parameters: the parameters by name.
        vectors: combinations of the outputs.
        per_output: keep the outputs rather than contract them.
        room: bytes that the gradients of some samples may take.
        create_graph: let the kernel be differentiated.
    """

    model: nn.Module
    parameters: Mapping[str, nn.Parameter]
    vectors: OutputVectors
    per_output: bool
    room: float
    create_graph: bool

    def between(self, x1: Tensor, x2: Tensor | None, one: slice, two: slice) -> Tensor:
        """The kernel of two blocks of samples and two portions of output vectors.

        Args:
            x1: samples (n1, ...).
            x2: samples (n2, ...); None: x1, with the same portion of vectors.
            one: portion of the vectors for x1.
            two: portion of the vectors for x2.

        Returns:
            The kernel (n1, n2), or (n1, n2, C1, C2).

        Raises:
            TangentError: the gradients of one sample do not fit the budget.
        """
        size = self._samples_within(one)
        if size < 1:  # contracted: each output by itself
            parts = chunks(one.stop - one.start, self.room // self._bytes(1), one.start)
            return reduce(torch.add, [self.between(x1, x2, part, part) for part in parts])
        blocks = []
        for some in x1.split(size):
            mine = self._gradients(some, one)
            if x2 is None and len(some) == len(x1):
                return self._products(mine, mine)
            others = (x1 if x2 is None else x2).split(size)
            line = [self._products(mine, self._gradients(other, two)) for other in others]
            blocks.append(torch.cat(line, 1))
        return torch.cat(blocks)

    def _samples_within(self, part: slice) -> int:
        """How many samples' gradients fit; 0: not even one sample's with all these vectors.

        Raises:
            TangentError: the gradients of one sample do not fit, and its vectors go together.
        """
        width = part.stop - part.start
        needed = self._bytes(width)
        if self.room < needed and (self.per_output or width == 1):
            raise TangentError(
                f"the budget leaves {self.room / 1e9:.3g} GB for the gradients of one sample, but "
                f"without a rule they need {needed / 1e9:.3g} GB; multiply memory_gb by "
                f"{1.2 * needed / self.room:.3g}"
            )
        return int(self.room / needed)

    def _bytes(self, width: int) -> int:
        """The bytes of one sample's gradients with so many vectors."""
        largest = max(parameter.element_size() for parameter in self.parameters.values())
        count = sum(parameter.numel() for parameter in self.parameters.values())
        return width * count * max(largest, 4)

    def _gradients(self, x: Tensor, part: slice) -> Tensor:
        """Gradients (n, C, p) of the parameters."""
        vectors = self.vectors.part(part)
        return gradients_of_samples(
            self.model, self.parameters, x, vectors, create_graph=self.create_graph
        )

    def _products(self, a: Tensor, b: Tensor) -> Tensor:
        """Inner products of gradients (n1, C, p) and (n2, C, p)."""
        if self.per_output:
            return torch.einsum("icp,jdp->ijcd", a, b)
        return a.flatten(1) @ b.flatten(1).T


def gradients_of_samples(
    model: nn.Module,
    parameters: Mapping[str, Tensor],
    x: Tensor,
    vectors: Tensor,
    *,
    create_graph: bool = False,
) -> Tensor:
    """Gradients of every sample's outputs, from forward passes of single samples.

    All samples at once where torch.func can (it cannot where a layer has no batching rule,
    draws random numbers or looks at its numbers), one after the other where not.

    Args:
        model: the model, whose samples do not interact.
        parameters: the parameters by name.
        x: samples (n, ...).
        vectors: combinations (C, ...) of the outputs.
        create_graph: let the gradients be differentiated.

    Returns:
        Gradients (n, C, p), p counting all parameters.

    Raises:
        OutOfMemoryError: the memory does not hold them.
    """
    try:
        with without_notes():
            found = _vectorised(model, parameters, x, vectors)
    except torch.OutOfMemoryError:
        raise
    except Exception:  # whatever a model raises where it meets torch.func's tensors
        values = list(parameters.values())
        options = {"create_graph": create_graph}
        singles = (run(model, one) for one in x.split(1))
        parts = [gradients_from_graph(one, values, vectors, **options) for one in singles]
        found = torch.cat(parts)
    return found if create_graph else found.detach()


def gradients_from_graph(
    outputs: Tensor, parameters: Sequence[Tensor], vectors: Tensor, *, create_graph: bool = True
) -> Tensor:
    """Gradients of every sample's outputs, from the graph of the whole batch.

    Args:
        outputs: the network's outputs (n, ...).
        parameters: the parameters.
        vectors: combinations (C, ...) of the outputs.
        create_graph: let the gradients be differentiated.

    Returns:
        Gradients (n, C, p), p counting all parameters.
    """
    samples = (outputs[index : index + 1] for index in range(len(outputs)))
    return torch.stack([_of_sample(one, parameters, vectors, create_graph) for one in samples])


def _vectorised(
    model: nn.Module, parameters: Mapping[str, Tensor], x: Tensor, vectors: Tensor
) -> Tensor:
    """Gradients (n, C, p) of all samples at once."""
    combinations = vectors.reshape(len(vectors), -1)

    def outputs(values: dict[str, Tensor], sample: Tensor) -> Tensor:
        found = call_with(model, values, sample[None])
        return combinations @ found.flatten()

    jacobian = torch.func.vmap(torch.func.jacrev(outputs), in_dims=(None, 0))
    found = jacobian(dict(parameters), x)
    return torch.cat([as_real(found[name].flatten(2)) for name in parameters], -1)


def _of_sample(
    outputs: Tensor, parameters: Sequence[Tensor], vectors: Tensor, create_graph: bool
) -> Tensor:
    """Gradients (C, p) of the outputs (1, ...) of one sample."""

    def gradients(vector: Tensor, batched: bool) -> Sequence[Tensor | None]:
        return torch.autograd.grad(
            outputs,
            list(parameters),
            vector,
            retain_graph=True,
            create_graph=create_graph,
            allow_unused=True,
            is_grads_batched=batched,
        )

    return _batched_or_looped(gradients, parameters, vectors[:, None])


def _batched_or_looped(
    gradients: Callable[[Tensor, bool], Sequence[Tensor | None]],
    parameters: Sequence[Tensor],
    vectors: Tensor,
) -> Tensor:
    """Gradients (C, p) for all vectors at once, or one by one where torch cannot."""
    try:
        with without_notes():
            return _join(gradients(vectors, True), parameters, (len(vectors),))
    except (RuntimeError, NotImplementedError):  # an operation without a batched backward
        with backward_faults():
            rows = [_join(gradients(vector, False), parameters, ()) for vector in vectors]
        return torch.stack(rows)


def _join(
    gradients: Sequence[Tensor | None], parameters: Sequence[Tensor], lead: tuple[int, ...]
) -> Tensor:
    """Gradients of each parameter, side by side; zero where there is none."""
    parts = [
        parameter.new_zeros(*lead, parameter.numel()) if g is None else dense(g).reshape(*lead, -1)
        for g, parameter in zip(gradients, parameters, strict=True)
    ]
    return torch.cat([as_real(part) for part in parts], -1)
