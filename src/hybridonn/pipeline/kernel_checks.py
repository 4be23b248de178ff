"""Tangent kernels that could not be matched are refused before any training."""

from __future__ import annotations

from copy import deepcopy
from warnings import catch_warnings, simplefilter

import torch
from torch import nn

from hybridonn.core.errors import SpecError
from hybridonn.core.random import generator_of
from hybridonn.distillation.methods import needs_kernel
from hybridonn.distillation.pixel_kernel import inference_mode
from hybridonn.networks.hybrid import HybridNetwork
from hybridonn.spec import Spec
from hybridonn.spec.training import Tangent
from hybridonn.tangent import TangentError, TangentWarning, record

CONSTANT = 1e-6  # part of a kernel by which rounding alone tells its images apart


def refuse_kernels(
    spec: Spec, teacher: nn.Module, student: HybridNetwork, image_shape: tuple[int, int, int]
) -> None:
    """Refuse layers of teacher or student that are not there, or whose kernel tells nothing.

    They are those of the distillation and, where the spec states one, of the compensation, in
    which the frontend does not learn.

    The kernel of a bias alone is the same for all pairs of images: centred it vanishes, and NTKD
    would be KD without a word.

    Args:
        spec: What the user states.
        teacher: The teacher, before or after its training.
        student: The student, before its training.
        image_shape: (C, H, W) of a scene.

    Raises:
        SpecError: Such layers are stated for a method that matches kernels.
    """
    if needs_kernel(spec.distillation.method):
        matched = [("teacher_layers", teacher), ("layers", student)]
        _refuse_matched("", spec.distillation.tangent, matched, image_shape)
    settings = spec.compensation
    if settings is not None and any(map(needs_kernel, settings.trained)):
        backend = HybridNetwork(deepcopy(student.frontend).requires_grad_(False), student.backend)
        learning: list[tuple[str, nn.Module]] = [("layers", backend)]
        if settings.tangent_teacher != "student":
            learning.append(("teacher_layers", teacher))
        _refuse_matched("compensation.", settings.distillation.tangent, learning, image_shape)


def _refuse_matched(
    where: str,
    tangent: Tangent,
    matched: list[tuple[str, nn.Module]],
    image_shape: tuple[int, int, int],
) -> None:
    """Refuse layers that a section of the spec states for networks, by the key that names them.

    Raises:
        SpecError: Such layers are stated.
    """
    for key, network in matched:
        layers = getattr(tangent, key)
        if layers != "all":
            stated = f"{where}distillation.tangent.{key} is {_show(layers)}"
            _refuse_layers(network, layers, image_shape, stated)


def _refuse_layers(
    network: nn.Module, layers: str | tuple[str, ...], image_shape: tuple[int, int, int], said: str
) -> None:
    """Refuse layers of a network; ``said`` begins the sentence.

    Raises:
        SpecError: They are not there, or their kernel is the same for all pairs of images.
    """
    drawn = generator_of("images of the kernel check")
    noise = torch.rand((2, *image_shape), generator=drawn)
    # Far apart: averaged over many pixels, images of noise alone are alike.
    scene = torch.stack(
        [torch.zeros(image_shape), torch.ones(image_shape), noise[0], noise[1] ** 8]
    )
    try:
        with (
            catch_warnings(),  # the training says what is slow
            torch.enable_grad(),
            inference_mode(network),
            record(network, layers) as trace,
        ):
            simplefilter("ignore", TangentWarning)
            outputs = network(scene)
            found = trace.parameters
            kernel = trace.kernel(outputs, probes=1, generator=drawn).detach().double()
            weighted = outputs * torch.randn(outputs.shape, generator=drawn)
            gradients = torch.autograd.grad(weighted.sum(), [*found.values()], allow_unused=True)
    except TangentError as error:
        raise SpecError(f"{said}: {error}") from None
    centred = kernel - kernel.mean(0) - kernel.mean(1, keepdim=True) + kernel.mean()
    constant = kernel.norm() > 0 and centred.norm() <= CONSTANT * kernel.norm()
    # A layer that is given zeros, as behind units that are all off, may be given more once trained.
    off = any(one is not None and not one.any() for one in gradients)
    if constant and not off:
        raise SpecError(
            f"{said}, and of its trainable parameters ({', '.join(found)}) none is multiplied with "
            "what the image gives: the tangent kernel is the same for all pairs of images, and "
            "there is nothing to match; name other layers, or state all"
        )


def _show(layers: str | tuple[str, ...]) -> str:
    return layers if isinstance(layers, str) else f"[{', '.join(layers)}]"
