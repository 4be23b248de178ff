"""How far the images behind a metasurface lie from those behind the kernels.

Light that misses a kernel's block falls around it, more of it than the block holds, and a
scene is bright over many pixels: faint light over a wide area counts as much as a wrong
kernel. So the difference of a kernel's two parts is judged on all pixels that an image
sees, and by the images of real scenes::

    L = |E|^2 / |K|^2 + weight mean((sum_c e_c)^2 + sum_c e_c^2) / var(sum_c k_c)

with ``E`` the signed point spread function less the kernel ``K`` (dark around its block),
``e_c`` and ``k_c`` the images of scenes behind both in colour c. Errors of the colours are
counted together, as the electronics add them, and apart: they must not rely on grey scenes.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from hybridonn.core.random import generator_of
from hybridonn.optics.metasurface.targets import Targets, apply_gains, multiply, solve_products
from hybridonn.optics.waves.pruned_fft import fast_length

MOST_PIXELS = 2**17  # of scenes in a colour: 128 of 32 x 32


class PictureLoss:
    """The module's ``L`` for some kernels.

    Args:
        targets: Targets of K kernels.
        window: Odd side of the point spread functions that are judged, in pixels.
        scenes: Images of the task, (N, C, H, W) from 0 to 1; None: only the first term.
        weight: Weight of the second term.
    """

    def __init__(
        self, targets: Targets, window: int, scenes: Tensor | None = None, weight: float = 0.1
    ) -> None:
        margin = (window - targets.parts.shape[-1]) // 2
        self.targets = Targets(F.pad(targets.parts, 4 * (margin,)), targets.scale)
        self.wanted = self.targets.kernels()
        self.scenes = scenes
        # What is not wanted in any colour of a kernel has no norm to be measured by.
        self.white = 1 / self.wanted.square().sum((1, 2, 3)).clamp_min(1e-30)
        self.ideal: Tensor | None = None
        if scenes is not None:
            self.side = fast_length(max(scenes.shape[-2:]) + window - 1)
            self.spectrum = torch.fft.rfft2(scenes.to(self.wanted), (self.side, self.side))
            self.ideal = self._take(self.wanted, scenes)
            power = self.ideal.sum(2).var((1, 2, 3)).clamp_min(1e-30)
            self.seen = weight / power / self.ideal[0, :, 0].numel()

    def gains(self, psfs: Tensor) -> Tensor:
        """The gains of both parts that make L smallest, its colours apart, (K, 2, C).

        Args:
            psfs: (K, 2, C, window, window).
        """
        return self._solve(psfs, self._see(psfs))

    def __call__(self, psfs: Tensor) -> Tensor:
        """The sum of L over the kernels, with the best gains; differentiable, the gains held."""
        pictures = self._see(psfs)
        with torch.no_grad():
            gains = self._solve(psfs, pictures)
        missed = apply_gains(psfs, gains) - self.wanted
        loss = (self.white * missed.square().sum((1, 2, 3))).sum()
        if pictures is None or self.ideal is None:
            return loss
        lit = pictures * gains[:, :, None, :, None, None]
        errors = lit[:, 0] - lit[:, 1] - self.ideal
        both = errors.sum(2).square().sum((1, 2, 3)) + errors.square().sum((1, 2, 3, 4))
        return loss + (self.seen * both).sum()

    def _see(self, psfs: Tensor) -> Tensor | None:
        """Images of all scenes behind each part in each colour, (K, 2, N, C, H, W)."""
        if self.scenes is None:
            return None
        return self._take(psfs.flatten(0, 1), self.scenes).unflatten(0, psfs.shape[:2])

    def _take(self, kernels: Tensor, scenes: Tensor) -> Tensor:
        """Images of all scenes in every colour, (M, C, P, P) to (M, N, C, H, W)."""
        height, width = scenes.shape[-2:]
        transfer = torch.fft.rfft2(kernels, (self.side, self.side))
        full = torch.fft.irfft2(transfer[:, None] * self.spectrum, (self.side, self.side))
        first = kernels.shape[-1] // 2
        return full[..., first : first + height, first : first + width]

    def _solve(self, psfs: Tensor, pictures: Tensor | None) -> Tensor:
        products = self.white[:, None] * multiply(psfs[:, 0], -psfs[:, 1], self.wanted, (-2, -1))
        if pictures is not None and self.ideal is not None:
            seen = multiply(pictures[:, 0], -pictures[:, 1], self.ideal, (1, 3, 4))
            products = products + 2 * self.seen[:, None] * seen
        return solve_products(products).to(psfs.dtype) * (self.targets.scale > 0)[:, None]


def choose_scenes(images: Tensor, seed: int) -> Tensor:
    """Some images of a set, evenly drawn, as many as a design needs.

    Args:
        images: Images to choose from, (N, C, H, W).
        seed: Seed of the draw.
    """
    most = max(1, MOST_PIXELS // images[0, 0].numel())
    order = torch.randperm(len(images), generator=generator_of("images of a design", seed))
    return images[order[:most]]
