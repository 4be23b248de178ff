"""Number formats: bfloat16 where it pays and is right, half precision of what is stored."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from hybridonn.core.errors import TrainingError

# From here on a network spends its time in convolutions that bfloat16 makes 2 to 3 times faster;
# a LeNet of two convolutions gains nothing.
DEEP = 4


def mixed_precision(
    precision: str, device: torch.device, network: nn.Module
) -> AbstractContextManager[Any]:
    """bfloat16 where it is asked for, or where it pays.

    It pays on CUDA, and for deep networks on a processor that has units for it.

    Raises:
        TrainingError: It is asked for where its gradients are wrong.
    """
    spoilt = device.type == "cpu" and _find_dilated_depthwise(network)
    if spoilt and precision == "bfloat16":
        raise TrainingError(
            f"precision is bfloat16, but on a CPU the gradients of the network's layer '{spoilt}', "
            "a dilated depthwise convolution, are wrong in it; use float32 or auto"
        )
    convolutions = sum(isinstance(m, nn.Conv2d | nn.ConvTranspose2d) for m in network.modules())
    pays = device.type == "cuda" or (convolutions >= DEEP and has_bfloat16_units())
    wanted = precision == "bfloat16" or (precision == "auto" and pays and not spoilt)
    return torch.autocast(device.type, torch.bfloat16) if wanted else nullcontext()


def halve(values: Tensor) -> Tensor:
    """The numbers in half precision, half the memory; as they are where they do not fit in it.

    Half precision has 11 bits and ends at 65504 and, whole, at 6e-5: values fit
    where none is beyond, and their largest is far enough from its lower end.
    """
    largest = float(values.abs().max()) if values.numel() else 1.0
    return values.half() if 2.0**-4 <= largest <= torch.finfo(torch.half).max else values


def _find_dilated_depthwise(network: nn.Module) -> str:
    """The first layer whose weight's gradient torch takes from memory that nobody has written.

    So does torch 2.13 on a CPU for dilated depthwise convolutions in bfloat16 and channels
    last: some gradients are wrong by 10^18.
    """
    for name, layer in network.named_modules():
        if not isinstance(layer, nn.Conv2d) or max(layer.dilation) == 1:
            continue
        if layer.groups == layer.in_channels == layer.out_channels > 1:
            return name
    return ""


def has_bfloat16_units() -> bool:
    """Whether the processor multiplies bfloat16 matrices itself (AMX or AVX-512 BF16)."""
    supported = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")  # since torch 2.4 and 2.6
    return any(getattr(torch.cpu, name, lambda: False)() for name in supported)
