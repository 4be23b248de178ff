"""What a compensation leaves behind for reports and for the deployed chip."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from hybridonn.compensation.capture_pair import CapturePair
from hybridonn.compensation.compensate import CompensationResult
from hybridonn.compensation.evaluation import Evaluation, look_inside, measure
from hybridonn.core.files import write_arrays, write_table, write_tensors
from hybridonn.data.indexed import pack_labels
from hybridonn.networks.hybrid import HybridNetwork, count_parameters
from hybridonn.pipeline.artefacts import EMBEDDED, lay_flat, store
from hybridonn.spec import Compensation
from hybridonn.tasks.task import Task


def keep_compensation(
    part: Path,
    task: Task,
    settings: Compensation,
    student: HybridNetwork,
    found: CompensationResult,
    test: CapturePair,
    illustrated: bool = True,
) -> dict[str, Any]:
    """Write the artefacts of a compensation.

    Args:
        part: The folder of the stage.
        task: What the network is for.
        settings: What the spec states.
        student: The student before compensation.
        found: The result.
        test: Captures of test images.
        illustrated: Whether to write what only a report needs.

    Returns:
        The numbers of the stage.
    """
    scores = {one.method: measure(task, one, test) for one in found.evaluations}
    _write_methods(part, task, found, scores)
    _write_kept(part, task, found, test)
    if illustrated:
        _embed_both(part, task, found.evaluations[0], found.kept, test)
    write_table(part / "fractions.csv", found.curve)
    return {
        "method": found.kept.method,
        task.metric: scores[found.kept.method],
        **found.selection.as_numbers(),
        "fraction": settings.fraction,
        "captures": len(found.data.captured),
        "twin_images": len(found.data.others),
        "calibration": settings.calibration,
        "labelled": settings.labelled,
        "fractions_by": settings.distillation.method,
        **{f"{method}_{task.metric}": score for method, score in scores.items()},
        "seconds": found.seconds,
        "parameters": count_parameters(found.kept.backend),
        "parameters_before": count_parameters(student.backend),
    }


def _write_methods(
    part: Path, task: Task, found: CompensationResult, scores: dict[str, float]
) -> None:
    """Write every treatment's numbers, and the history of each fine-tuning."""
    held_out = found.selection.scores
    rows = [
        {"method": one.method, task.metric: scores[one.method], "seconds": one.seconds}
        | {f"held_out_{task.metric}": held_out.get(one.method), "kept": one is found.kept}
        for one in found.evaluations
    ]
    write_table(part / "methods.csv", rows)
    for one in found.evaluations:
        if one.history:
            write_table(part / f"history_{one.method}.csv", one.history)


def _write_kept(part: Path, task: Task, found: CompensationResult, test: CapturePair) -> None:
    """Write the kept backend, and the predictions as built, calibrated and as kept."""
    labels, kept = test.shown.labels, found.kept
    each = {one.method: task.score(one.logits, labels).float().numpy() for one in found.evaluations}
    write_arrays(part / "scores.npz", **each)
    write_tensors(part / "backend.safetensors", kept.backend.state_dict())
    gains, offsets = kept.calibration.gains.numpy(), kept.calibration.offsets.numpy()
    write_arrays(part / "gains.npz", gains=gains, offsets=offsets)
    before, calibrated, *_ = found.evaluations
    for end, one in (("_before", before), ("_calibrated", calibrated), ("", kept)):
        arrays = pack_labels(labels) | store(task, one.logits)
        write_arrays(part / f"predictions{end}.npz", **arrays)


def _embed_both(
    part: Path, task: Task, before: Evaluation, after: Evaluation, test: CapturePair
) -> None:
    """t-SNE of the test captures before and after, laid out together so that places compare.

    Nothing is written for a task whose reports show no embedding.
    """
    if "embedding" not in task.sections:
        return
    some = test.take(torch.arange(min(EMBEDDED, len(test))))
    seen = [look_inside(one, some) for one in (before, after)]
    first, second = np.split(lay_flat(torch.cat(seen)), 2)
    labels = pack_labels(some.shown.labels)
    write_arrays(part / "embedding.npz", before=first, after=second, **labels)
