"""Pillars that train together with a gain for each kernel, from any start."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from hybridonn.networks.frontends.metasurface import TrainableMetasurface
from hybridonn.optics.meta_atoms.pillars import PillarLibrary
from hybridonn.optics.metasurface.inverse_design import Limits
from hybridonn.optics.metasurface.sub_optic import Metasurface


class EndToEndMetasurface(TrainableMetasurface):
    """Widths of pillars as parameters, and the logarithm of a gain for each kernel.

    A batch of images shares the point spread functions of its step; in inference they are computed
    once until the widths change.

    Args:
        widths_m: To start from, (K, 2, cells, cells).
        metasurface: Geometry of a sub-optic.
        library: Pillars, at the metasurface's wavelengths.
        limits: Limits of the process.
        window: Odd side of the point spread functions, in pixels.
        kernel_size: Side of the kernels within.
        stride: Pixels of the scene a pixel of the feature map.
        gains: (K, 2, C).
        at_once: Sub-optics that are simulated together: their fields share each transform.
        kept: What is kept of each point spread function, (K, 1, 1, window, window): 1 everywhere,
            or in the block of each kernel alone; None: all of it.
    """

    kept: Tensor

    def __init__(
        self,
        widths_m: Tensor,
        metasurface: Metasurface,
        library: PillarLibrary,
        limits: Limits,
        window: int,
        kernel_size: int,
        stride: int = 1,
        gains: Tensor | None = None,
        *,
        at_once: int = 1,
        kept: Tensor | None = None,
    ) -> None:
        super().__init__(
            *(widths_m, metasurface, library, limits, window, kernel_size, stride, gains),
            at_once=at_once,
        )
        self.strength = nn.Parameter(widths_m.new_zeros(len(widths_m)))
        whole = widths_m.new_ones(len(widths_m), 1, window, window) if kept is None else kept[:, 0]
        self.register_buffer("kept", whole, persistent=False)
        self._computed: Tensor | None = None

    def effective_kernels(self) -> Tensor:
        """Kernels that optics, gains and subtraction realise on the window, (K, C, P, P)."""
        if self._computed is not None:
            return self._computed
        gains = self.strength.exp()[:, None, None, None]
        found = super().effective_kernels() * self.kept * gains
        if not (self.training or torch.is_grad_enabled()):
            self._computed = found
        return found

    def final_gains(self) -> Tensor:
        """The gains with what was learnt of them, (K, 2, C)."""
        return self.gains * self.strength.detach().exp()[:, None, None]

    def train(self, mode: bool = True) -> EndToEndMetasurface:
        """Training mode, in which the widths change, or inference."""
        self._computed = None
        super().train(mode)
        return self

    def _load_from_state_dict(self, *arguments: Any, **named: Any) -> None:
        self._computed = None
        super()._load_from_state_dict(*arguments, **named)


def keep_blocks(sizes: Sequence[int], window: int) -> Tensor:
    """1 in the block of each kernel, 0 around it: what is left of a cropped PSF.

    Args:
        sizes: Side of the block of each kernel, odd, K of them.
        window: Odd side of the point spread functions.

    Returns:
        (K, 1, 1, window, window).
    """
    blocks = torch.zeros(len(sizes), 1, 1, window, window)
    for block, size in zip(blocks, sizes, strict=True):
        first = (window - size) // 2
        block[..., first : first + size, first : first + size] = 1
    return blocks
