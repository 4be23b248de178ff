"""What a network costs: multiply-accumulates, parameters, pixels that are read out."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode


@dataclass(frozen=True)
class NetworkCost:
    """What one image costs a network.

    Attributes:
        name: The network.
        macs: Multiply-accumulates of an image.
        parameters: Numbers that are stored.
        optical: Whether a part of it is computed by light, so that a camera reads features.
    """

    name: str
    macs: int
    parameters: int
    optical: bool = False


@torch.no_grad()
def count_macs(network: nn.Module, inputs: Tensor | tuple[Tensor, ...]) -> int:
    """Multiply-accumulates of convolutions, dense layers and matrix products for some inputs.

    Args:
        network: Any network; it is not changed.
        inputs: What it takes.
    """
    network = deepcopy(network).eval()
    with FlopCounterMode(display=False) as counter:
        network(inputs)
    return counter.get_total_flops() // 2


def count_cost(
    name: str, network: nn.Module, shapes: Sequence[tuple[int, ...]], optical: bool = False
) -> NetworkCost:
    """The cost of a network for one image.

    Args:
        name: What tables call it.
        network: A backend, of a tuple of branches, or a network of one scene.
        shapes: (K_b, H', W') of each branch of a backend; (C, H, W) of a scene.
        optical: Whether the network is a backend behind optics.
    """
    given = tuple(torch.zeros(1, *shape) for shape in shapes)
    macs = count_macs(network, given if optical else given[0])
    parameters = sum(one.numel() for one in network.parameters())
    return NetworkCost(name, macs, parameters, optical)
