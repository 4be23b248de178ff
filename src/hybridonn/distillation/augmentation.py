"""Fixed random changes of the training images, the same for every student and seed.

Live augmentation asks the teacher anew at each step. A few fixed changes of
each image can be asked once: the teacher's answers are stored and serve every
method and seed, and teacher and student still see the very same picture.
"""

from __future__ import annotations

import torch

from hybridonn.core.random import generator_of
from hybridonn.data.batches import load_batch
from hybridonn.data.dataset import ImageSet
from hybridonn.spec import Augmentation, Training
from hybridonn.tasks.task import Task

CHUNK = 1000  # images that are changed at a time


def is_augmented(training: Training) -> bool:
    """Whether the training images are changed at random at all."""
    changes = training.augmentation.model_dump(exclude={"crop_edge"})
    return any(changes.values())


def count_views(training: Training) -> int | None:
    """How many fixed forms of each image a training sees; None: new ones at each step."""
    return training.views if is_augmented(training) else 1


def make_view(part: ImageSet, task: Task, settings: Augmentation, view: int) -> ImageSet:
    """Every image of a set, changed as in view number ``view``.

    What is interpolated is rounded to the 256 levels of stored images.

    Args:
        part: The images.
        task: How their labels move along with them.
        settings: How far they are changed.
        view: Which of the views; the same number gives the same changes.
    """
    images, labels = [], []
    for start in range(0, len(part), CHUNK):
        indices = torch.arange(start, min(start + CHUNK, len(part)))
        scene, label = load_batch(part, indices, task, settings, generator_of("view", view, start))
        images.append((scene * 255).round_().clamp_(0, 255).to(torch.uint8))
        labels.append(label)
    return ImageSet(torch.cat(images), torch.cat(labels))
