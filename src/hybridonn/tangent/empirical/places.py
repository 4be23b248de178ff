"""Places of a model's outputs as samples of a kernel, and the kernel of a last layer there."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from hybridonn.tangent.empirical.contraction import products
from hybridonn.tangent.empirical.gradient_factors import FactoredGradient
from hybridonn.tangent.errors import TangentError


def check_places(places: Tensor, shape: Sequence[int]) -> None:
    """Refuse places that are not in some outputs.

    Args:
        places: positions (n, P) behind the axis of the classes.
        shape: the outputs' shape (n, C, ...).

    Raises:
        TangentError: the outputs have no places, or the places are not (n, P) positions in them.
    """
    if len(shape) < 3:
        raise TangentError(
            f"the outputs have the shape {tuple(shape)}, (samples, classes): there are no places "
            "in them; use ntk() or Trace.kernel(), whose samples are those of the model"
        )
    size = torch.Size(shape[2:]).numel()
    if places.ndim != 2 or len(places) != shape[0] or not places.shape[1]:
        raise TangentError(
            f"places has the shape {tuple(places.shape)}, but there are {shape[0]} samples; give "
            f"({shape[0]}, P), some places of each"
        )
    if places.is_floating_point() or places.is_complex() or places.dtype == torch.bool:
        raise TangentError(f"places is of {places.dtype}; positions are whole numbers: torch.int64")
    if int(places.min()) < 0 or int(places.max()) >= size:
        raise TangentError(
            f"places holds {int(places.min())} to {int(places.max())}, but an output has the "
            f"places 0 to {size - 1}"
        )


def contract_places(gradient: FactoredGradient, outputs: Tensor, places: Tensor) -> Tensor | None:
    """The kernel of places of the outputs, of a layer whose output is the network's output.

    A class c at a place t is one row of one block b(c), so that
    ``Theta_(ip),(jq) = o sum_b R_ibp . R_jbq + C 1_bias`` for C classes in blocks of o: for a
    convolution of 1 x 1, ``C (h_i(p) . h_j(q) + 1_bias)``.

    Args:
        gradient: the layer's gradient; its one call needs no cotangents.
        outputs: the network's outputs (n, C, ...).
        places: positions (n, P) behind the axis of the classes.

    Returns:
        The kernel (n P, n P); None where the layer's positions are not those places, as behind a
        dense layer whose last axis holds the classes.
    """
    found = _find_blocks(gradient, outputs)
    if found is None:
        return None
    blocks, rows = found
    features = [
        gradient.rights(slice(place, place + 1))[0].flatten(0, 1)[:, some].mT  # (P, b k)
        for place, some in enumerate(places)
    ]
    kernel = rows * products(torch.cat(features))
    return kernel + blocks * rows if gradient.sums_left else kernel


def compute_place_features(gradient: FactoredGradient, outputs: Tensor) -> Tensor | None:
    """Features of every place whose products are the kernel of :func:`contract_places`.

    Args:
        gradient: the layer's gradient; its one call needs no cotangents.
        outputs: the network's outputs (n, C, ...).

    Returns:
        ``sqrt(o) [R_i1p, ..., R_iBp, sqrt(B) 1_bias]`` of B blocks, (n, places, features); None
        where the layer's positions are not the outputs' places.
    """
    found = _find_blocks(gradient, outputs)
    if found is None:
        return None
    blocks, rows = found
    features = gradient.rights().flatten(1, 2).mT
    if gradient.sums_left:
        features = F.pad(features, (0, 1), value=blocks**0.5)
    return rows**0.5 * features


def _find_blocks(gradient: FactoredGradient, outputs: Tensor) -> tuple[int, int] | None:
    """Blocks of the classes and rows of a block; None where positions are not the places."""
    shape = gradient.calls[0].cotangents.shape[2:]
    numbered = torch.arange(shape.numel(), dtype=torch.float64).view(1, 1, *shape)
    _, _, blocks, rows, count = (found := gradient.left(numbered)).shape
    in_order = torch.equal(found.flatten(), numbered.flatten())
    if not in_order or blocks * rows != outputs.shape[1] or outputs[0, 0].numel() != count:
        return None
    return blocks, rows
