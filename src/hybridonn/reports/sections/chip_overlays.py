"""Test images with the masks behind the chip: as fabricated, calibrated and fine-tuned."""

from __future__ import annotations

from hybridonn.reports.artefacts.run import Run, chip_of
from hybridonn.reports.figures.mask_overlays import draw_overlays
from hybridonn.reports.sections.section import ReportFigure, Section
from hybridonn.reports.tables.treatments import TREATMENTS


def _build(run: Run) -> list[ReportFigure]:
    chip = chip_of(run)
    found = chip.overlays
    assert found is not None  # the section is wanted only then
    names = {method: TREATMENTS.get(method, method) for method in found.predictions}
    captured = "captured " if chip.measured else ""
    after = (
        "; the last by what is lost after compensation. The chip keeps what is "
        f"{names[chip.kept.method]}"
        if chip.kept
        else ""
    )
    return [
        ReportFigure(
            "chip-overlays",
            "Masks behind the chip",
            f"{len(found.overlays.scenes)} test images with the true mask and those of: "
            + ", ".join(names.values()),
            f"The same {captured}test images throughout, as they are, with the true mask and with "
            "what the network says of them after each treatment. They are chosen by the "
            f"{run.task.label} that the chip as fabricated loses on them: the largest, the median "
            f"and the smallest loss{after}. Above each mask stands the {run.task.label} of this "
            "image; a gain is a negative loss.",
            lambda: draw_overlays(
                found.overlays,
                {names[method]: one for method, one in found.predictions.items()},
                run.classes,
            ),
            level=3,
        )
    ]


CHIP_OVERLAYS = Section(
    "chip_overlays",
    wanted=lambda run: run.chip is not None and run.chip.overlays is not None,
    build=_build,
    by_task=True,
)
