"""The layers' gradients are compared with autograd's, so that no kernel is silently wrong.

The rule of a layer can be right and the layer still do more: its weight may be used elsewhere as
well, a subclass may compute something else, samples may not lie on the first axis. So every sample
of every call takes part in a comparison: for random weights w_i of the samples and s_c of the
outputs, ``sum_ic w_i s_c M_ic`` must be the gradient of ``sum_ic w_i s_c f_ic``, which autograd
computes by itself in one backward pass. Gradients that differ from autograd's pass only if their
difference is orthogonal to these weights or lies below the tolerance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import hypot

import torch
from torch import Tensor

from hybridonn.tangent.empirical.checks import backward_faults
from hybridonn.tangent.empirical.forward_pass import ForwardPass
from hybridonn.tangent.empirical.layer_gradients import LayerGradients, layer_gradients
from hybridonn.tangent.empirical.output_vectors import fixed_normal
from hybridonn.tangent.empirical.precision import (
    as_real,
    at_least_single,
    dense,
    rounding_tolerance,
)

# What is below this part of all gradients' norm, relative to the tolerance, is rounding too.
_FLOOR = 1e-2


class RefutedError(Exception):
    """What held for the first samples does not hold for later ones; no public function raises it.

    Attributes:
        wrong: the layers whose rules do not hold, with the reason, by their names.
        reached: the names of parameters that the outputs of these samples depend on.
    """

    def __init__(self, wrong: Mapping[str, str], reached: frozenset[str] = frozenset()):
        super().__init__(wrong, reached)
        self.wrong, self.reached = wrong, reached


@dataclass(frozen=True)
class Verification:
    """What autograd says of the layers' rules.

    Attributes:
        layers: the names of the layers whose gradients it confirms.
        wrong: why not, of the other layers, by their names.
        reached: the names of the parameters that the outputs depend on.
    """

    layers: frozenset[str]
    wrong: Mapping[str, str]
    reached: frozenset[str]


def verify(
    forward: ForwardPass, parameters: Mapping[str, Tensor], vectors: Tensor | None = None
) -> Verification:
    """Compare the layers' gradients of some samples with autograd's.

    The gradients of ``sum_ic w_i s_c f_ic`` are compared for random weights w and s.

    Args:
        forward: the forward pass of the samples.
        parameters: the parameters that the kernel is meant for, by full name.
        vectors: combinations (C, ...) of the outputs; None: one normally distributed one.

    Returns:
        The layers that reproduce autograd's gradients, and those that do not, with the reason.
    """
    if vectors is None:
        vectors = fixed_normal(forward.outputs)
    return compare(layer_gradients(forward, vectors), forward.outputs, vectors, parameters)


def compare(
    found: Sequence[LayerGradients],
    outputs: Tensor,
    vectors: Tensor,
    parameters: Mapping[str, Tensor],
) -> Verification:
    """Compare gradients that have been computed with autograd's.

    Args:
        found: the layers' gradients of the combinations ``vectors``.
        outputs: the network's outputs (n, ...).
        vectors: combinations (C, ...) of the outputs.
        parameters: the parameters that the kernel is meant for, by full name.

    Returns:
        As for `verify`.
    """
    weights = _draw_weights(len(outputs), len(vectors)).to(outputs)
    combination = torch.einsum("ic,c...->i...", weights, vectors)
    with backward_faults():
        gradients = torch.autograd.grad(
            outputs, list(parameters.values()), combination, retain_graph=True, allow_unused=True
        )
    truth = {name: dense(g) for name, g in zip(parameters, gradients, strict=True) if g is not None}
    norms = {name: float(torch.linalg.vector_norm(as_real(g))) for name, g in truth.items()}
    reasons = {
        one.layer.name: _find_difference(one, parameters, truth, weights, norms) for one in found
    }
    wrong = {name: reason for name, reason in reasons.items() if reason}
    return Verification(frozenset(reasons) - frozenset(wrong), wrong, frozenset(truth))


def find_reached(outputs: Tensor, parameters: Mapping[str, Tensor]) -> frozenset[str]:
    """The names of those parameters that the outputs depend on."""
    if not parameters:
        return frozenset()
    with backward_faults():
        found = torch.autograd.grad(
            outputs.sum(), list(parameters.values()), retain_graph=True, allow_unused=True
        )
    return frozenset(n for n, g in zip(parameters, found, strict=True) if g is not None)


def _find_difference(
    found: LayerGradients,
    parameters: Mapping[str, Tensor],
    truth: Mapping[str, Tensor],
    weights: Tensor,
    norms: Mapping[str, float],
) -> str:
    """Why a layer's gradients are not autograd's; empty where they are.

    A parameter without a gradient of autograd's is not used: its own must be zero.
    """
    sums: dict[str, Tensor] = {}
    floor = _FLOOR * hypot(*norms.values())
    with torch.no_grad():
        for gradient in found.gradients:
            for name, value in gradient.weighted_sum(weights).items():
                sums[name] = sums[name] + value if name in sums else value
    for name, full in zip(found.layer.covered, found.layer.full_names, strict=True):
        if full not in parameters:
            continue
        expected, actual = truth.get(full), sums.pop(name, None)
        tolerance = rounding_tolerance(weights, parameters[full])
        allowed = tolerance * (norms.get(full, 0.0) + floor)
        if not _distance(actual, expected) <= allowed:
            return (
                f"the gradient of {name} through the layer's calls is not autograd's (it is used "
                "outside the layer, the layer does more than its class, or samples interact)"
            )
    return ""


def _distance(a: Tensor | None, b: Tensor | None) -> float:
    """The norm of the difference of two gradients of a parameter; None stands for zeros.

    The first may be overwritten: the gradients of the largest layers set the peak of the memory.
    """
    flat = [at_least_single(one.flatten()) for one in (a, b) if one is not None]
    match flat:
        case [first, second] if first.dtype == second.dtype:
            difference = first.sub_(second)
        case [first, second]:
            difference = first - second
        case [only]:
            difference = only
        case _:
            return 0.0
    return float(torch.linalg.vector_norm(difference))


@lru_cache(maxsize=8)  # the same few sizes at every step of a training
def _draw_weights(n: int, C: int) -> Tensor:
    """A random number for every sample times one for every output, (n, C), always the same."""
    generator = torch.Generator().manual_seed(0)
    samples = torch.randn(n, 1, generator=generator)
    return samples * torch.randn(1, C, generator=generator)
