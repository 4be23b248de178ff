"""Which images are captured behind a chip, and how many."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from hybridonn.core.errors import SpecError
from hybridonn.core.random import generator_of
from hybridonn.data.splits import draw_positions
from hybridonn.spec import Compensation
from hybridonn.tasks.strata import Strata


def choose_captures(covered: Strata, settings: Compensation) -> Tensor:
    """Positions of the images that are learnt from, every group in proportion, shuffled.

    Args:
        covered: The groups of the images, each of which is captured.
        settings: Which fraction of the images, and the seed.

    Raises:
        SpecError: The fraction is not one image of each group.
    """
    number = count_captures(settings.fraction, covered)
    generator = generator_of("captures to learn from", settings.seed)
    if len(covered.names) == 1:
        return torch.randperm(len(covered.groups), generator=generator)[:number]
    chosen = draw_positions(covered, number, settings.seed)
    return chosen[torch.randperm(len(chosen), generator=generator)]


def count_captures(fraction: float, covered: Strata) -> int:
    """How many captures a fraction of some images is.

    Args:
        fraction: Of the images.
        covered: The groups of the images, each of which is captured.

    Raises:
        SpecError: Not one of each group, or none at all.
    """
    images, least = covered.groups, len(covered.names)
    number = round(fraction * len(images))
    if number < least:
        why = f", one of each of the {covered.kind}" if least > 1 else ""
        needed = math.ceil(1e4 * least / len(images)) / 1e4
        raise SpecError(
            f"compensation: a fraction of {fraction:g} of {len(images):,} images is {number} "
            f"capture{'s' * (number != 1)}, but it takes at least {least}{why}; "
            f"take a fraction of {min(1.0, needed):g} or more"
        )
    return number
