"""The grid of a map of regimes, and how the lists that state it are read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hybridonn.core.errors import SpecError
from hybridonn.distillation.discrepancies import CHOICES
from hybridonn.studies.counts import refuse_count, refuse_twice, split_list

ALL = "all"
MOST_IMAGES, MOST_EPOCHS = 100_000_000, 1_000_000


@dataclass(frozen=True)
class Grid:
    """What is tried.

    Attributes:
        images: Numbers of training images; None: all.
        epochs: Training budgets.
        discrepancies: Names of the discrepancies that NTKD is tried with.
        values: Values that each method tries at each point, by key of a spec's ``tuned``.
    """

    images: tuple[int | None, ...]
    epochs: tuple[int, ...]
    discrepancies: tuple[str, ...]
    values: dict[str, list[Any]] = field(default_factory=dict)


def parse_images(text: str) -> tuple[int | None, ...]:
    """Numbers of training images separated by commas, ``all`` for all of them, each once.

    Raises:
        SpecError: An entry is neither.
    """
    allowed = f"whole numbers from 1 up and {ALL}, with commas"
    words = split_list("--images", text, allowed)
    numbers = [
        None if word == ALL else _parse("--images", word, allowed, MOST_IMAGES) for word in words
    ]
    refuse_twice("--images", [number for number in numbers if number is not None])
    return tuple(numbers)


def parse_epochs(text: str) -> tuple[int, ...]:
    """Numbers of epochs separated by commas, each once.

    Raises:
        SpecError: An entry is no number from 1 up.
    """
    allowed = "whole numbers from 1 up, with commas"
    words = split_list("--epochs", text, allowed)
    numbers = [_parse("--epochs", word, allowed, MOST_EPOCHS) for word in words]
    refuse_twice("--epochs", numbers)
    return tuple(numbers)


def parse_discrepancies(text: str) -> tuple[str, ...]:
    """Names of discrepancies separated by commas, each once.

    Raises:
        SpecError: One of them is unknown.
    """
    allowed = f"any of {', '.join(CHOICES)}, with commas"
    names = split_list("--discrepancies", text, allowed)
    for name in names:
        if name not in CHOICES:
            raise SpecError(f"--discrepancies: {name[:40]!r} is unknown; allowed is {allowed}")
    return tuple(names)


def _parse(option: str, word: str, allowed: str, most: int) -> int:
    if not word.isdecimal() or len(word) > 19:
        raise SpecError(f"{option}: {word[:40]!r} is not allowed; allowed are {allowed}")
    refuse_count(option, int(word), most)
    return int(word)
