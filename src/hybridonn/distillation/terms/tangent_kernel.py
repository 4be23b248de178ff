"""Neural tangent knowledge distillation: the student's tangent kernel against the teacher's."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from hybridonn.data.indexed import Inputs, cut_inputs, take_labels
from hybridonn.distillation.discrepancies import DISCREPANCIES
from hybridonn.distillation.methods import AUTO
from hybridonn.distillation.pixel_kernel import compute_pixel_kernel, inference_mode
from hybridonn.distillation.step import Step
from hybridonn.tangent import centred_alignment, record
from hybridonn.tasks.pixels import SampledPixels


def match_kernels(step: Step) -> Tensor:
    """The discrepancy of the two tangent kernels on the batch, a scalar; it sets ``step.logits``.

    One forward pass gives the logits of the training step and, where nothing couples the images
    of a batch, the kernel too.
    """
    tangent, batch, network = step.settings.tangent, step.batch, step.network
    compared = tangent.count_compared(len(batch))
    whole = compared == len(batch)
    # Batch norm lies before the last layer: each sample still has a gradient of its own there,
    # and the forward pass of training serves for both, if it is that of the whole batch and the
    # layer's output is the network's.
    normed = _is_trained(network, _BatchNorm)
    serves = tangent.layers == "last" and whole
    inputs = cut_inputs(batch.inputs, 0, compared)  # in random order
    pixels = _sample_pixels(step, inputs)
    student = None
    if _is_trained(network, _DropoutNd) or (normed and not serves):
        logits = network(batch.inputs)  # first: it moves batch norm's running statistics
    else:
        logits, student = _run_recorded(step, inputs, pixels, must_end=normed)
        if not whole:
            logits = torch.cat([logits, network(cut_inputs(batch.inputs, compared, len(batch)))])
    if student is None:
        with inference_mode(network):
            _, student = _run_recorded(step, inputs, pixels)
    assert student is not None  # only a layer that must end the network may give none
    step.logits = logits
    teacher = step.teacher_kernel(batch.indices[:compared], inputs, pixels)
    with torch.autocast(batch.device.type, enabled=False):
        # Without a weight of the task nothing is learnt of labels, as where a chip has none.
        labelled = step.settings.task_weight > 0  # type: ignore[attr-defined]
        if labelled and step.settings.ntk_weight == AUTO:  # type: ignore[attr-defined]
            step.agreement = _find_agreement(step, teacher, compared, pixels)
        discrepancy = DISCREPANCIES[tangent.compared_by]
        return discrepancy.compute(student, teacher, tangent.ridge)


def _find_agreement(
    step: Step, teacher: Tensor, compared: int, pixels: SampledPixels | None
) -> float:
    """The centred alignment of the teacher's kernel with the labels of its samples.

    For images mixed two by two it is the kernel of soft labels, which is bilinear in them.
    """
    batch, mixture = step.batch, step.batch.mixture
    labels = [batch.labels[:compared]]
    if mixture is not None:
        labels.append(take_labels(batch.labels, mixture.partners)[:compared])
    if pixels is not None:
        shown = [step.task.label_pixels(one, pixels) for one in labels]
        labels = [one.flatten() for one in shown if one is not None]
    kernel = step.task.label_kernel(torch.cat(labels)).to(teacher)
    if mixture is not None:
        shares = teacher.new_tensor([mixture.share, 1 - mixture.share])
        blocks = kernel.view(2, len(teacher), 2, len(teacher))
        kernel = torch.einsum("a,aibj,b->ij", shares, blocks, shares)
    return float(centred_alignment(teacher, kernel))


def _sample_pixels(step: Step, inputs: Inputs) -> SampledPixels | None:
    """Pixels of the compared images that are the samples of both kernels; None: images are.

    Raises:
        TypeError: The inputs are stored features, of which pixels of images are not known.
        ValueError: The task has no answer at a pixel.
    """
    tangent = step.settings.tangent
    if tangent.contraction != "pixels":
        return None
    if isinstance(inputs, tuple):
        raise TypeError("the kernel of pixels is of networks that see images, not stored features")
    size = inputs.shape[-2], inputs.shape[-1]
    found = step.task.sample_pixels(step.batch.labels[: len(inputs)], tangent.pixels, size)
    if found is None:
        raise ValueError("distillation.tangent.contraction is pixels, but an image has one answer")
    return found


def _is_trained(network: nn.Module, kind: type[nn.Module]) -> bool:
    """Whether a module of this kind is in training mode."""
    return any(m.training and isinstance(m, kind) for m in network.modules())


def _run_recorded(
    step: Step, inputs: Inputs, pixels: SampledPixels | None, must_end: bool = False
) -> tuple[Tensor, Tensor | None]:
    """The outputs of a forward pass, and the tangent kernel of the chosen layers.

    Where the layer must end the network and does not, there is no kernel of images; that of pixels
    is then one of inference by itself.
    """
    tangent = step.settings.tangent
    with record(step.network, tangent.layers) as trace:
        outputs = step.network(inputs)
    # A kernel of half precision has no digits left once it is centred.
    with torch.autocast(outputs.device.type, enabled=False):
        if pixels is not None:
            run = step.network, inputs, outputs
            return outputs, compute_pixel_kernel(trace, *run, pixels, tangent.layers)
        if must_end:
            return outputs, trace.kernel_of_end(outputs)
        signs = step.task.contraction(tangent.probes)
        return outputs, trace.kernel(outputs, probes=signs)
