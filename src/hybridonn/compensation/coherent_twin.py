"""A digital twin of a 4f system: its masks are fitted, through the coherent model, to captures.

A 4f system is no convolution of the scene, so no least squares gives its twin; what its captures
say of it is found by gradient descent. The model of the capture behind mask (k, s) is

    sum_j sum_c |h_jksc * (sqrt(scene_c) exp(i curve_c x^2))|^2 + offset_ks + noise,

the amplitude responses h those of masks on the designed bench. A mask that is shifted, turned or
scaled in its plane passes the same band, as do one of other levels, gaps or aberrations, so fitted
masks take all of these up; the focal length of the lenses also bends the scene's light, which is
the curve. Light that is not coherent is a sum of coherent modes: two a mask are fitted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hybridonn.compensation.camera_twin import CameraTwin, solve_noise
from hybridonn.compensation.capture_pair import CapturePair, find_nearest
from hybridonn.compensation.digital_twin import ENOUGH, DigitalTwin
from hybridonn.core.random import generator_of
from hybridonn.data.batches import to_scene
from hybridonn.data.dataset import ImageSet
from hybridonn.networks.frontends.fabricated_four_f import FabricatedFourF, read_amplitude
from hybridonn.networks.frontends.four_f import FourFFrontend
from hybridonn.optics.fabrication.fabricated_four_f import CoherentOptics, take_pictures

MODES = 2  # coherent modes of each mask
FAINT = 0.02  # amplitude at which the second mode starts: at 0 its gradient is 0
STEPS, BATCH = 150, 32
# Adam's first steps: of transmissions, of the phase at the edge of the scene in radians, and of
# the offsets over the contrast of the captures.
MASK_RATE, EDGE_RATE, OFFSET_RATE = 0.05, 0.05, 0.01


@dataclass(frozen=True)
class CoherentTwin(CameraTwin):
    """A model of a 4f system's optics and camera.

    Attributes:
        optics: The fitted system, with the gains of the design.
        offsets: Offset of each mask's captures, (K, 2).
        noise: Variance without light and by light, (K, 2, 2).
        nearest: Whose value each pixel of a capture has, (K, 2, H' W') int64; None: its own.
    """

    optics: FabricatedFourF
    offsets: Tensor
    noise: Tensor
    nearest: Tensor | None = None

    def pictures(self, scene: Tensor) -> Tensor:
        """The captures without noise: (B, C, H, W) to (B, K, 2, H', W')."""
        (seen,) = self.optics.capture(scene)
        return self.fill(seen + self.offsets[..., None, None])


class _Model(nn.Module):
    """What is fitted: masks in several modes, the curve of the scene's light, offsets."""

    def __init__(self, design: FourFFrontend) -> None:
        super().__init__()
        start = design.transmissions().detach()
        generator = generator_of("modes of a coherent twin", 0)
        faint = torch.randn(MODES - 1, *start.shape, 2, generator=generator) * FAINT / math.sqrt(2)
        masks = torch.cat([torch.view_as_real(start)[None], faint.to(start.real)])
        self.masks = nn.Parameter(masks)
        self.edge = nn.Parameter(torch.zeros(start.shape[2], dtype=torch.float64))
        self.offsets = nn.Parameter(torch.zeros(start.shape[:2]))
        # Radians a pixel squared, of a radian at the edge of the scene.
        self.curvature = (max(design.shape) / 2) ** -2

    def build(self, design: FourFFrontend) -> CoherentOptics:
        """The optics of these masks; gradients reach them."""
        return design.model(torch.view_as_complex(self.masks), self.edge * self.curvature)

    def see(self, scene: Tensor, design: FourFFrontend) -> Tensor:
        """Captures times the gains of the design, without offsets, (B, K, 2, H', W')."""
        optics, step = self.build(design), design.stride
        amplitude = read_amplitude(scene, optics.transfers.shape[3], design.shape)
        seen = take_pictures(amplitude, optics.transfers, optics.curve)[..., ::step, ::step]
        return design.gain.detach()[:, None, None, None] * seen


def fit_coherent_twin(captured: CapturePair, design: FourFFrontend) -> DigitalTwin:
    """Fit a twin of a 4f system to captures, by gradient descent and without a label.

    Args:
        captured: Captures of training images behind the chip, of one branch.
        design: The system as designed, where the fit starts.
    """
    few = captured.take(torch.arange(min(ENOUGH, len(captured))))
    (pictures,), (covered,) = few.branches, few.covered()
    model = _Model(design)
    with torch.enable_grad():
        _descend(model, few.shown, pictures, covered, design)
    with torch.no_grad():
        optics = model.build(design)
        optics = FabricatedFourF(optics, design.gain, design.shape, design.stride)
        offsets = (model.offsets * _contrast(pictures, covered)).detach()
        noise = _fit_noise(optics, offsets, few.shown, pictures, covered)
    return DigitalTwin((CoherentTwin(optics, offsets, noise, find_nearest(covered)),))


def _descend(
    model: _Model, shown: ImageSet, pictures: Tensor, covered: Tensor, design: FourFFrontend
) -> None:
    """Adam with a one-cosine decay; every mask's squared error counts by its own contrast."""
    contrast = _contrast(pictures, covered)[..., None, None]
    rates = {"masks": MASK_RATE, "edge": EDGE_RATE, "offsets": OFFSET_RATE}
    groups = [{"params": [getattr(model, name)], "lr": rate} for name, rate in rates.items()]
    optimiser = torch.optim.Adam(groups)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, STEPS)
    generator = generator_of("batches of a coherent twin", 0)
    for _ in range(STEPS):
        some = torch.randint(len(shown), (BATCH,), generator=generator)
        seen = model.see(to_scene(shown.images[some]), design)
        away = (seen - pictures[some]) / contrast + model.offsets[..., None, None]
        loss = (away.square() * covered).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()


def _contrast(pictures: Tensor, covered: Tensor) -> Tensor:
    """Standard deviation of each mask's captures over what was measured, (K, 2)."""
    used = covered.to(pictures.dtype)
    count = (used.sum((-2, -1)) * len(pictures)).clamp_min(1)
    mean = (pictures * used).sum((0, -2, -1)) / count
    square = (pictures.square() * used).sum((0, -2, -1)) / count
    tiny = torch.finfo(pictures.dtype).tiny
    return (square - mean.square()).clamp_min(tiny).sqrt()


def _fit_noise(
    optics: FabricatedFourF, offsets: Tensor, shown: ImageSet, pictures: Tensor, covered: Tensor
) -> Tensor:
    """Squared residual against the light, a line for each mask, (K, 2, 2)."""
    sums = torch.zeros(5, offsets.numel(), dtype=torch.float64)
    used = covered.flatten(0, 1).flatten(1).double()
    for some, taken in zip(shown.images.split(100), pictures.split(100), strict=True):
        light = optics.capture(to_scene(some))[0] + offsets[..., None, None]
        light, taken = (one.double().flatten(1, 2).flatten(2) for one in (light, taken))
        squared, light = (taken - light).square() * used, light.clamp_min(0) * used
        terms = used.expand_as(light), light, light.square(), squared, squared * light
        sums += torch.stack([term.sum((0, 2)) for term in terms])
    return solve_noise(sums).view(*offsets.shape, 2)
