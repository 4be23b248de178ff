"""What a network costs: multiply-accumulates, parameters, pixels that are read out."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from hybridonn.networks.hybrid import HybridNetwork

IMAGE_BITS = 8  # of a pixel in an ordinary image
SIGNS = 2  # captures of a signed kernel
WITHOUT_OPTICS = "the network behind a lens"


@dataclass(frozen=True)
class NetworkCost:
    """What one image costs a network.

    Attributes:
        name: Name of the network, in results.json too.
        label: What tables call it.
        macs: Multiply-accumulates of an image.
        parameters: Numbers that are stored.
        pixels: Pixels that a camera reads out for an image.
        bits: Bits that it reads out.
        optical: Whether a part of it is computed by light, so that a camera reads features.
    """

    name: str
    label: str
    macs: int
    parameters: int
    pixels: int = 0
    bits: int = 0
    optical: bool = False

    def as_row(self) -> dict[str, int | str]:
        """A row of a table."""
        return {
            "network": self.label,
            "macs": self.macs,
            "parameters": self.parameters,
            "read_out_pixels": self.pixels,
            "read_out_bits": self.bits,
        }


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


def count_costs(
    teacher: nn.Module,
    student: HybridNetwork,
    image_shape: tuple[int, int, int],
    bit_depth: int | None,
) -> list[NetworkCost]:
    """The costs of a hybrid network and of digital ones, for one image.

    Args:
        teacher: The digital teacher.
        student: See :func:`count_student_costs`, as the others.
        image_shape: (C, H, W) of a scene.
        bit_depth: Bits that the camera behind the optics gives of a pixel.
    """
    seen, macs = prod(image_shape), count_macs(teacher, torch.zeros(1, *image_shape))
    taught = NetworkCost("teacher", "teacher", macs, _count(teacher), seen, IMAGE_BITS * seen)
    return [taught, *count_student_costs(student, image_shape, bit_depth)]


def count_student_costs(
    student: HybridNetwork, image_shape: tuple[int, int, int], bit_depth: int | None
) -> list[NetworkCost]:
    """The costs of a hybrid network for one image: all digital, and behind its optics.

    Args:
        student: The hybrid network with the optics as designed. Computed all digitally it gives
            the same outputs, so that it is the digital network that is as accurate. Of a student
            without optics its backend is the whole network behind a lens.
        image_shape: (C, H, W) of a scene.
        bit_depth: Bits that the camera behind the optics gives of a pixel; None: not stated, as
            many as an ordinary camera.
    """
    scene = torch.zeros(1, *image_shape)
    divided = student.divide()
    branch_shapes = divided.shape_features(image_shape)
    features = tuple(torch.zeros(1, *shape) for shape in branch_shapes)
    digital = nn.Sequential(student.frontend.digital(image_shape), student.backend)
    seen = prod(image_shape)
    optical, exposures = divided.frontend is student.frontend, divided.frontend.exposures
    read = exposures * sum(prod(shape) for shape in branch_shapes)
    lens = (seen, IMAGE_BITS * seen)
    return [
        NetworkCost(
            "digital",
            "the same network, all digital",
            count_macs(digital, scene),
            _count(student),
            *lens,
        ),
        NetworkCost(
            "backend",
            "backend behind the optics" if optical else WITHOUT_OPTICS,
            count_macs(divided.backend, features),
            _count(divided.backend),
            read,
            (bit_depth or IMAGE_BITS) * read,
            optical=optical,
        ),
    ]


def _count(network: nn.Module) -> int:
    return sum(one.numel() for one in network.parameters())
