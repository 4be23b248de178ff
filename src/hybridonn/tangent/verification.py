"""Whether the layers' pieces are what autograd says: the guard against silent wrongness.

The rule of a layer can be right and the layer still not tell all: its weight may be used
elsewhere as well, a subclass may compute something else, samples may not lie on the first
axis. One backward pass of a random combination of samples and outputs finds out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from hybridonn.tangent.capture import full_name
from hybridonn.tangent.layerwise import LayerPieces

# A gradient counts as reproduced to this part of its norm; what is below the second part of
# all gradients' norm is rounding (its share in a kernel would be the square of that).
_RELATIVE = 1e-3
_FLOOR = 1e-5


def failures(
    parts: Sequence[LayerPieces],
    outputs: Tensor,
    seeds: Tensor,
    parameters: Mapping[str, Tensor],
) -> tuple[dict[str, str], set[str]]:
    """Compare the pieces with autograd on ``sum_ic w_i s_c f_ic`` for random signs w and s.

    Args:
        parts: the layers' pieces for the combinations ``seeds``.
        outputs: the network's outputs (n, ...).
        seeds: combinations (C, ...) of the outputs.
        parameters: the parameters that the kernel is meant for, by full name.

    Returns:
        The layers that do not reproduce autograd's gradients, with the reason, and the names
        of the parameters that the outputs depend on.
    """
    weights = _random_weights(len(outputs), len(seeds), outputs)
    vector = torch.einsum("ic,c...->i...", weights, seeds)
    found = torch.autograd.grad(
        outputs, list(parameters.values()), vector, retain_graph=True, allow_unused=True
    )
    truth = {n: g for n, g in zip(parameters, found, strict=True) if g is not None}
    norm = sum(float(g.double().square().sum()) for g in truth.values()) ** 0.5
    wrong = {}
    for part in parts:
        reason = _difference(part, truth, weights, norm)
        if reason:
            wrong[part.layer.name] = reason
    return wrong, set(truth)


def reached(
    outputs: Tensor, parameters: Mapping[str, Tensor], names: Sequence[str]
) -> frozenset[str]:
    """Those of some parameters' names that the outputs depend on."""
    if not names:
        return frozenset()
    wanted = [parameters[name] for name in names]
    found = torch.autograd.grad(outputs.sum(), wanted, retain_graph=True, allow_unused=True)
    return frozenset(name for name, g in zip(names, found, strict=True) if g is not None)


def _difference(
    part: LayerPieces, truth: Mapping[str, Tensor], weights: Tensor, norm: float
) -> str:
    """Why a layer's pieces are not autograd's gradients; empty where they are."""
    found: dict[str, Tensor] = {}
    with torch.no_grad():
        for piece in part.pieces:
            found.update(piece.total(weights))
    for name in part.layer.covered:
        full = full_name(part.layer.name, name)
        if full not in truth:
            continue
        expected = truth[full].flatten().double()
        actual = found[name].flatten().double() if name in found else torch.zeros_like(expected)
        error = float(torch.linalg.norm(actual - expected))
        if not error <= _RELATIVE * float(torch.linalg.norm(expected)) + _FLOOR * norm:
            return (
                f"the gradient of {name} through the layer's calls is not autograd's (it is used "
                "outside the layer, the layer does more than its class, or samples interact)"
            )
    return ""


def _random_weights(n: int, C: int, like: Tensor) -> Tensor:
    """A random number for every sample times one for every output, (n, C), always the same."""
    generator = torch.Generator().manual_seed(0)
    samples = torch.randn(n, 1, generator=generator)
    return (samples * torch.randn(1, C, generator=generator)).to(like)
