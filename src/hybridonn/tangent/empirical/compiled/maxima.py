"""Gradients of a convolution at its maxima alone, or of its averages over windows.

A pooled position takes one position of the convolution, its maximum, and there is one pooled
position for every four or nine. Where ``p_op = z_o,t(o,p)``, with z the convolution of patches u,

    dp/dW_o = sum_p g_op u_t(o,p)^T,    dp/dx = sum_op g_op W_o spread from t(o,p).

Of an average pooling, ``p_op = sum_t z_ot`` over a window, u_t is the average of the
window's patches.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from math import prod

import torch
import torch.nn.functional as F
from torch import Tensor

from hybridonn.tangent.empirical.compiled.library import library

_FIELDS = (
    *("samples", "threads", "channels", "height", "width", "maps", "rows", "columns"),
    *("places", "window"),
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


@dataclass(frozen=True)
class Windows:
    """The windows of a convolution's output that are averaged.

    Attributes:
        index: the positions of each, (P, Q); -1 where a window has fewer than Q.
        share: what one position of each counts, (P).
        shape: the shape of the convolution's output (n, O, ...).
        geometry: the geometry of the convolution.
    """

    index: Tensor
    share: Tensor
    shape: torch.Size
    geometry: ConvolutionGeometry


class GradientsOfRows:
    """Weight and bias gradients of a convolution whose output is pooled, some rows at a time.

    Attributes:
        row_numbers: how many numbers the gradients of one output channel are.
    """

    def __init__(
        self,
        inputs: Tensor,
        relu: Tensor,
        pooled: Maxima | Windows,
        cotangents: Tensor,
        *,
        bias: bool,
    ):
        """Take what the gradients are computed from.

        Args:
            inputs: the convolution's inputs (n, c, H, W).
            relu: the result of a ReLU before the pooling, (n, O, T), which lets gradients through
                where it is positive.
            pooled: the positions that the pooling took, or averaged.
            cotangents: d output_c / d pooled output, (n, C, O, P), expanded where samples share
                them.
            bias: whether the bias's gradients are wanted.
        """
        size = inputs.shape[1] * prod(pooled.geometry.kernel_size)
        last = _outputs_last(cotangents)
        self._like, self._bias, self._cotangents = inputs, bias, last
        self._row = _filled(size + bias, inputs)
        self._kept = [
            t.detach().contiguous() for t in (inputs.permute(0, 2, 3, 1), relu, pooled.index)
        ]
        average = isinstance(pooled, Windows)
        self._share = pooled.share.to(inputs).contiguous() if average else None
        self._geometry = _geometry(inputs.shape, pooled, last)
        self.row_numbers = last.shape[0] * last.shape[3] * self._row

    def compute(self, part: slice, weights: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """The gradients of a slice of the output channels.

        Args:
            part: the channels.
            weights: numbers (n, C) that weigh samples and outputs, or None.

        Returns:
            The gradients (n, o, C, k): taps x c numbers of the weight, that of the bias if it is
            wanted, then zeros. And their sums over samples and outputs, (o, k), by the weights.
        """
        n, _, _, outputs = self._cotangents.shape
        found = self._like.new_empty(n, part.stop - part.start, outputs, self._row)
        sums = None if weights is None else self._like.new_zeros(found.shape[1], self._row)
        given = None if weights is None else weights.to(self._like).contiguous()
        _library(self._like).gradients_behind_pooling(
            self._geometry,
            *map(_address, (*self._kept, self._cotangents)),
            *map(ctypes.c_int64, (part.start, part.stop, self._bias, self._row)),
            *map(_address, (self._share, found, given, sums)),
        )
        return found, sums


def inputs_behind_pooling(
    weight: Tensor, gate: Tensor, pooled: Maxima | Windows, cotangents: Tensor, shape: torch.Size
) -> Tensor:
    """Gradients of the inputs of a convolution whose output is pooled.

    Args:
        weight: the convolution's weight (O, c, ...).
        gate: zeros where no gradient passes, else ones: at the maxima (n, O, P), or before the
            averages at all positions (n, O, T).
        pooled: the positions that the pooling took, or averaged.
        cotangents: d output_c / d pooled output, (n, C, O, P), expanded where samples share them.
        shape: the shape of the convolution's input (n, c, H, W).

    Returns:
        Gradients (n, C, c, H, W), outputs contiguous in memory.
    """
    n, channels, height, width = shape
    if isinstance(pooled, Windows):
        shared = cotangents.stride(0) == 0  # by all samples
        some = cotangents[:1] if shared else cotangents
        cotangents = (some * pooled.share.to(some)).expand(cotangents.shape)
    filled, last = _filled(channels, weight), _outputs_last(cotangents)
    rows = F.pad(weight.detach().permute(0, 2, 3, 1), (0, filled - channels)).contiguous()
    result = weight.new_empty(n, height, width, channels, cotangents.shape[1])
    kept = [t.contiguous() for t in (gate, pooled.index)]
    _library(weight).inputs_behind_pooling(
        _geometry(shape, pooled, last),
        *map(_address, (*kept, last, rows)),
        ctypes.c_int64(filled),
        _address(result),
    )
    return result.permute(0, 4, 3, 1, 2)


def gram(rows: Tensor) -> Tensor:
    """``a a^T`` of few long rows that `GradientsOfRows` made, (n, p) to (n, n)."""
    n, width = rows.shape
    result = rows.new_empty(n, n)
    sizes = map(ctypes.c_int64, (n, width, torch.get_num_threads()))
    _library(rows).gram(_address(rows), *sizes, _address(result))
    return result


class _Factors(ctypes.Structure):
    """The structure of the same name in the C source."""

    _fields_ = [
        (name, ctypes.c_int64)
        for name in (
            *("samples", "outputs", "blocks", "rows", "columns", "positions", "threads"),
            *("left_sample", "left_output", "left_block", "left_position"),
            *("right_sample", "right_block", "right_position"),
        )
    ]


def gram_of_factors(left: Tensor, right: Tensor) -> Tensor:
    """Inner products of gradients ``sum_t L_ict R_it^T``, which are not held.

    Args:
        left: left factors (n, C, B, o, T), neighbouring rows o side by side in memory.
        right: right factors (n, B, k, T), neighbouring columns k side by side in memory.

    Returns:
        The kernel (n, n).
    """
    n, C, B, o, T = left.shape
    k = right.shape[2]
    filled = _filled(k, right)
    if filled > k:
        right = F.pad(right.mT, (0, filled - k)).mT
    lefts, rights = (
        (left.stride(axis) for axis in (0, 1, 2, 4)),
        (right.stride(axis) for axis in (0, 1, 3)),
    )
    sizes = _Factors(n, C, B, o, filled, T, torch.get_num_threads(), *lefts, *rights)
    result = left.new_empty(n, n)
    _library(left).gram_of_factors(ctypes.byref(sizes), *map(_address, (left, right, result)))
    return result


def _outputs_last(cotangents: Tensor) -> Tensor:
    """Cotangents (n, C, O, P) as (n, O, P, C), outputs contiguous; shared ones stay shared."""
    last = cotangents.permute(0, 2, 3, 1)
    if cotangents.stride(0) == 0:
        return last[:1].contiguous().expand(last.shape)
    return last if last.stride(3) == 1 else last.contiguous()


def _geometry(inputs: torch.Size, pooled: Maxima | Windows, cotangents: Tensor) -> object:
    """The sizes and strides, as the C source takes them."""
    one, average = pooled.geometry, isinstance(pooled, Windows)
    places, window = pooled.index.shape if average else (pooled.index.shape[2], 0)
    values = (
        *(inputs[0], torch.get_num_threads(), *inputs[1:], *pooled.shape[1:], places, window),
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


def _address(tensor: Tensor | None) -> ctypes.c_void_p:
    """The address of a tensor's first number; that of nothing for None."""
    return ctypes.c_void_p(None if tensor is None else tensor.data_ptr())
