"""Two images in one: mixup (Zhang et al. 2018) and CutMix (Yun et al. 2019)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hybridonn.core.errors import TrainingError
from hybridonn.core.random import numpy_generator_of
from hybridonn.data.transforms.erasing import draw_box
from hybridonn.spec import Augmentation
from hybridonn.tasks.task import Move, Task

CUTS_OBJECTS = (
    "cuts objects in two, so that their boxes are no boxes any more; set it to 0, or use "
    "mixup_alpha"
)


@dataclass(frozen=True)
class Mixture:
    """Which image of a batch was mixed into each, and how far.

    The label is soft: the share of the image's own, the rest of its partner's.

    Attributes:
        partners: Positions in the batch, (B,) int64.
        share: Share of the image itself, from 0 to 1; its partner has the rest.
    """

    partners: Tensor
    share: float

    def to(self, device: torch.device) -> Mixture:
        """The same mixture on a device."""
        return Mixture(self.partners.to(device), self.share)


def mix(
    scene: Tensor, labels: Any, task: Task, settings: Augmentation, generator: torch.Generator
) -> tuple[Tensor, Any, Mixture | None]:
    """Mix each image of a batch with another one.

    With both exponents stated, every other batch, at random, is mixed by CutMix. The share is one
    number a batch, drawn from ``Beta(alpha, alpha)``. Under CutMix the label of a pixel comes with
    the pixel; there is no mixture left to account for where the task moves labels with images.

    Args:
        scene: (B, C, H, W).
        labels: Labels of the images.
        task: How labels move along with images.
        settings: The exponents; both 0: nothing is drawn, nothing changes.
        generator: Where the random numbers come from.

    Returns:
        The mixed scene, its labels, and what was mixed; None: every label is whole.
    """
    alphas = settings.mixup_alpha, settings.cutmix_alpha
    if not any(alphas):
        return scene, labels, None
    cuts = not alphas[0]
    if all(alphas):
        cuts = bool(torch.rand((), generator=generator, device=generator.device) < 0.5)
    share = _draw_share(alphas[cuts], generator)
    order = torch.randperm(len(scene), generator=generator, device=generator.device)
    partners = order.to(scene.device)
    if not cuts:
        mixed = share * scene + (1 - share) * scene[partners]
        return mixed, labels, Mixture(partners, share)
    box = _draw_box(scene, share, generator)
    share = 1 - float(box.float().mean())
    cut = torch.where(box, scene[partners], scene)
    move = Move(
        lambda maps: torch.where(box.to(maps.device), maps[order.to(maps.device)], maps),
        _refuse_points,
        (scene.shape[2], scene.shape[3]),
    )
    moved = task.move_labels(labels, move)
    return cut, moved, Mixture(partners, share) if moved is labels else None


def _refuse_points(points: Tensor) -> Tensor:
    """Refuse labels of places.

    Raises:
        TrainingError: Always: an object that is cut in two has no one place.
    """
    raise TrainingError(f"augmentation.cutmix_alpha is set, which {CUTS_OBJECTS}")


def _draw_share(alpha: float, generator: torch.Generator) -> float:
    """A number from the beta distribution with two equal exponents."""
    seed = torch.randint(2**62, (), generator=generator, device=generator.device)
    return float(numpy_generator_of("share of a mixture", int(seed)).beta(alpha, alpha))


def _draw_box(scene: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """A rectangle of the partner's part of the area, the same in all images, (1, 1, H, W)."""
    height, width = scene.shape[-2:]
    side = (1 - share) ** 0.5
    places = torch.rand(2, 1, generator=generator, device=generator.device)
    sides = torch.tensor([side * height]), torch.tensor([side * width])
    return draw_box(sides, (height, width), places.cpu()).to(scene.device)
