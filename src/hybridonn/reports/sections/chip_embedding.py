"""t-SNE maps of test captures before and after compensation."""

from __future__ import annotations

from hybridonn.reports.artefacts.run import Run, chip_of
from hybridonn.reports.figures.embedding import draw_embedding
from hybridonn.reports.sections.section import ReportFigure, Section


def _build(run: Run) -> list[ReportFigure]:
    chip = chip_of(run)
    return [
        ReportFigure(
            "chip-embedding",
            "How the classes lie, before and after",
            "t-SNE of the features of test captures before and after compensation",
            "What the backend's last layer sees of the same test captures (of a backend of one "
            "layer: its outputs), as fabricated and compensated, laid out by one t-SNE for both, "
            "so that places on the left and on the right compare: images that lie elsewhere on the "
            "left are those whose features the chip displaced.",
            lambda: draw_embedding(chip.embeddings, run.classes, together=True),
            level=3,
        )
    ]


CHIP_EMBEDDING = Section(
    "chip_embedding",
    wanted=lambda run: run.chip is not None and bool(run.chip.embeddings),
    build=_build,
    by_task=True,
)
