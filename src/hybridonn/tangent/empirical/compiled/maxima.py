"""Gradients of a pooled convolution by its maxima alone.

A pooled position takes one position of the convolution, its maximum, and there is one pooled
position for every four or nine. Where ``p_op = z_o,t(o,p)``, with z the convolution of patches u,

    dp/dW_o = sum_p g_op u_t(o,p)^T,    dp/dx = sum_op g_op W_o spread from t(o,p).
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from math import prod

import torch
import torch.nn.functional as F
from torch import Tensor

from hybridonn.tangent.empirical.compiled.library import library

_FIELDS = (
    *("samples", "threads", "channels", "height", "width", "maps", "rows", "columns", "places"),
    *("kernel_y", "kernel_x", "stride_y", "stride_x"),
    *("dilation_y", "dilation_x", "padding_y", "padding_x"),
    *("outputs", "by_sample", "by_map", "by_place"),
)


class _Geometry(ctypes.Structure):
    """The structure of the same name in the C source."""

    _fields_ = [(name, ctypes.c_int64) for name in _FIELDS]


@dataclass(frozen=True)
class ConvolutionGeometry:
    """The geometry of a convolution of two dimensions without groups; each pair is (y, x).

    Attributes:
        kernel_size: the size of its kernel.
        stride: its stride.
        dilation: the distance of neighbouring kernel elements.
        padding: the zeros before the first row and column.
    """

    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    padding: tuple[int, ...]


@dataclass(frozen=True)
class Maxima:
    """Where the maxima of a convolution's output lie.

    Attributes:
        index: the position of each, (n, O, P).
        shape: the shape of the convolution's output (n, O, ...).
        geometry: the geometry of the convolution.
    """

    index: Tensor
    shape: torch.Size
    geometry: ConvolutionGeometry


def gradients_at_maxima(
    inputs: Tensor, relu: Tensor, maxima: Maxima, cotangents: Tensor, *, bias: bool
) -> tuple[Callable[[slice], Tensor], int]:
    """Weight and bias gradients of a convolution whose output is pooled to maxima.

    Args:
        inputs: the convolution's inputs (n, c, H, W).
        relu: the result of a ReLU before the pooling, (n, O, T), which lets gradients through
            where it is positive.
        maxima: the positions that the pooling took.
        cotangents: d output_c / d pooled output, (n, C, O, P), expanded where samples share them.
        bias: whether the bias's gradients are wanted.

    Returns:
        A function that maps a slice of the O output channels to their gradients (n, o, C, k):
        taps x c numbers of the weight, that of the bias if it is wanted, then zeros. And how many
        numbers the gradients of one channel are.
    """
    size = inputs.shape[1] * prod(maxima.geometry.kernel_size)
    row = _filled(size + bias, inputs)
    last = _outputs_last(cotangents)
    kept = [t.detach().contiguous() for t in (inputs.permute(0, 2, 3, 1), relu, maxima.index)]
    geometry = _geometry(inputs.shape, maxima, last)

    def compute(part: slice) -> Tensor:
        found = inputs.new_empty(len(last), part.stop - part.start, last.shape[3], row)
        _library(inputs).gradients_at_maxima(
            geometry,
            *map(_address, (*kept, last)),
            *map(ctypes.c_int64, (part.start, part.stop, bias, row)),
            _address(found),
        )
        return found

    return compute, last.shape[0] * last.shape[3] * row


def inputs_from_maxima(
    weight: Tensor, gate: Tensor, maxima: Maxima, cotangents: Tensor, shape: torch.Size
) -> Tensor:
    """Gradients of the inputs of a convolution whose output is pooled to maxima.

    Args:
        weight: the convolution's weight (O, c, ...).
        gate: zeros where no gradient passes, else ones, (n, O, P).
        maxima: the positions that the pooling took.
        cotangents: d output_c / d pooled output, (n, C, O, P), expanded where samples share them.
        shape: the shape of the convolution's input (n, c, H, W).

    Returns:
        Gradients (n, C, c, H, W), outputs contiguous in memory.
    """
    n, channels, height, width = shape
    filled, last = _filled(channels, weight), _outputs_last(cotangents)
    rows = F.pad(weight.detach().permute(0, 2, 3, 1), (0, filled - channels)).contiguous()
    result = weight.new_empty(n, height, width, channels, cotangents.shape[1])
    kept = [t.contiguous() for t in (gate, maxima.index)]
    _library(weight).inputs_from_maxima(
        _geometry(shape, maxima, last),
        *map(_address, (*kept, last, rows)),
        ctypes.c_int64(filled),
        _address(result),
    )
    return result.permute(0, 4, 3, 1, 2)


def gram(rows: Tensor) -> Tensor:
    """``a a^T`` of few long rows that `gradients_at_maxima` made, (n, p) to (n, n)."""
    n, width = rows.shape
    result = rows.new_empty(n, n)
    sizes = map(ctypes.c_int64, (n, width, torch.get_num_threads()))
    _library(rows).gram(_address(rows), *sizes, _address(result))
    return result


def _outputs_last(cotangents: Tensor) -> Tensor:
    """Cotangents (n, C, O, P) as (n, O, P, C), outputs contiguous; shared ones stay shared."""
    last = cotangents.permute(0, 2, 3, 1)
    if cotangents.stride(0) == 0:
        return last[:1].contiguous().expand(last.shape)
    return last if last.stride(3) == 1 else last.contiguous()


def _geometry(inputs: torch.Size, maxima: Maxima, cotangents: Tensor) -> object:
    """The sizes and strides, as the C source takes them."""
    one, places = maxima.geometry, maxima.index.shape[2]
    values = (
        *(inputs[0], torch.get_num_threads(), *inputs[1:], *maxima.shape[1:], places),
        *(*one.kernel_size, *one.stride, *one.dilation, *one.padding),
        *(cotangents.shape[3], *cotangents.stride()[:3]),
    )
    return ctypes.byref(_Geometry(*values))


def _filled(count: int, like: Tensor) -> int:
    """A count of numbers, rounded up to whole vectors of 64 bytes."""
    lanes = 64 // like.element_size()
    return -(-count // lanes) * lanes


def _library(like: Tensor) -> ctypes.CDLL:
    """The functions for a tensor's type, which `is_available` has found."""
    found = library(like.dtype)
    assert found is not None
    return found


def _address(tensor: Tensor) -> ctypes.c_void_p:
    """The address of a tensor's first number."""
    return ctypes.c_void_p(tensor.data_ptr())
