"""Circular convolutions of which only a corner is given and only a corner is wanted.

Of a padded plane most lines are zero, and of the result most are thrown away. Here the
transforms along rows are taken of given and of wanted rows alone, and those along columns
go to the spectrum and back a few columns at a time, while they are in a processor's
cache: three quarters of the lines, a fraction of the memory (Sorensen and Burrus 1993, IEEE
Transactions on Signal Processing 41, 1184). The transforms are SciPy's, which, unlike Torch's,
take columns as fast as rows and work in place.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import product

import numpy as np
import scipy.fft
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[np.complexfloating]
_fft: Callable[..., Array] = scipy.fft.fft  # pyright: ignore[reportAssignmentType]
_ifft: Callable[..., Array] = scipy.fft.ifft  # pyright: ignore[reportAssignmentType]

FAST_FACTORS = (2, 3, 5, 7)  # lengths that every FFT library takes in its stride
COLUMNS = 64  # at a time: 64 of some thousand samples fit into a second-level cache


def convolve(field: Tensor, transfer: Tensor, side: int, adjoint: bool = False) -> Tensor:
    """The first samples of a circular convolution, or of its conjugate transpose.

    Args:
        field: Complex, (..., C, w, w); the samples beyond are zero.
        transfer: Spectrum of each channel's kernel, (C, P, P), P at least w and ``side``.
        side: Samples wanted along each axis.
        adjoint: Convolve with the conjugate of the spectrum.

    Returns:
        (..., C, side, side), without a gradient.
    """
    if field.is_cuda:
        return _convolve_whole(field, transfer, side, adjoint)
    result = torch.empty(*field.shape[:-2], side, side, dtype=field.dtype)
    planes = field.detach().reshape(-1, *field.shape[-3:]).resolve_conj().numpy()
    found = result.view(-1, *result.shape[-3:]).numpy()
    factors = transfer.numpy()
    convolve_plane = partial(_convolve_plane, adjoint=adjoint)
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        tasks = [
            pool.submit(convolve_plane, planes[plane, channel], factor, found[plane, channel])
            for plane, (channel, factor) in product(range(len(planes)), enumerate(factors))
        ]
        for task in tasks:
            task.result()
    return result


def fast_length(least: int) -> int:
    """The smallest length from ``least`` on whose only prime factors are 2, 3, 5 and 7."""
    length = least
    while True:
        rest = length
        for factor in FAST_FACTORS:
            while rest % factor == 0:
                rest //= factor
        if rest == 1:
            return length
        length += 1


def _convolve_plane(
    field: Array,
    transfer: Array,
    result: Array,
    adjoint: bool,
) -> None:
    width, side, period = field.shape[-1], result.shape[-1], transfer.shape[-1]
    # The conjugate of the transfer function would be a copy of it. As conj(F(f)) is the
    # inverse transform of conj(f), the conjugate of the whole needs the function itself.
    there, back = (_ifft, _fft) if adjoint else (_fft, _ifft)
    norm = "forward" if adjoint else None
    given = np.zeros((width, period), field.dtype)
    given[:, :width] = field
    if adjoint:
        np.conjugate(given[:, :width], out=given[:, :width])
    given = there(given, axis=1, norm=norm, overwrite_x=True)
    wanted = np.empty((side, period), field.dtype)
    for first in range(0, period, COLUMNS):
        columns = slice(first, first + COLUMNS)
        spectrum = there(given[:, columns], period, axis=0, norm=norm)
        spectrum *= transfer[:, columns]
        wanted[:, columns] = back(spectrum, axis=0, norm=norm, overwrite_x=True)[:side]
    result[:] = back(wanted, axis=1, norm=norm, overwrite_x=True)[:, :side]
    if adjoint:
        np.conjugate(result, out=result)


def _convolve_whole(field: Tensor, transfer: Tensor, side: int, adjoint: bool) -> Tensor:
    # On a GPU whole planes are quickest; a channel at a time bounds the memory.
    result = torch.empty(*field.shape[:-2], side, side, dtype=field.dtype, device=field.device)
    for channel, factor in enumerate(transfer):
        spectrum = torch.fft.fft2(field[..., channel, :, :], s=transfer.shape[-2:])
        spectrum *= factor.conj() if adjoint else factor
        result[..., channel, :, :] = torch.fft.ifft2(spectrum)[..., :side, :side]
    return result
