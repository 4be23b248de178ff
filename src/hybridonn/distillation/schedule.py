"""The learning rate of each step."""

from __future__ import annotations

import math

from hybridonn import spec
from hybridonn.distillation.averaging import averages_epoch


def find_rate(step: int, steps: int, settings: spec.Training) -> float:
    """The learning rate of a step: one cycle, which stays where it is while weights are averaged.

    Args:
        step: Number of the step, from 0.
        steps: Number of steps in an epoch.
        settings: The training.
    """
    if averages_epoch(settings.averaging_start, step // steps, settings.epochs):
        step = round((settings.averaging_start or 0.0) * settings.epochs) * steps
    return one_cycle(step, settings.epochs * steps, settings.learning_rate)


def one_cycle(step: int, steps: int, peak: float) -> float:
    """The learning rate of a step: up along a cosine for 30 % of the steps, then down.

    Smith and Topin 2018, with the shape and the ends (peak / 25, peak / 250,000)
    that torch's OneCycleLR has; as a function of the step it needs no state.
    """
    start, end = peak / 25, peak / 250_000
    turn = 0.3 * steps
    if step < turn:
        return peak + (start - peak) * (1 + math.cos(math.pi * step / turn)) / 2
    return end + (peak - end) * (1 + math.cos(math.pi * (step - turn) / (steps - turn))) / 2
