"""Wins accuracy back behind one chip: compares the treatments and keeps the best."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from torch import nn

from hybridonn.compensation.capture_pair import CapturePair
from hybridonn.compensation.comparison import compare_methods
from hybridonn.compensation.evaluation import Evaluation, measure
from hybridonn.compensation.fine_tuning_data import FineTuningData
from hybridonn.compensation.selection import Selection, select
from hybridonn.compensation.teacher_targets import compute_targets
from hybridonn.core.progress import Progress
from hybridonn.networks.hybrid import HybridNetwork
from hybridonn.spec import Compensation, Spec
from hybridonn.tasks.task import make_task


@dataclass(frozen=True)
class CompensationResult:
    """What a compensation found.

    Attributes:
        evaluations: Every treatment on the test captures; the chip as it is comes first.
        selection: Which treatment is kept, and why.
        data: What was learnt from at the stated fraction.
        curve: A row for each fraction of captures, in increasing order: ``fraction``,
            ``captures`` and the metric ``calibrated`` and ``fine_tuned``.
        seconds: How long all treatments took at the stated fraction.
    """

    evaluations: tuple[Evaluation, ...]
    selection: Selection
    data: FineTuningData
    curve: tuple[dict[str, Any], ...]
    seconds: float

    @property
    def kept(self) -> Evaluation:
        """The treatment that the chip keeps."""
        return next(one for one in self.evaluations if one.method == self.selection.method)


def compensate(
    spec: Spec,
    settings: Compensation,
    student: HybridNetwork,
    teacher: nn.Module,
    draw_data: Callable[[Compensation], FineTuningData],
    test: CapturePair,
    checkpoints: Path,
    progress: Progress,
) -> CompensationResult:
    """Calibrate, fine-tune by every method, and keep what is best on captures held out.

    Args:
        spec: The task, and the student's spec.
        settings: The form of the calibration, the methods, the fractions.
        student: The student with the optics as designed.
        teacher: The digital teacher, which sees the raw images; in inference mode.
        draw_data: Gives what may be learnt from at the fraction of its settings.
        test: Captures of test images; nothing is learnt from them.
        checkpoints: The folder for the checkpoints of the fine-tunings.
        progress: Shows how far the work is.
    """
    data = draw_data(settings)
    targets = compute_targets(spec, settings, student, teacher, data.shown, progress)
    selection = select(spec, settings, student, targets, data, checkpoints, progress)
    began = perf_counter()
    found = compare_methods(spec, settings, student, targets, data, test, checkpoints, progress)
    seconds = round(perf_counter() - began, 2)
    curve = [_point(settings, len(data.captured), found, spec, test)]
    for fraction in sorted({*settings.fractions} - {settings.fraction}):
        own = settings.model_copy(update={"fraction": fraction, "methods": ()})
        some = draw_data(own)
        known = compute_targets(spec, own, student, teacher, some.shown, progress)
        others = compare_methods(spec, own, student, known, some, test, checkpoints, progress)
        curve.append(_point(own, len(some.captured), others, spec, test))
    rows = tuple(sorted(curve, key=lambda row: row["fraction"]))
    return CompensationResult(tuple(found), selection, data, rows, seconds)


def _point(
    settings: Compensation,
    captures: int,
    evaluations: Sequence[Evaluation],
    spec: Spec,
    test: CapturePair,
) -> dict[str, Any]:
    """The metric at one fraction of captures, calibrated and by the stated method."""
    wanted = {"calibrated": "calibrated", settings.distillation.method: "fine_tuned"}
    task = make_task(spec.task)
    row: dict[str, Any] = {"fraction": settings.fraction, "captures": captures}
    for one in evaluations:
        if one.method in wanted:
            row[wanted[one.method]] = measure(task, one, test)
    return row
