"""Calibration in closed form: what measurement tells of a chip, put where it costs nothing.

What merges exactly into a deployed network, operation for operation:

* a gain of each sub-optic: into the electronic subtraction, which weighs the two
  pictures already (the design restores a gain there);
* an offset of each kernel: into the offset that follows the subtraction
  (:mod:`hybridonn.compensation.fold_into_backend`);
* any linear correction of what a dense or convolutional layer sees: into its weights.

A mixing of kernels before the ReLU, such as undoing cross-talk, does not: it would be one
more matrix. The last form takes most of it all the same: each layer's weights are set anew,
so that from what the layer sees on the chip it gives what it gave in the simulation.
No label is used.
"""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hybridonn.compensation.capture_pair import AT_A_TIME, CapturePair
from hybridonn.compensation.fold_into_backend import fold_offsets
from hybridonn.data.batches import to_scene
from hybridonn.data.dataset import ImageSet
from hybridonn.networks.hybrid import HybridNetwork
from hybridonn.spec import Compensation

Layer = nn.Linear | nn.Conv2d
ROOM = 2**22  # pixels of all kernels that are held in float64 at once


@dataclass(frozen=True)
class Calibration:
    """What the closed form found.

    Attributes:
        gains: Of the positive and the negative picture of each kernel, (K, 2).
        offsets: Of each kernel after the subtraction, (K,).
        backend: The backend with everything merged: the same layers, the same shapes.
    """

    gains: Tensor
    offsets: Tensor
    backend: nn.Module


@torch.no_grad()
def calibrate(
    backend: nn.Module, captured: CapturePair, simulated: Tensor, form: str, ridge: float
) -> Calibration:
    """Fit the measured features to the simulated ones and merge the fit into the backend.

    Args:
        backend: As it was trained with the simulated optics; it is left as it is.
        captured: Pictures behind the chip.
        simulated: What the design gives for the same images, (N, K, H', W').
        form: ``none``; ``gains``: of sub-optics and offsets; ``layers``: then also each layer.
        ridge: Of the layers, see :func:`fit_layer`.
    """
    kernels = simulated.shape[1]
    if form == "none":
        return Calibration(torch.ones(kernels, 2), torch.zeros(kernels), deepcopy(backend))
    gains, offsets = fit_gains(captured, simulated)
    calibrated = deepcopy(backend).eval()
    fold_offsets(calibrated, offsets)
    if form == "layers":
        seen, target = captured.subtract(gains), deepcopy(backend).eval()
        fit_layers(calibrated, target, seen, simulated, ridge, captured.covered().all(1))
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
def _simulate(student: HybridNetwork, shown: ImageSet) -> Tensor:
    return torch.cat([student.frontend(to_scene(some))[0] for some in shown.images.split(500)])


def fit_gains(captured: CapturePair, simulated: Tensor) -> tuple[Tensor, Tensor]:
    """Least squares of each kernel: ``simulated ~ g+ positive - g- negative + offset``.

    All sums are in float64, over the pixels that were measured behind both sub-optics.

    Args:
        captured: Pictures behind the chip.
        simulated: (N, K, H', W').

    Returns:
        Gains (K, 2), at least 0, and offsets (K,).
    """
    kernels, height, width = simulated.shape[1:]
    used = captured.covered().all(1).double()[..., None]  # (K, H', W', 1)
    gram = torch.zeros(kernels, 3, 3, dtype=torch.float64)
    moment = torch.zeros(kernels, 3, 1, dtype=torch.float64)
    at_a_time = max(1, ROOM // (kernels * height * width))
    for positive, negative, wanted in zip(
        *(one.split(at_a_time) for one in (captured.positive, captured.negative, simulated)),
        strict=True,
    ):
        columns = torch.stack([positive, -negative, torch.ones_like(positive)], -1).double()
        A = (columns * used).transpose(0, 1).flatten(1, 3)  # (K, N H' W', 3)
        y = wanted.double().transpose(0, 1).flatten(1)[..., None]
        gram += A.mT @ A
        moment += A.mT @ y
    # A picture that stays dark has no gain: the tiny ridge leaves it at zero.
    tiny = 1e-12 * gram.diagonal(dim1=1, dim2=2).mean(1)[:, None, None]
    tiny = tiny.clamp_min(1e-30)  # of a kernel without a common pixel nothing is known
    fit = torch.linalg.solve(gram + tiny * torch.eye(3).to(gram), moment)[..., 0].float()
    return fit[:, :2].clamp_min(0), fit[:, 2]


def fit_layers(
    backend: nn.Module,
    design: nn.Module,
    measured: Tensor,
    simulated: Tensor,
    ridge: float,
    covered: Tensor | None = None,
) -> None:
    """Set every dense and convolutional layer anew, from the first to the last, in place.

    Outputs of a convolution that depend on pixels that were not measured are left out where most
    others do not; a dense layer sees all pixels of a picture or none.

    Args:
        backend: What sees the measured features.
        design: The backend that saw the simulated ones: the target.
        measured: (N, K, H', W').
        simulated: (N, K, H', W').
        ridge: See :func:`fit_layer`.
        covered: Pixels of the features that were measured, (K, H', W') bool; None: all.
    """
    spoilt = measured[:1].clone()
    if covered is not None:
        spoilt[:, ~covered] = torch.nan  # whatever it reaches becomes NaN, too
    for name in _order_of_call(backend, measured[:1]):
        layer, target = backend.get_submodule(name), design.get_submodule(name)
        reached = _rows(layer, _see(backend, layer, spoilt)[0]).isnan().any(1)  # pyright: ignore
        used = None if float(reached.float().mean()) > 0.5 else ~reached
        pairs = (
            (_see(backend, layer, here)[0], _see(design, target, there)[1])
            for here, there in zip(
                measured.split(AT_A_TIME), simulated.split(AT_A_TIME), strict=True
            )
        )
        fit_layer(layer, pairs, ridge, used)  # pyright: ignore[reportArgumentType]


def fit_layer(
    layer: Layer,
    pairs: Iterable[tuple[Tensor, Tensor]],
    ridge: float,
    used: Tensor | None = None,
) -> None:
    """Ridge regression from what a layer sees to what it should give, near to what it is.

    Minimises ``|X W - Y|^2 + l |W - W0|^2`` (Hoerl and Kennard 1970, with the design W0 in
    place of zero): ``W = W0 + (X'X + l I)^-1 X'(Y - X W0)``, l = ridge times the mean of the
    diagonal of X'X, in float64. A bias is one more row of W, whose input is one.

    Args:
        layer: Dense or convolutional; set in place.
        pairs: Its inputs and its wanted outputs, batch by batch.
        ridge: Relative to the mean squared input.
        used: Outputs of an image that count, (P,) bool; None: all.
    """
    weight = layer.weight.flatten(1).double()
    if layer.bias is not None:
        weight = torch.cat([weight, layer.bias[:, None].double()], 1)
    gram = weight.new_zeros(weight.shape[1], weight.shape[1])
    moment = weight.new_zeros(weight.shape[1], weight.shape[0])
    for seen, wanted in pairs:
        rows = _rows(layer, seen).double()
        targets = wanted.movedim(1, -1).reshape(len(rows), -1)
        if used is not None:
            some = used.repeat(len(rows) // len(used))
            rows, targets = rows[some], targets[some]
        gram += rows.T @ rows
        moment += rows.T @ (targets - rows @ weight.T)
    level = ridge * gram.diagonal().mean()
    weight = weight + torch.linalg.solve(gram + level * torch.eye(len(gram)).to(gram), moment).T
    if layer.bias is not None:
        layer.bias.copy_(weight[:, -1])
        weight = weight[:, :-1]
    layer.weight.copy_(weight.view_as(layer.weight))


def _order_of_call(backend: nn.Module, features: Tensor) -> list[str]:
    """The names of the layers that can be fitted, in the order in which they are called."""
    called: list[str] = []
    hooks = [
        layer.register_forward_hook(lambda *_, name=name: called.append(name))
        for name, layer in backend.named_modules()
        if isinstance(layer, nn.Linear) or (isinstance(layer, nn.Conv2d) and layer.groups == 1)
    ]
    backend((features,))
    for hook in hooks:
        hook.remove()
    return called


def _see(backend: nn.Module, layer: nn.Module, features: Tensor) -> tuple[Tensor, Tensor]:
    """What a layer of a backend takes and gives for these features."""
    seen: list[tuple[Tensor, Tensor]] = []

    def watch(_: nn.Module, taken: tuple[Tensor, ...], given: Tensor) -> None:
        seen.append((taken[0], given))

    hook = layer.register_forward_hook(watch)
    backend((features,))
    hook.remove()
    return seen[0]


def _rows(layer: Layer, seen: Tensor) -> Tensor:
    """What each output of a layer is a product of, a row an output: (M, D), ones for the bias."""
    if isinstance(layer, nn.Conv2d):
        patches = F.unfold(
            seen,
            layer.kernel_size,  # pyright: ignore[reportArgumentType]
            layer.dilation,  # pyright: ignore[reportArgumentType]
            layer.padding,  # pyright: ignore[reportArgumentType]
            layer.stride,  # pyright: ignore[reportArgumentType]
        )
        seen = patches.transpose(1, 2)
    rows = seen.reshape(-1, seen.shape[-1])
    return rows if layer.bias is None else F.pad(rows, (0, 1), value=1.0)
