"""What a ranking will cost, said when one of its designs is measured and before the others are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from hybridonn.studies.designs import DesignPoint
from hybridonn.studies.engine import say_time
from hybridonn.studies.rows import name_row

AIM = 0.1  # an estimate should cost no more than this share of the training that it spares


def choose_pilot(designs: Sequence[DesignPoint]) -> DesignPoint:
    """The design of middle size: half of the others read fewer values of the optics, half more."""

    def count_values(design: DesignPoint) -> int:
        return design.student.kernels * design.student.pooled_size**2

    return sorted(designs, key=count_values)[len(designs) // 2]


def say_cost(
    values: Mapping[str, Any], pilot: DesignPoint, kernels: Sequence[str], seeds: int, designs: int
) -> list[str]:
    """What each estimate costs against the training that it spares, and all designs together.

    Args:
        values: Rows of the study, with those of the pilot.
        pilot: The design that is measured.
        kernels: Which estimates are made.
        seeds: Number of trainings of a design.
        designs: Number of designs.
    """
    training = fmean(
        values[name_row("trained", pilot.name, seed)]["seconds"] for seed in range(seeds)
    )
    estimates = {
        kind: values[name_row("estimate", pilot.name, kind)]["seconds"] for kind in kernels
    }
    said = [_compare(kind, seconds, training) for kind, seconds in estimates.items()]
    each = sum(estimates.values()) + seeds * training
    total = f"all {designs} designs take about {say_time(designs * each)} of one worker"
    return [f"{pilot.name}, a design of middle size, is measured: {total}", *said]


def _compare(kind: str, seconds: float, training: float) -> str:
    head = f"an estimate with {kind} kernels takes {seconds:.3g} s, a training {training:.3g} s"
    if training <= 0:
        return head
    share = seconds / training
    if share <= AIM:
        return f"{head}: {100 * share:.2g} % of the training that it spares"
    lower = "estimate.train_images or estimate.draws"
    if kind == "infinite":
        lower = "estimate.train_images or estimate.features"
    return (
        f"{head}: {share:.2g} times the training that it spares, more than {100 * AIM:.0f} %; "
        f"lower {lower}, or train the designs themselves"
    )
