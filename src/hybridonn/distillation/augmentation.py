"""Fixed random changes of the training images, the same for every student and seed.

Live augmentation asks the teacher anew at each step. A few fixed changes of
each image can be asked once: the teacher's answers are stored and serve every
method and seed, and teacher and student still see the very same image.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hybridonn.core.errors import TrainingError
from hybridonn.core.random import generator_of
from hybridonn.data.batches import load_batch
from hybridonn.data.dataset import ImageSet
from hybridonn.data.indexed import IndexedDataset, join_labels
from hybridonn.spec import Augmentation, Training
from hybridonn.tasks.task import Task

CHUNK = 1000  # images that are changed at a time


def is_augmented(training: Training) -> bool:
    """Whether the training images are changed at random at all."""
    changes = training.augmentation.model_dump(exclude={"crop_edge", "randaugment_magnitude"})
    return any(changes.values())


def count_views(training: Training) -> int | None:
    """How many fixed forms of each image a training sees; None: new ones at each step."""
    return training.views if is_augmented(training) else 1


def make_view(part: ImageSet, task: Task, settings: Augmentation, view: int) -> ImageSet:
    """Every image of a set, changed as in view number ``view``.

    What is interpolated is rounded to the 256 levels of stored images.

    Args:
        part: The images.
        task: The task, which says how labels move along with images.
        settings: How far images are changed.
        view: Number of the view; the same number gives the same changes.
    """
    images, labels = [], []
    for start in range(0, len(part), CHUNK):
        indices = torch.arange(start, min(start + CHUNK, len(part)))
        scene, label = load_batch(part, indices, task, settings, generator_of("view", view, start))
        images.append((scene * 255).round_().clamp_(0, 255).to(torch.uint8))
        labels.append(label)
    return ImageSet(torch.cat(images), join_labels(labels))


@dataclass(frozen=True)
class AugmentedImages:
    """Images that are changed at random whenever they are taken.

    Attributes:
        images: The stored images.
        task: The task, which says how labels move along with images.
        settings: How far images are changed.
        generator: Where the random numbers come from.
    """

    images: ImageSet
    task: Task
    settings: Augmentation
    generator: torch.Generator

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """The changed scene (B, C, H, W) and its labels at these indices, (B,) int64."""
        return load_batch(self.images, indices, self.task, self.settings, self.generator)


def see_pass(
    part: IndexedDataset,
    task: Task,
    training: Training,
    number: int,
    generator: torch.Generator,
) -> tuple[IndexedDataset, int]:
    """A training set as a pass over it sees it, and the index that its first example has there.

    Args:
        part: Images or stored features.
        task: The task, which says how labels move along with images.
        training: Settings of the training with the augmentation and the number of views.
        number: Number of the pass, from 0 on.
        generator: Where the random numbers of a live augmentation come from.

    Raises:
        TrainingError: An augmentation is set, and the examples are no images.
    """
    if not is_augmented(training):
        return part, 0
    if not isinstance(part, ImageSet):
        raise TrainingError(
            f"training.augmentation is set, but the data set is a {type(part).__name__}, and only "
            "images can be augmented; leave it out"
        )
    views = count_views(training)
    if views is None:
        return AugmentedImages(part, task, training.augmentation, generator), 0
    view = number % views
    return make_view(part, task, training.augmentation, view), view * len(part)
