"""A twin of a chip: what its captures say of it, so that it can be shown images in simulation.

A few hundred captures hold a hundred thousand pixels; the optics of a sub-optic that shifts,
turns, blurs, leaks and darkens are still one convolution, a few hundred numbers. So they are
known well long before a network has seen enough images, and the training images that were
never captured can be shown to the twin in place of the chip. What the model says: the capture
behind sub-optic (k, s) is

    sum_c scene_c conv psf_ksc + offset_ks + sqrt(a_ks + b_ks capture) noise

with the read noise in a and the shot noise in b (EMVA Standard 1288, release 4.0, eq. 1 to 3);
what varies over the capture, such as distortion, it cannot say.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from hybridonn.compensation.camera_twin import CameraTwin, solve_noise
from hybridonn.compensation.capture_pair import CapturePair, count_at_a_time, find_nearest
from hybridonn.core.random import generator_of
from hybridonn.data.batches import to_scene
from hybridonn.data.dataset import ImageSet
from hybridonn.networks.frontends.convolution import BranchConvolution
from hybridonn.networks.frontends.frontend import split_signs

REACH = 4  # pixels that shift, blur and rotation may carry light beyond the designed kernel
ENOUGH = 1000  # captures that are fitted: more change the numbers by less than their noise
ROOM = 2**24  # float64 numbers in the patches that are held at once
RIDGE = 1e-5  # relative to the mean squared pixel; pulls towards the design


@dataclass(frozen=True)
class BranchTwin(CameraTwin):
    """A model of the optics and the camera of one branch.

    Attributes:
        kernels: What each sub-optic convolves with, as torch correlates, (K, 2, C, P, P).
        offsets: Of each sub-optic's captures, (K, 2).
        noise: Variance without light and by light, (K, 2, 2).
        stride: Pixels of the scene a pixel of a capture.
        padding: Dark pixels around the scene.
        nearest: Whose value each pixel of a capture has, (K, 2, H' W') int64: of the true
            captures, too, those outside of the frame hold their neighbour's. None: its own.
    """

    kernels: Tensor
    offsets: Tensor
    noise: Tensor
    stride: int
    padding: int
    nearest: Tensor | None = None

    def pictures(self, scene: Tensor) -> Tensor:
        """The captures without noise: (B, C, H, W) to (B, K, 2, H', W')."""
        weight, offsets = self.kernels.flatten(0, 1), self.offsets.flatten()
        seen = F.conv2d(scene, weight, offsets, self.stride, padding=self.padding)
        return self.fill(seen.unflatten(1, (-1, 2)))


@dataclass(frozen=True)
class DigitalTwin:
    """A model of one chip, branch by branch."""

    branches: tuple[CameraTwin, ...]

    @torch.no_grad()
    def capture(self, shown: ImageSet, gains: Tensor, seed: int, out: tuple[Tensor, ...]) -> None:
        """Write the signed features of images with the camera's noise.

        Args:
            shown: What is displayed.
            gains: Gains of both sub-optics of each kernel, (K, 2).
            seed: Seed of the noise.
            out: Where the features of each branch go, (N, K_b, H_b, W_b).
        """
        generator = generator_of("noise of a twin's camera", seed)
        own = gains.split([len(branch.offsets) for branch in self.branches])
        at_a_time = count_at_a_time(len(gains), shown)
        for start in range(0, len(shown), at_a_time):
            part = slice(start, start + at_a_time)
            scene = to_scene(shown.images[part])
            for branch, some, features in zip(self.branches, own, out, strict=True):
                branch.expose(scene, some, generator, features[part])


def fit_digital_twin(captured: CapturePair, designed: tuple[BranchConvolution, ...]) -> DigitalTwin:
    """Fit a twin to captures, branch by branch.

    Args:
        captured: Captures of training images behind the chip.
        designed: What each branch was designed to convolve with.
    """
    few = captured.take(torch.arange(min(ENOUGH, len(captured))))
    branches = zip(few.branches, few.covered(), designed, strict=True)
    return DigitalTwin(tuple(fit_branch(few.shown, *branch) for branch in branches))


@torch.no_grad()
def fit_branch(
    shown: ImageSet, pictures: Tensor, covered: Tensor, design: BranchConvolution
) -> BranchTwin:
    """Fit the twin of one branch: least squares, without a label.

    The kernels and offsets minimise ``|picture - model|^2 + l |kernels - design|^2`` over all
    pixels, in float64; then the variance of what is left, against the light, is a line.

    Args:
        shown: The images.
        pictures: What the camera saw of them, (N, K, 2, H', W').
        covered: Pixels that were measured, (K, 2, H', W') bool.
        design: What the branch was designed to convolve with.
    """
    kernels, colours, size, _ = design.weight.shape
    reach = BranchConvolution(design.weight, design.stride, design.padding + REACH)
    side = size + 2 * REACH
    start = F.pad(torch.stack(split_signs(design.weight), 1), 4 * (REACH,))
    start = F.pad(start.flatten(0, 1).flatten(1), (0, 1)).T.double()
    # (C P P + 1, 2 K): the last row is the offsets.
    seen = _Seen(shown, pictures.flatten(1, 2), covered.flatten(0, 1).flatten(1), reach, side)
    fit = _fit_kernels(seen, start)
    noise = _fit_noise(seen, fit)
    shape, fit = (kernels, 2, colours, side, side), fit.float()
    return BranchTwin(
        fit[:-1].T.reshape(shape),
        fit[-1].view(-1, 2),
        noise.view(-1, 2, 2),
        reach.stride,
        reach.padding,
        find_nearest(covered),
    )


@dataclass(frozen=True)
class _Seen:
    """What a branch saw.

    Attributes:
        shown: The images.
        captures: (N, 2 K, H', W').
        covered: Pixels that were measured behind each sub-optic, (2 K, H' W') bool.
        optics: Stride and padding of the model.
        side: Side of its kernels.
    """

    shown: ImageSet
    pictures: Tensor
    covered: Tensor
    optics: BranchConvolution
    side: int

    def rows(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Patches (B, H' W', C P P + 1), a one at the end, and pixels (B, H' W', 2 K), float64."""
        each = self.side**2 * self.shown.images.shape[1] * self.pictures[0, 0].numel()
        at_a_time = max(1, ROOM // each)
        images, stride = self.shown.images.split(at_a_time), self.optics.stride
        for some, pictures in zip(images, self.pictures.split(at_a_time), strict=True):
            scene = to_scene(some).double()
            patches = F.unfold(scene, self.side, padding=self.optics.padding, stride=stride)
            rows = F.pad(patches.transpose(1, 2), (0, 1), value=1.0)
            yield rows, pictures.double().flatten(2).transpose(1, 2)


def _fit_kernels(seen: _Seen, start: Tensor) -> Tensor:
    """Kernels and offsets of least squares, (C P P + 1, 2 K) float64, near to where they start."""
    covered = seen.covered
    masks, kind = torch.unique(covered, dim=0, return_inverse=True)
    gram = start.new_zeros(len(masks), len(start), len(start))
    moment = torch.zeros_like(start)
    for patches, pictures in seen.rows():
        rows = patches.flatten(0, 1)
        gram += rows.T @ rows
        moment += rows.T @ (pictures * covered.T).flatten(0, 1)
        for own, mask in zip(gram, masks, strict=True):
            left_out = patches[:, ~mask].flatten(0, 1)
            own -= left_out.T @ left_out
    fit = torch.empty_like(start)
    for number, own in enumerate(gram):
        some = kind == number
        level = RIDGE * own.diagonal().mean() * torch.eye(len(own)).to(own)
        away = torch.linalg.solve(own + level, moment[:, some] - own @ start[:, some])
        fit[:, some] = start[:, some] + away
    return fit


def _fit_noise(seen: _Seen, fit: Tensor) -> Tensor:
    """Squared residual against the light, a line for each sub-optic, (2 K, 2), not negative."""
    used = seen.covered.T.double()
    sums = torch.zeros(5, fit.shape[1], dtype=torch.float64)
    for patches, pictures in seen.rows():
        light = patches @ fit
        squared, light = (pictures - light).square() * used, light.clamp_min(0) * used
        terms = used.expand_as(light), light, light.square(), squared, squared * light
        sums += torch.stack([term.sum((0, 1)) for term in terms])
    return solve_noise(sums)
