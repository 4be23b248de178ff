"""Calibration in closed form: what measurement tells of a chip, put where it costs nothing.

What merges exactly into a deployed network, operation for operation:

* a gain of each sub-optic: into the electronic subtraction, which weighs the two
  captures already (the design restores a gain there);
* an offset of each kernel: into the offset that follows the subtraction
  (:mod:`hybridonn.compensation.fold_into_backend`);
* any linear correction of what a dense or convolutional layer sees: into its weights.

A mixing of kernels before the ReLU, such as undoing cross-talk, does not: it would be one
more matrix. The last form takes most of it all the same: each layer's weights are set anew,
so that from what the layer sees on the chip it gives what it gave in the simulation.
No label is used.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hybridonn.compensation.capture_pair import CapturePair
from hybridonn.compensation.fold_into_backend import fold_offsets
from hybridonn.compensation.layer_fit import fit_layers
from hybridonn.data.batches import to_scene
from hybridonn.data.dataset import ImageSet
from hybridonn.networks.hybrid import HybridNetwork
from hybridonn.spec import Compensation

ROOM = 2**22  # pixels of all kernels that are held in float64 at once


@dataclass(frozen=True)
class Calibration:
    """What the closed form found.

    Attributes:
        gains: Of the positive and the negative capture of each kernel, (K, 2).
        offsets: Of each kernel after the subtraction, (K,).
        backend: The backend with everything merged: the same layers, the same shapes.
    """

    gains: Tensor
    offsets: Tensor
    backend: nn.Module


@torch.no_grad()
def calibrate(
    backend: nn.Module,
    captured: CapturePair,
    simulated: tuple[Tensor, ...],
    form: str,
    ridge: float,
) -> Calibration:
    """Fit the measured features to the simulated ones and merge the fit into the backend.

    Args:
        backend: As it was trained with the simulated optics; it is left as it is.
        captured: Captures behind the chip.
        simulated: What the design gives for the same images, (N, K_b, H_b, W_b) a branch.
        form: ``none``; ``gains``: of sub-optics and offsets; ``layers``: then also each layer.
        ridge: Of the layers, see :func:`~hybridonn.compensation.layer_fit.fit_layer`.
    """
    if form == "none":
        kernels = sum(captured.counts)
        return Calibration(torch.ones(kernels, 2), torch.zeros(kernels), deepcopy(backend))
    gains, offsets = fit_gains(captured, simulated)
    calibrated = deepcopy(backend).eval()
    fold_offsets(calibrated, offsets, tuple(one[:1] for one in simulated))
    if form == "layers":
        seen, target = captured.subtract(gains), deepcopy(backend).eval()
        covered = tuple(one.all(1) for one in captured.covered())
        fit_layers(calibrated, target, seen, simulated, ridge, covered)
    return Calibration(gains, offsets, calibrated)


def recalibrate(settings: Compensation, student: HybridNetwork, data: CapturePair) -> Calibration:
    """Set the student's backend anew, in closed form, from captures beside their simulation.

    Args:
        settings: The form of the calibration and its ridge.
        student: With the optics as designed.
        data: Captures of training images.
    """
    simulated = _simulate(student, data.shown)
    return calibrate(student.backend, data, simulated, settings.calibration, settings.ridge)


@torch.no_grad()
def _simulate(student: HybridNetwork, shown: ImageSet) -> tuple[Tensor, ...]:
    """What the design gives for images, (N, K_b, H_b, W_b) a branch."""
    parts = [student.frontend(to_scene(some)) for some in shown.images.split(500)]
    return tuple(torch.cat(branch) for branch in zip(*parts, strict=True))


def fit_gains(captured: CapturePair, simulated: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
    """Least squares of each kernel: ``simulated ~ g+ positive - g- negative + offset``.

    All sums are in float64, over the pixels that were measured behind both sub-optics.

    Args:
        captured: Captures behind the chip.
        simulated: What the design gives for the same images, (N, K_b, H_b, W_b) a branch.

    Returns:
        Gains (K, 2), at least 0, and offsets (K,).
    """
    parts = zip(captured.branches, captured.covered(), simulated, strict=True)
    gains, offsets = zip(*(_fit_branch(*part) for part in parts), strict=True)
    return torch.cat(gains), torch.cat(offsets)


def _fit_branch(pictures: Tensor, covered: Tensor, simulated: Tensor) -> tuple[Tensor, Tensor]:
    """Gains (K, 2) and offsets (K,) of one branch."""
    kernels, height, width = simulated.shape[1:]
    used = covered.all(1).double()[..., None]  # (K, H', W', 1)
    gram = torch.zeros(kernels, 3, 3, dtype=torch.float64)
    moment = torch.zeros(kernels, 3, 1, dtype=torch.float64)
    at_a_time = max(1, ROOM // (kernels * height * width))
    for seen, wanted in zip(pictures.split(at_a_time), simulated.split(at_a_time), strict=True):
        positive, negative = seen.unbind(2)
        columns = torch.stack([positive, -negative, torch.ones_like(positive)], -1).double()
        A = (columns * used).transpose(0, 1).flatten(1, 3)  # (K, N H' W', 3)
        y = wanted.double().transpose(0, 1).flatten(1)[..., None]
        gram += A.mT @ A
        moment += A.mT @ y
    # A capture that stays dark has no gain: the tiny ridge leaves it at zero.
    tiny = 1e-12 * gram.diagonal(dim1=1, dim2=2).mean(1)[:, None, None]
    tiny = tiny.clamp_min(1e-30)  # of a kernel without a common pixel nothing is known
    fit = torch.linalg.solve(gram + tiny * torch.eye(3).to(gram), moment)[..., 0].float()
    return fit[:, :2].clamp_min(0), fit[:, 2]
