"""Tangent features of a fixed network: a row for each sample, whose products give its kernel."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from numbers import Integral
from types import MappingProxyType
from typing import TypeVar

import torch
from torch import Tensor, nn

from hybridonn.tangent.empirical.backends import uncompiled
from hybridonn.tangent.empirical.checks import (
    check_count,
    check_derivatives,
    check_inputs,
    check_memory,
    refuse_gradient_hooks,
    require_inference,
)
from hybridonn.tangent.empirical.contraction import contract
from hybridonn.tangent.empirical.explanation import describe_slow
from hybridonn.tangent.empirical.forward_pass import ForwardPass, record_forward
from hybridonn.tangent.empirical.gradient_factors import ExplicitGradient, FactoredGradient
from hybridonn.tangent.empirical.layer_gradients import LayerGradients, layer_gradients
from hybridonn.tangent.empirical.layer_io import Layers, covered_names
from hybridonn.tangent.empirical.model_state import unchanged_buffers, warn_once
from hybridonn.tangent.empirical.operation_layers import known_layers
from hybridonn.tangent.empirical.output_vectors import unit_vectors
from hybridonn.tangent.empirical.per_sample import gradients_of_samples
from hybridonn.tangent.empirical.plan import measure_footprint, plan_memory
from hybridonn.tangent.empirical.random_projection import Projection
from hybridonn.tangent.empirical.verification import RefutedError, verify
from hybridonn.tangent.errors import TangentError

# Rows and columns left of a gradient matrix before it is folded. Measured on a LeNet with 512
# features: alignment with the exact kernel 0.964 at 64, 0.9992 at 128 and 0.9994 at 256 rows.
SIDE = 128

_Result = TypeVar("_Result")


def tangent_features(
    model: nn.Module,
    x: Tensor,
    width: int = 512,
    *,
    seed: int = 0,
    oversampling: int = 8,
    layers: Layers = "all",
    memory_gb: float = 2.0,
) -> Tensor:
    """Features phi (n, width) with ``phi phi^T ~ Theta`` contracted over the outputs.

    Exact output gradients of every layer and output are projected with random signs to
    ``oversampling x width`` numbers, for which ``E[phi phi^T] = Theta`` holds exactly; then
    the best ``width`` directions (principal components about zero, Eckart and Young 1936,
    of a part of x) are kept. Without oversampling the features of one seed are the same
    map for every batch; with it they are comparable within one call only.

    Args:
        model: any module; samples lead and do not interact.
        x: samples (n, ...); features of different calls are comparable only as said above.
        width: numbers of each sample.
        seed: seed of the random signs.
        oversampling: factor of the first, random projection; 1 keeps it alone.
        layers: whose parameters, as for `ntk`.
        memory_gb: memory budget in GB, besides the model.

    Returns:
        Features (n, width), detached. `feature_error` says how near they come to the kernel.

    Raises:
        TangentError: the model or the inputs have no tangent kernel, or an option is not
            allowed.
    """
    model = uncompiled(model)
    check_inputs(model, x, None)
    require_inference(model)
    check_widths(width, oversampling)
    check_memory(memory_gb)
    if not isinstance(seed, Integral):
        raise TangentError(f"seed is {seed!r}; it must be a whole number")
    with torch.enable_grad(), unchanged_buffers(model):
        need = measure_footprint(model, x)
        plan = plan_memory(need, 1, None, need.outputs.numel(), memory_gb, 0)
        sample = need.graph + 3 * plan.outputs * need.cotangents
        batch = int(min(max(memory_gb * 1e9 / 2 // sample, 1), 128))
        maker = _FeatureMaker(model, layers, width * oversampling, seed)
        kept = width if oversampling > 1 else None
        return _until_confirmed(maker, lambda maker: _all_features(maker, x, kept, batch))


def feature_error(
    model: nn.Module,
    x: Tensor,
    width: int,
    *,
    oversampling: int = 8,
    layers: Layers = "all",
) -> float:
    """The error to expect of `tangent_features` of a width, ``||phi phi^T - Theta|| / ||Theta||``.

    Norms are Frobenius norms over the kernel of x; expected means the root of the mean square over
    seeds. With the total width ``K = oversampling width`` and the eigenvalues l of Theta,

        error^2 = (r + 1) / K + sum_(k > width) l_k^2 / ||Theta||^2 + sum_l s_l (2 / side) share_l^2

    - r = tr(Theta)^2 / ||Theta||^2: an entry that random signs estimate from K sums has the
      variance ``(Theta_ii Theta_jj + Theta_ij^2) / K``.
    - what is left out by the best ``width`` directions (Eckart and Young 1936); more, where the
      ``4 width`` samples that they are taken from do not stand for all.
    - share_l = ||Theta_l|| / ||Theta|| of a layer's weight, s_l of whose two sides (0 to 2) are
      longer than side = 128 and are compressed to it: the same law, at most.

    It holds where the gradient of each parameter (outputs times numbers of the parameter) has more
    numbers than K. Those of fewer numbers take the same first places of the K sums, and meet there
    however large K is: the error of a network of small layers alone stops falling.

    Args:
        model: the model, as for `tangent_features`.
        x: a few samples (n, ...) like those that features are wanted of.
        width: numbers of each sample.
        oversampling: as for `tangent_features`.
        layers: as for `tangent_features`.

    Returns:
        The expected relative error.

    Raises:
        TangentError: as for `tangent_features`.
    """
    model = uncompiled(model)
    check_inputs(model, x, None)
    require_inference(model)
    check_widths(width, oversampling)
    with torch.enable_grad(), unchanged_buffers(model):
        maker = _FeatureMaker(model, layers, 1, 0)
        kernel, compressed = _until_confirmed(maker, lambda maker: maker.kernels(x))
    kernel, size = kernel.double(), float(torch.linalg.norm(kernel.double()))
    variance = ((float(kernel.trace()) / size) ** 2 + 1) / (width * oversampling)
    left_out = torch.linalg.eigvalsh(kernel)[: max(len(x) - width, 0)].square().sum()
    shares = sum(sides * (float(torch.linalg.norm(part)) / size) ** 2 for part, sides in compressed)
    return (variance + float(left_out) / size**2 + 2 / SIDE * shares) ** 0.5


def check_widths(width: int, oversampling: int) -> None:
    """Refuse widths that there are not.

    Raises:
        TangentError: one of them is not positive.
    """
    check_count(width, "width")
    check_count(oversampling, "oversampling")


class _FeatureMaker:
    """The random projection of all layers, the same for every batch.

    Args:
        model: the model.
        layers: the layers whose parameters the features are meant for.
        width: numbers of each sample.
        seed: seed of the random signs.
        wrong: the layers whose rules do not hold for all samples, with the reason.
        reached: the names of the parameters that the outputs of any batch depend on.
    """

    def __init__(
        self,
        model: nn.Module,
        layers: Layers,
        width: int,
        seed: int,
        wrong: Mapping[str, str] = MappingProxyType({}),
        reached: frozenset[str] = frozenset(),
    ):
        self.model, self.layers, self.width, self.seed = model, layers, width, seed
        self.wrong, self.reached = wrong, reached
        self.projections: dict[tuple[str, int], Projection] = {}
        self.names: frozenset[str] | None = None
        self.rest: dict[str, nn.Parameter] = {}

    def knowing(self, refuted: RefutedError) -> _FeatureMaker:
        """The same projection with what a batch has shown."""
        wrong, reached = {**self.wrong, **refuted.wrong}, self.reached | refuted.reached
        return _FeatureMaker(self.model, self.layers, self.width, self.seed, wrong, reached)

    def kernels(self, x: Tensor) -> tuple[Tensor, list[tuple[Tensor, int]]]:
        """The kernel of a batch, and the parts of weights with how many sides are compressed."""
        found, vectors = self._gradients(x)
        parts: list[tuple[Tensor, int]] = []
        with torch.no_grad():
            for gradient in (gradient for one in found for gradient in one.gradients):
                kernel, sides = contract([gradient]), 0
                assert kernel is not None
                if isinstance(gradient, FactoredGradient):
                    size = gradient.sizes()
                    sides = (size.o > SIDE) + (size.k > SIDE)
                parts.append((kernel, sides))
            if self.rest:
                slow = gradients_of_samples(self.model, self.rest, x, vectors).flatten(1)
                parts.append((slow @ slow.T, 0))
        return torch.stack([kernel for kernel, _ in parts]).sum(0), parts

    def _gradients(self, x: Tensor) -> tuple[list[LayerGradients], Tensor]:
        """The gradients of all layers that autograd confirms, and the unit vectors."""
        outputs, recorder = record_forward(self.model, x, self.layers)
        forward = ForwardPass(outputs, known_layers(recorder, outputs, self.wrong, self.names))
        self._verify(forward, recorder.parameters())
        shape = outputs.shape[1:]
        vectors = unit_vectors(shape, slice(0, shape.numel()), outputs)
        return layer_gradients(forward, vectors), vectors

    def features(self, x: Tensor) -> Tensor:
        """Features (n, width) of a batch."""
        found, vectors = self._gradients(x)
        total = torch.zeros(len(x), self.width, dtype=vectors.dtype, device=vectors.device)
        with torch.no_grad():
            for one in found:
                for index, gradient in enumerate(one.gradients):
                    if isinstance(gradient, FactoredGradient | ExplicitGradient):
                        total += self._projection(one.layer.name, index, vectors).features(gradient)
        if self.rest:
            slow = ExplicitGradient("", gradients_of_samples(self.model, self.rest, x, vectors))
            total += self._projection("", 0, vectors).features(slow)
        return check_derivatives(total, self.model)

    def _projection(self, name: str, index: int, like: Tensor) -> Projection:
        """The projection of one gradient of a layer."""
        key = (name, index)
        if key not in self.projections:
            number = self.seed * 1_000_003 + len(self.projections)
            self.projections[key] = Projection(number, self.width, SIDE, like)
        return self.projections[key]

    def _verify(self, forward: ForwardPass, parameters: dict[str, nn.Parameter]) -> None:
        """Let autograd confirm the layers of a batch; what they do not cover goes by samples.

        Raises:
            RefutedError: a rule does not hold for this batch, or another parameter is reached than
                in the first one.
        """
        names = frozenset(layer.name for layer in forward.layers)
        if self.names is not None and names != self.names:
            why = "it is not executed in the same way for all samples"
            raise RefutedError(dict.fromkeys(names ^ self.names, why))
        verified = verify(forward, parameters)
        first = self.names is None
        later = frozenset() if first else verified.reached - self.reached
        if verified.wrong or later:
            raise RefutedError(verified.wrong, later)
        if not first:
            return
        self.names, self.reached = names, self.reached | verified.reached
        left = self.reached - covered_names(forward.layers)
        self.rest = {name: p for name, p in parameters.items() if name in left}
        if self.rest:
            refuse_gradient_hooks(self.rest)
            warn_once(self.model, describe_slow(list(self.rest)), stacklevel=6)


def _until_confirmed(maker: _FeatureMaker, compute: Callable[[_FeatureMaker], _Result]) -> _Result:
    """What is computed with rules that hold for all samples."""
    while True:  # each turn knows of one more layer or parameter than the one before
        try:
            return compute(maker)
        except RefutedError as refuted:
            maker = maker.knowing(refuted)


def _all_features(maker: _FeatureMaker, x: Tensor, width: int | None, batch: int) -> Tensor:
    """Features of all samples, batch by batch, reduced to a width; None: as they are."""
    batches = [x[at : at + batch] for at in range(0, len(x), batch)]
    if width is None:
        return torch.cat([maker.features(some) for some in batches])
    basis = _basis(maker, x, width, batch)
    return torch.cat([maker.features(some) @ basis for some in batches])


def _basis(maker: _FeatureMaker, x: Tensor, width: int, batch: int) -> Tensor:
    """The directions (oversampled width, width) that hold most of the features of a part of x."""
    count = min(len(x), 4 * width)
    part = x[torch.linspace(0, len(x) - 1, count).long()]
    found = torch.cat([maker.features(part[at : at + batch]) for at in range(0, count, batch)])
    kind, found = found.dtype, found.double()
    values, vectors = torch.linalg.eigh(found @ found.T)  # the smaller side: 4 width samples
    values, vectors = values[-width:], vectors[:, -width:]
    present = values > count * torch.finfo(kind).eps * values[-1]
    basis = found.T @ (vectors[:, present] / values[present].sqrt())
    return torch.nn.functional.pad(basis, (0, width - basis.shape[1])).to(kind)
