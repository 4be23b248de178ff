"""Designs spread out over what a designer can choose: a Latin hypercube."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from hybridonn.core.errors import SpecError
from hybridonn.core.random import generator_of
from hybridonn.spec import Student

KERNELS = (1, 2, 4, 8, 16)
KERNEL_SIZES = (3, 5, 7, 9)
POOLED_SIZES = (2, 3, 4, 6, 7)
STRIDES = (1, 2)
HIDDEN: tuple[tuple[int, ...], ...] = ((), (160,), (160, 80))
# What the designs of a study differ in.
VARIED = ("kernels", "kernel_size", "pooled_size", "stride", "hidden")
TRIES = 100  # hypercubes drawn at most until all designs differ


@dataclass(frozen=True)
class DesignPoint:
    """One design of a study.

    Attributes:
        name: What it is, short and fit for a folder: ``k8-7x7-p6-s1-h160``.
        student: The network.
    """

    name: str
    student: Student


def spread_designs(
    base: Student, image_shape: tuple[int, int, int], count: int, seed: int = 0
) -> tuple[DesignPoint, ...]:
    """So many different designs, every level of every factor about equally often.

    Latin hypercube (McKay, Beckman & Conover 1979, section 2): each factor goes through
    its levels in an order of its own. The factors are the number of kernels, their size,
    the pooled size, the stride and the hidden layers; what they leave out (the kind of
    pooling) is the base's. Levels that do not fit the smallest map are left out.

    Args:
        base: The student that the designs vary.
        image_shape: (C, H, W) of a scene.
        count: Number of designs.
        seed: Seed of the orders; 0 is the study's list.

    Raises:
        SpecError: Fewer than 3 designs are asked for, or more than there are.
    """
    side = min(image_shape[1:])
    smallest = -(-side // max(STRIDES))
    factors: dict[str, tuple[Any, ...]] = {
        "kernels": KERNELS,
        "kernel_size": tuple(size for size in KERNEL_SIZES if size <= side),
        "pooled_size": tuple(size for size in POOLED_SIZES if size <= smallest),
        "stride": STRIDES,
        "hidden": HIDDEN,
    }
    most = 1
    for levels in factors.values():
        most *= len(levels)
    if not 3 <= count <= most // 2:
        raise SpecError(
            f"--designs {count}: allowed is 3 to {most // 2} for images of {side} pixels"
        )
    for attempt in range(TRIES):
        columns = [_column(levels, count, name, seed, attempt) for name, levels in factors.items()]
        rows = list(zip(*columns, strict=True))
        if len(set(rows)) == count:
            designs = [dict(zip(factors, row, strict=True)) for row in rows]
            return tuple(_design(base, design) for design in designs)
    raise SpecError(
        f"--designs {count}: no {count} different designs were found in {TRIES} draws; "
        "ask for fewer"
    )


def name_design(student: Student) -> str:
    """Short name of a design, fit for a folder."""
    hidden = "x".join(map(str, student.hidden)) or "0"
    size = student.kernel_size
    return f"k{student.kernels}-{size}x{size}-p{student.pooled_size}-s{student.stride}-h{hidden}"


def _column(levels: tuple[Any, ...], count: int, name: str, seed: int, attempt: int) -> list[Any]:
    order = torch.randperm(count, generator=generator_of("designs", seed, name, attempt))
    return [levels[int(place) * len(levels) // count] for place in order]


def _design(base: Student, changes: dict[str, Any]) -> DesignPoint:
    student = base.model_copy(update=changes)
    return DesignPoint(name_design(student), student)
