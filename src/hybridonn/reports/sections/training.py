"""Loss, metric and kernel alignment by epoch."""

from __future__ import annotations

from hybridonn.reports.artefacts.run import Run
from hybridonn.reports.figures.curves import draw_curves
from hybridonn.reports.sections.section import ReportFigure, Section


def _build(run: Run) -> ReportFigure:
    label = run.task.label
    metric = label.capitalize() if label.islower() else label
    return ReportFigure(
        "curves",
        "Training",
        f"{metric}, alignment and loss terms by epoch",
        f"Epoch by epoch. {metric} is measured on the validation images, which nothing is trained "
        "on; a dot marks the epoch whose weights are kept, the one with the highest score, of "
        "equals the lowest loss on these images. The first steep epochs may lie below the frame. "
        "NTK alignment, where it is recorded, is the centred kernel alignment of the student's "
        "neural tangent kernel with the teacher's, each of all layers, whichever ones NTKD "
        "matches: 1 means equal up to scale. The losses are shown on a logarithmic scale, the "
        "student's with the terms of its objective, each before its "
        "weight, and the task's loss on the validation images. A weight that is found during the "
        "training (auto) has a frame of its own: it is 0 from where the student has left its "
        "teacher behind on these images.",
        lambda: draw_curves({name: model.history for name, model in run.models.items()}, run.task),
    )


TRAINING = Section("training", wanted=lambda run: True, build=lambda run: [_build(run)])
