"""The precision in which kernels are summed, and what its rounding explains."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

# Part of its norm by which two right ways of computing a gradient differ, with a wide margin:
# measured on networks of up to 30 layers at most 1e-12, 2e-5, 4e-3 and 3e-2.
_TOLERANCES = {
    torch.float64: 1e-7,
    torch.float32: 1e-3,
    torch.float16: 3e-2,
    torch.bfloat16: 1e-1,
}
# TensorFloat-32 keeps 10 bits of each factor.
_TENSOR_FLOAT_32 = 1e-2


def at_least_single(tensor: Tensor) -> Tensor:
    """The tensor in single precision or better: sums in half precision have too few digits."""
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


def as_real(gradients: Tensor) -> Tensor:
    """Gradients (..., p) of p parameters as real numbers, at least single precision.

    A complex parameter counts as two real ones, its real and its imaginary part, whose gradients
    are the parts of autograd's: (..., 2 p).
    """
    if gradients.is_complex():
        gradients = torch.view_as_real(gradients.resolve_conj()).flatten(-2)
    return at_least_single(gradients)


def dense(gradient: Tensor) -> Tensor:
    """A gradient that an embedding gave as sparse, with its zeros."""
    return gradient if gradient.layout == torch.strided else gradient.to_dense()


def rounding_tolerance(*tensors: Tensor, within: Iterable[torch.dtype] = ()) -> float:
    """The part of its norm by which rounding may change a gradient of some tensors' precision.

    Args:
        tensors: what takes part in the computation, of real or complex numbers.
        within: types of results on the way.
    """
    types = {*(tensor.dtype for tensor in tensors), *within}
    found = max(_TOLERANCES.get(one.to_real(), 1e-3) for one in types)
    if any(tensor.is_cuda for tensor in tensors) and _uses_tensor_float_32():
        return max(found, _TENSOR_FLOAT_32)
    return found


def _uses_tensor_float_32() -> bool:
    return bool(torch.backends.cuda.matmul.allow_tf32 or torch.backends.cudnn.allow_tf32)
