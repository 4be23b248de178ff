"""The precision in which kernels are summed."""

from __future__ import annotations

import torch
from torch import Tensor


def at_least_single(tensor: Tensor) -> Tensor:
    """The tensor in single precision or better: sums in half precision have too few digits."""
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor
