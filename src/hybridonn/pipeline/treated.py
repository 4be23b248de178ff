"""Backends behind a chip before and after compensation: what they answer, and what is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hybridonn.compensation.calibration import Calibration
from hybridonn.compensation.capture_pair import Captured
from hybridonn.core.files import write_arrays, write_table, write_tensors
from hybridonn.networks.features import penultimate
from hybridonn.pipeline.evidence import EMBEDDED, as_answers, lay_flat
from hybridonn.pipeline.stages.fabricated import answer
from hybridonn.tasks.task import Task


@dataclass(frozen=True)
class Treated:
    """A backend behind the chip after one treatment.

    Attributes:
        method: ``uncompensated``, ``calibrated`` or the method of the fine-tuning.
        backend: In inference mode.
        calibration: The gains and offsets that it sees the captures with.
        logits: Of the test captures, (N, ...).
        seconds: What the treatment took.
        history: Of the fine-tuning, epoch by epoch.
    """

    method: str
    backend: nn.Module
    calibration: Calibration
    logits: Tensor
    seconds: float = 0.0
    history: tuple[dict[str, Any], ...] = ()


def judge(
    method: str,
    backend: nn.Module,
    calibration: Calibration,
    test: Captured,
    started: float | None = None,
    history: Sequence[dict[str, Any]] = (),
) -> Treated:
    """Let a treated backend answer the test captures.

    Args:
        method: The treatment.
        backend: After it.
        calibration: The gains and offsets that it sees the captures with.
        test: Captures of test images.
        started: When the treatment began; None: there was none.
        history: Of the fine-tuning.
    """
    logits = answer(backend, test.subtract(calibration.gains))
    seconds = 0.0 if started is None else round(perf_counter() - started, 2)
    return Treated(method, backend, calibration, logits, seconds, tuple(history))


def measure(task: Task, treated: Treated, test: Captured) -> float:
    """The metric of the task."""
    return task.measure(treated.logits, test.shown.labels)[task.metric]


def keep(
    part: Path,
    task: Task,
    treated: Sequence[Treated],
    kept: Treated,
    test: Captured,
    held_out: Mapping[str, float],
) -> dict[str, float]:
    """Write every treatment's numbers, the kept one's backend, and the answers before and after.

    Args:
        part: Where the artefacts go.
        task: What the network is for.
        treated: The chip as it is first.
        kept: The treatment that is left to the chip.
        test: Captures of test images.
        held_out: The metric of each treatment's candidate on captures held out; empty: none were.

    Returns:
        The metric of every treatment.
    """
    labels = test.shown.labels
    scores = {one.method: measure(task, one, test) for one in treated}
    rows = [
        {"method": one.method, task.metric: scores[one.method], "seconds": one.seconds}
        | {f"held_out_{task.metric}": held_out.get(one.method), "kept": one is kept}
        for one in treated
    ]
    write_table(part / "methods.csv", rows)
    each = {one.method: task.score(one.logits, labels).float().numpy() for one in treated}
    write_arrays(part / "scores.npz", **each)
    for one in treated:
        if one.history:
            write_table(part / f"history_{one.method}.csv", one.history)
    found = kept.calibration
    write_tensors(part / "backend.safetensors", kept.backend.state_dict())
    write_arrays(part / "gains.npz", gains=found.gains.numpy(), offsets=found.offsets.numpy())
    for name, one in (("predictions_before", treated[0]), ("predictions", kept)):
        write_arrays(part / f"{name}.npz", labels=labels.numpy(), **as_answers(one.logits))
    return scores


def embed_both(part: Path, before: Treated, after: Treated, test: Captured) -> None:
    """t-SNE of the test captures before and after, laid out together so that places compare.

    Where there is an answer a pixel, there is none: an image has no one class to colour it.
    """
    if test.shown.labels.ndim > 1:
        return
    some = test.take(torch.arange(min(EMBEDDED, len(test))))
    seen = [_look_inside(one, some) for one in (before, after)]
    first, second = np.split(lay_flat(torch.cat(seen)), 2)
    labels = some.shown.labels.numpy()
    write_arrays(part / "embedding.npz", before=first, after=second, labels=labels)


def _look_inside(treated: Treated, captured: Captured) -> Tensor:
    """What the backend's last layer sees, (N, D); of a single layer what it answers.

    Before a single layer stands nothing that compensation changes but gains.
    """
    features = captured.subtract(treated.calibration.gains)
    layers = [m for m in treated.backend.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    if len(layers) == 1:
        return answer(treated.backend, features)
    return penultimate(treated.backend, (features,))
