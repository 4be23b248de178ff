"""The library in steps so fine that straight lines between them do: quick to look up.

A design step asks millions of pillars for transmission and slope. From the library's cubics
that costs several times as much as the Fourier transforms of the step; from a table of a few
thousand lines, which stays in a processor's cache, it costs less than one of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hybridonn.optics.meta_atoms.pillars import PillarLibrary, transmit

# Phases turn by up to 0.1 rad a nanometre: a chord over an eighth of one is off by below 1e-4,
# and by below 1e-2 at the narrow resonances of the default library. Whole nanometres are exact.
STEP_M = 0.125e-9
RUN = 2**15  # pillars at a time on a processor


@dataclass(frozen=True, eq=False)
class PillarTable:
    """Transmission at equal steps of width, without the empty cell.

    Attributes:
        first_m: Narrowest pillar.
        step_m: Distance of one width to the next, in metres.
        values: Complex transmission, (C, M).
        rises: Change to the next width, (C, M - 1).
    """

    first_m: float
    step_m: float
    values: Tensor
    rises: Tensor

    def transmit(self, widths_m: Tensor) -> Tensor:
        """Transmission, (..., H, W) to (..., C, H, W), differentiable; widths beyond are clamped.

        The dtype of the table and of the widths must agree: float32 with complex64,
        float64 with complex128.
        """
        return self.transmit_steps((widths_m - self.first_m) / self.step_m)

    def transmit_steps(self, steps: Tensor) -> Tensor:
        """The same of widths that are counted in steps of the table from the first."""
        return _Interpolation.apply(steps, self.values, self.rises)  # pyright: ignore[reportReturnType]


def tabulate(
    library: PillarLibrary,
    dtype: torch.dtype = torch.complex64,
    device: torch.device | None = None,
) -> PillarTable:
    """The table of a library, over the whole range of its pillars."""
    pillars = library.widths_m[library.first_pillar :]
    first_m, last_m = float(pillars[0]), float(pillars[-1])
    count = max(2, round((last_m - first_m) / STEP_M) + 1)
    values = transmit(library, torch.linspace(first_m, last_m, count, dtype=torch.float64))
    values = values.to(device, dtype)
    return PillarTable(first_m, (last_m - first_m) / (count - 1), values, values.diff(dim=-1))


class _Interpolation(torch.autograd.Function):
    # Torch would keep several complex numbers a pillar and colour for the way back. Runs of
    # pillars are short enough for what lies between to stay in a processor's cache.

    @staticmethod
    def forward(ctx: Any, position: Tensor, values: Tensor, rises: Tensor) -> Tensor:
        ctx.save_for_backward(position, rises)
        shape = (*position.shape[:-2], len(values), *position.shape[-2:])
        passed = torch.empty(shape, dtype=values.dtype, device=values.device)
        for mask, planes in _masks(position, passed):
            for run in _runs(mask):
                index, part = _locate(mask[run], rises)
                for plane, value, rise in zip(planes, values, rises, strict=True):
                    start = torch.view_as_real(value.index_select(0, index))
                    climb = torch.view_as_real(rise.index_select(0, index))
                    torch.view_as_real(plane[run]).copy_(start.addcmul_(climb, part[:, None]))
        return passed

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        position, rises = ctx.saved_tensors
        total = torch.zeros_like(position, memory_format=torch.contiguous_format)
        for (mask, planes), (found, _) in zip(
            _masks(position, gradient.contiguous()), _masks(total, gradient), strict=True
        ):
            for run in _runs(mask):
                index, _ = _locate(mask[run], rises)
                for plane, rise in zip(planes, rises, strict=True):
                    climb = torch.view_as_real(rise.index_select(0, index))
                    found[run] += (torch.view_as_real(plane[run]) * climb).sum(-1)
        return total, None, None


def _masks(position: Tensor, field: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Each mask, (H W,), with its field, (C, H W)."""
    return zip(
        position.reshape(-1, position.shape[-2] * position.shape[-1]),
        field.reshape(-1, field.shape[-3], position.shape[-2] * position.shape[-1]),
        strict=True,
    )


def _runs(mask: Tensor) -> list[slice]:
    length = RUN if mask.device.type == "cpu" else len(mask)
    return [slice(start, start + length) for start in range(0, len(mask), length)]


def _locate(position: Tensor, rises: Tensor) -> tuple[Tensor, Tensor]:
    """Line and place on it, from 0 to 1, of each position."""
    index = position.clamp(0, rises.shape[-1] - 1).to(torch.int32)
    return index, (position - index).clamp_(0, 1)
