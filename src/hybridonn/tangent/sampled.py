r"""The tangent kernel whose samples are places of the outputs, such as pixels of a segmentation.

An image x_i that is answered at each pixel p couples in training with every other through its
pixels. The kernel of sampled pixels as samples,

    Theta_(ip),(jq) = sum_c <df_c(x_i)_p/dtheta, df_c(x_j)_q/dtheta>,

keeps that; the sum over pixels, one number for two images, does not. A last convolution of 1 x 1
maps features h_i(p) to f_c(x_i)_p, and its part is ``C (h_i(p) . h_j(q) + 1_bias)``, exact, without
any backward pass (:meth:`hybridonn.tangent.Trace.kernel_at`).
"""

from __future__ import annotations

from functools import reduce

import torch
from torch import Tensor, nn

from hybridonn.tangent.empirical.checks import check_inputs
from hybridonn.tangent.empirical.kernel import ntk
from hybridonn.tangent.empirical.layer_io import Layers
from hybridonn.tangent.empirical.places import check_places
from hybridonn.tangent.errors import TangentError


def sampled_ntk(
    model: nn.Module,
    x: Tensor,
    places: Tensor,
    *,
    layers: Layers = "all",
    memory_gb: float = 2.0,
    create_graph: bool = False,
) -> Tensor:
    """The tangent kernel of sampled places of the outputs, of any model and any layers.

    It takes one backward pass for each class and place of an image, so it is meant for few places,
    or for the last layers; where the last layer is a convolution whose output is the model's,
    :meth:`hybridonn.tangent.Trace.kernel_at` is as exact and takes none.

    Args:
        model: any module in inference mode, from samples (n, ...) to (n, C, ...).
        x: samples (n, ...).
        places: positions (n, P) in the outputs of each sample, behind the axis of the C classes and
            row by row: pixel (r, c) of H x W outputs is ``r W + c``.
        layers: whose parameters, as for `ntk`.
        memory_gb: memory budget in GB, as for `ntk`.
        create_graph: let the kernel be differentiated in the parameters.

    Returns:
        The kernel (n P, n P), the places of the first sample first.

    Raises:
        TangentError: as for `ntk`, or the places are not in the outputs.
    """
    check_inputs(model, x, None)
    with torch.no_grad():
        shape = model(x[:1]).shape
    check_places(places, (len(x), *shape[1:]))
    packed = torch.cat([x.flatten(1), places.to(x)], 1)
    if not torch.equal(packed[:, -places.shape[1] :].to(places), places):
        raise TangentError(
            f"the samples are of {x.dtype}, which does not count the {shape[2:].numel()} places of "
            "an output one by one; give them in float32"
        )
    names = layers if layers in ("all", "first", "last") else _within(layers)
    count, terms = places.shape[1], []
    for channel in range(shape[1]):
        picked = _Picked(model, x.shape[1:], count, channel)
        kernel = ntk(
            picked,
            packed,
            outputs="full",
            layers=names,
            memory_gb=memory_gb,
            create_graph=create_graph,
        )
        terms.append(kernel.transpose(1, 2).reshape(len(x) * count, -1))
    return reduce(torch.add, terms)


class _Picked(nn.Module):
    """One class of a model's outputs at the places that follow each sample's numbers."""

    def __init__(self, model: nn.Module, shape: torch.Size, places: int, channel: int) -> None:
        super().__init__()
        self.model = model
        self.training = model.training
        self._shape, self._places, self._channel = shape, places, channel

    def forward(self, packed: Tensor) -> Tensor:
        """Pick: samples and their places, (n, numbers + P), to (n, P)."""
        x = packed[:, : -self._places].unflatten(1, self._shape)
        outputs = self.model(x)[:, self._channel].flatten(1)
        return outputs.gather(1, packed[:, -self._places :].long())


def _within(layers: Layers) -> tuple[str, ...]:
    """Names of layers as they are called within :class:`_Picked`."""
    return tuple(f"model.{name}" for name in ([layers] if isinstance(layers, str) else layers))
