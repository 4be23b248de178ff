"""Test images with true and predicted masks."""

from __future__ import annotations

from hybridonn.reports.artefacts.run import Run
from hybridonn.reports.figures.mask_overlays import draw_overlays
from hybridonn.reports.sections.section import ReportFigure, Section


def _build(run: Run) -> ReportFigure:
    overlays = run.overlays
    assert overlays is not None  # the section is wanted only then
    names = [name for name in ("teacher", "student") if name in run.models]
    return ReportFigure(
        "overlays",
        "Masks over test images",
        f"{len(overlays.scenes)} test images with the masks of truth and networks",
        "Test images as they are, with the true mask and with what each network says. By the "
        "student's mIoU these are the best, the median and the worst image, and others drawn at "
        "random by the run's seed. Above each mask stands the mIoU of this image.",
        lambda: draw_overlays(
            overlays, {name: run.models[name].predictions for name in names}, run.classes
        ),
    )


MASK_OVERLAYS = Section(
    "mask_overlays",
    wanted=lambda run: run.overlays is not None,
    build=lambda run: [_build(run)],
    by_task=True,
)
