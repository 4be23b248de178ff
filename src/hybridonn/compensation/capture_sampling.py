"""Which training images are captured behind a chip."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from hybridonn.core.errors import SpecError
from hybridonn.core.random import generator_of
from hybridonn.data.dataset import ImageSet
from hybridonn.data.splits import thin
from hybridonn.spec import Compensation


def choose_captures(images: ImageSet, classes: int, settings: Compensation) -> Tensor:
    """Positions of the images that are learnt from, every class in proportion, shuffled.

    Raises:
        SpecError: The fraction is not one image of each class.
    """
    number = count_captures(settings.fraction, images, classes)
    generator = generator_of("captures to learn from", settings.seed)
    if images.labels.ndim > 1:
        return torch.randperm(len(images), generator=generator)[:number]
    every = ImageSet(torch.arange(len(images)), images.labels)
    chosen = thin(every, classes, number, settings.seed).images
    return chosen[torch.randperm(len(chosen), generator=generator)]


def count_captures(fraction: float, images: ImageSet, classes: int) -> int:
    """How many captures a fraction of some images is.

    Args:
        fraction: Of the images.
        images: With their labels, or masks, which are of no one class.
        classes: Of the labels.

    Raises:
        SpecError: Not one of each class, or none at all.
    """
    number, least, why = round(fraction * len(images)), 1, ""
    if images.labels.ndim == 1:
        least, why = classes, ", one of each class"
    if number < least:
        needed = math.ceil(1e4 * least / len(images)) / 1e4
        raise SpecError(
            f"compensation: a fraction of {fraction:g} of {len(images):,} images is {number} "
            f"capture{'s' * (number != 1)}, but it takes at least {least}{why}; "
            f"take a fraction of {min(1.0, needed):g} or more"
        )
    return number
