"""Fixed random changes of the training images, the same for every student and seed.

Live augmentation asks the teacher anew at each step. A few fixed changes of
each image can be asked once: the teacher's answers are stored and serve every
method and seed, and teacher and student still see the very same image.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hybridonn.core.errors import TrainingError
from hybridonn.core.random import generator_of
from hybridonn.data.batches import load_batch, to_scene
from hybridonn.data.dataset import ImageSet
from hybridonn.data.indexed import IndexedDataset, join_labels, take_labels
from hybridonn.data.transforms.mixing import Mixture, mix
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


@dataclass(frozen=True)
class Group:
    """Images of a view that were mixed with one another and share a training step.

    Attributes:
        indices: Positions of the images in the view, (B,).
        mixture: Who was mixed with whom, and how far; None: every label is whole.
    """

    indices: Tensor
    mixture: Mixture | None

    def shuffle(self, generator: torch.Generator) -> Group:
        """The same images in random order: of some batches only the first ones are compared."""
        order = torch.randperm(len(self.indices), generator=generator)
        mixture = self.mixture
        if mixture is not None:
            mixture = Mixture(order.argsort()[mixture.partners[order]], mixture.share)
        return Group(self.indices[order], mixture)


@dataclass(frozen=True)
class View:
    """A training set as one pass over it sees it.

    Attributes:
        images: The examples of the pass.
        first: Index of the first of them among the examples of all views.
        groups: The batches, where images were mixed for good; None: any images may share a step.
    """

    images: IndexedDataset
    first: int = 0
    groups: tuple[Group, ...] | None = None

    def draw_groups(self, size: int, generator: torch.Generator) -> Iterator[Group]:
        """The batches of a pass, each with its images in random order.

        A last one of less than half of ``size`` images is left out, unless batches are fixed.
        """
        if self.groups is None:
            order = torch.randperm(len(self.images), generator=generator)
            for indices in order.split(size)[: count_batches(len(order), size)]:
                yield Group(indices, None)
            return
        for k in torch.randperm(len(self.groups), generator=generator).tolist():
            yield self.groups[k].shuffle(generator)


def see_view(
    part: ImageSet, task: Task, training: Training, view: int
) -> tuple[ImageSet, tuple[Group, ...] | None]:
    """Every image of a set as in view number ``view``: changed, and mixed where that is set.

    Which images are mixed is part of the view, so that the teacher's answers to them can be
    stored: they are mixed within batches, and a batch stays together whenever the view is seen.
    No image is left out, since it would be for good: batches are larger where the last one would
    have less than half of the images of the others.

    Args:
        part: The images.
        task: The task, which says how labels move along with images.
        training: Settings of the training: the augmentation and the batch size.
        view: Number of the view; the same number gives the same changes.

    Returns:
        The images, and the batches of those that were mixed; None: none were.
    """
    settings = training.augmentation
    seen = make_view(part, task, settings, view)
    if not settings.mixes:
        return seen, None
    generator = generator_of("mixed view", view)
    images, labels, groups = [], [], []
    order = torch.randperm(len(seen), generator=generator)
    for indices in _split(order, training.batch_size):
        scene, some = to_scene(seen.images[indices]), take_labels(seen.labels, indices)
        scene, some, mixture = mix(scene, some, task, settings, generator)
        images.append(_to_levels(scene))
        labels.append(some)
        groups.append(Group(indices, mixture))
    places = order.argsort()  # back into the order of the set
    kept = take_labels(join_labels(labels), places)
    return ImageSet(torch.cat(images)[places], kept), tuple(groups)


def count_batches(images: int, size: int) -> int:
    """Batches of a pass over so many images: a last one of less than half a batch is none."""
    whole, rest = divmod(images, size)
    return max(1, whole + (2 * rest >= size))


def _split(order: Tensor, size: int) -> Sequence[Tensor]:
    """All images in as many batches as :func:`count_batches` says."""
    batches, count = order.split(size), count_batches(len(order), size)
    return batches if len(batches) == count else order.tensor_split(count)


def _to_levels(scene: Tensor) -> Tensor:
    """A scene (B, C, H, W) in [0, 1] on the 256 levels of stored images."""
    return (scene * 255).round_().clamp_(0, 255).to(torch.uint8)


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
        images.append(_to_levels(scene))
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
) -> View:
    """A training set as a pass over it sees it.

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
        return View(part)
    if not isinstance(part, ImageSet):
        raise TrainingError(
            f"training.augmentation is set, but the data set is a {type(part).__name__}, and only "
            "images can be augmented; leave it out"
        )
    views = count_views(training)
    if views is None:
        return View(AugmentedImages(part, task, training.augmentation, generator))
    view = number % views
    images, groups = see_view(part, task, training, view)
    return View(images, view * len(part), groups)
