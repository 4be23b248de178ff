"""What the student learns from: the teacher's logits and its tangent kernel on a batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from hybridonn.core.random import generator_of
from hybridonn.data.batches import to_scene
from hybridonn.data.indexed import Inputs
from hybridonn.distillation.pixel_kernel import compute_pixel_kernel
from hybridonn.distillation.pixel_memory import PixelMemory
from hybridonn.tangent import ntk, record, tangent_features
from hybridonn.tasks.pixels import SampledPixels

SKETCH_WIDTH = 512  # tangent features of an image: 55 MB for 54,000 in half precision

# What is asked of a teacher and a scene (B, C, H, W): columns of B rows; None: no answer.
Ask = Callable[[nn.Module, Tensor], tuple[Tensor, ...] | None]


class TeacherTargets(Protocol):
    """The teacher's logits and tangent kernel on a batch."""

    def logits(self, indices: Tensor, scene: Inputs) -> Tensor:
        """The teacher's logits, (B, classes) or (B, classes, H, W)."""
        ...

    def kernel(self, indices: Tensor, scene: Inputs, pixels: SampledPixels | None = None) -> Tensor:
        """The teacher's tangent kernel, contracted over the outputs, (B, B).

        With P pixels of each image as its samples, (B P, B P), contracted over the classes.
        """
        ...


@dataclass(frozen=True)
class StoredTargets:
    """Targets on a fixed training set, computed once and reused by every student.

    Attributes:
        table: The teacher's logits on all training images, (N, classes, ...).
        gram: The teacher's tangent kernel on all training images, (N, N), or None.
        features: Or tangent features whose products are or estimate it, (N, width), or None.
        live: The teacher itself, where its kernel is of pixels that are sampled at each step.
    """

    table: Tensor
    gram: Tensor | None = None
    features: Tensor | None = None
    live: LiveTargets | None = None

    def to(self, device: torch.device) -> StoredTargets:
        """The same answers on another device."""
        return StoredTargets(
            self.table.to(device),
            None if self.gram is None else self.gram.to(device),
            None if self.features is None else self.features.to(device),
            self.live,
        )

    def look_up(self, indices: Tensor) -> Tensor:
        """The logits at these indices; stored in half precision, they come back in single."""
        return self.table[indices].float()

    def logits(self, indices: Tensor, scene: Inputs) -> Tensor:
        """Look the logits up."""
        return self.look_up(indices)

    def kernel(self, indices: Tensor, scene: Inputs, pixels: SampledPixels | None = None) -> Tensor:
        """Look the kernel up, or multiply the features; that of pixels is asked of the teacher.

        Raises:
            ValueError: Neither was stored, or there is no teacher to ask.
        """
        if pixels is not None:
            if self.live is None:
                raise ValueError("the tangent kernel of pixels is not stored; a live teacher is")
            return self.live.kernel(indices, scene, pixels)
        if self.gram is not None:
            return self.gram[indices[:, None], indices[None, :]]
        if self.features is None:
            raise ValueError("the teacher's tangent kernel was not stored")
        features = self.features[indices].float()
        return features @ features.T


@dataclass(frozen=True)
class LiveTargets:
    """Targets on augmented images, which no table can hold: computed at each step.

    Attributes:
        teacher: The teacher in inference mode, on the device of the scenes.
        probes: Random sign probes for its tangent kernel; None: all outputs.
        layers: Layers of the teacher whose tangent kernel is matched.
        memory: What it said of pixels before, where images return; None: each is asked anew.
    """

    teacher: nn.Module
    probes: int | None = None
    layers: str | tuple[str, ...] = "all"
    memory: PixelMemory | None = None

    @torch.no_grad()
    def logits(self, indices: Tensor, scene: Inputs) -> Tensor:
        """Ask the teacher."""
        return self.teacher(scene).float()

    def kernel(self, indices: Tensor, scene: Inputs, pixels: SampledPixels | None = None) -> Tensor:
        """Compute its tangent kernel on this batch, or on pixels of it.

        Raises:
            TypeError: The batch holds stored features, which no teacher sees.
        """
        if isinstance(scene, tuple):
            raise TypeError("a live teacher sees images, but the batch holds stored features")
        if pixels is not None:
            known = self.memory and self.memory.kernel(indices, scene, pixels)
            if known is not None:
                return known
            return teacher_pixel_kernel(self.teacher, scene, self.layers, pixels)
        return teacher_kernel(self.teacher, scene, self.layers, self.probes)


def teacher_kernel(
    teacher: nn.Module,
    scene: Tensor,
    layers: str | tuple[str, ...],
    probes: int | None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """The tangent kernel of a teacher's layers on some images, (B, B), detached.

    The last layer alone takes one forward pass and one product where the
    teacher's output is that layer's.
    """
    exact = torch.autocast(scene.device.type, enabled=False)
    if layers == "all":
        with exact:
            return ntk(teacher, scene, probes=probes, generator=generator).detach()
    with torch.enable_grad():
        with record(teacher, layers) as trace:
            logits = teacher(scene)
        with exact:
            return trace.kernel(logits, probes=probes, generator=generator).detach()


def teacher_pixel_kernel(
    teacher: nn.Module, scene: Tensor, layers: str | tuple[str, ...], pixels: SampledPixels
) -> Tensor:
    """The tangent kernel of a teacher's layers on pixels of some images, (B P, B P), detached."""
    with torch.enable_grad():
        with record(teacher, layers) as trace:
            outputs = teacher(scene)
        with torch.autocast(scene.device.type, enabled=False):
            found = compute_pixel_kernel(trace, teacher, scene, outputs, pixels, layers)
    return found.detach()


def ask_of_images(
    teacher: nn.Module,
    parts: Iterable[Tensor],
    ask: Ask,
    batch_size: int,
    advance: Callable[[int], None] = lambda count: None,
    memory_format: torch.memory_format = torch.channels_last,
) -> tuple[Tensor, ...]:
    """What is asked of the teacher about images, a batch at a time, on the teacher's device.

    Args:
        teacher: The teacher, in inference mode.
        parts: Images, (N, C, H, W) uint8 each; their answers follow one another.
        ask: What is asked of the teacher about one batch.
        batch_size: Images at a time.
        advance: Called with the number of images of each batch that is answered.
        memory_format: Layout of the scenes in memory; it decides the last bits of the answers.

    Returns:
        The columns of the answers, a row an image, on the CPU; empty if a batch has no answer.
    """
    device = next(teacher.parameters()).device
    rows = []
    for part in parts:
        for images in part.split(batch_size):
            scene = to_scene(images).to(device, memory_format=memory_format)
            found = ask(teacher, scene)
            if found is None:
                return ()
            rows.append([column.cpu() for column in found])
            advance(len(images))
    # Autocast casts what is joined, and refuses half precision where its own is bfloat16.
    with torch.autocast("cpu", enabled=False):
        return tuple(torch.cat(column) for column in zip(*rows, strict=True))


def ask_sketch(layers: str | tuple[str, ...], probes: int | None) -> Ask:
    """The question for a teacher's tangent features (B, ``SKETCH_WIDTH``), in full precision.

    Args:
        layers: Layers of the teacher whose tangent kernel is asked for.
        probes: Random sign probes; None: all outputs.
    """

    def ask(teacher: nn.Module, scene: Tensor) -> tuple[Tensor]:
        with torch.autocast(scene.device.type, enabled=False):
            return (teacher_features(teacher, scene, SKETCH_WIDTH, layers, probes),)

    return ask


class Contracted(nn.Module):
    """A network whose outputs are summed with fixed random signs: (B, signs) in place of all.

    ``E[sum_k r_k r_k^T] = 1`` makes the tangent kernel of the sums an unbiased
    estimate of the kernel contracted over all outputs; the signs are the same
    in every batch, so that features of one batch fit those of another.

    Args:
        network: From scenes to (B, ...).
        signs: Number of combinations.
    """

    def __init__(self, network: nn.Module, signs: int) -> None:
        super().__init__()
        self.network = network
        self.signs = signs

    def forward(self, scene: Tensor) -> Tensor:
        """Sum: (B, C, H, W) to (B, signs)."""
        outputs = self.network(scene).flatten(1)
        shape = outputs.shape[1], self.signs
        bits = torch.randint(0, 2, shape, generator=generator_of("signs", *shape))
        return outputs @ ((2 * bits - 1) / self.signs**0.5).to(outputs)


def teacher_features(
    teacher: nn.Module,
    scene: Tensor,
    width: int,
    layers: str | tuple[str, ...],
    probes: int | None,
) -> Tensor:
    """Numbers of each image whose products estimate the teacher's tangent kernel, (B, width).

    One random map for all batches: features of different batches fit together.
    """
    if probes is not None:
        teacher = Contracted(teacher, probes)
        if not isinstance(layers, str):
            layers = tuple(f"network.{name}" for name in layers)
    # Without oversampling the features of all batches come from one random map.
    found = tangent_features(teacher, scene, width, oversampling=1, layers=layers)
    return found.detach()
