"""t-SNE maps of the features of teacher and student."""

from __future__ import annotations

from hybridonn.reports.artefacts.run import Run
from hybridonn.reports.figures.embedding import draw_embedding
from hybridonn.reports.sections.section import ReportFigure, Section


def _build(run: Run) -> ReportFigure:
    return ReportFigure(
        "embedding",
        "How the classes lie",
        "t-SNE maps of the features of test images",
        "Features of test images laid out in the plane by t-SNE (van der Maaten and Hinton 2008). "
        "Images that a network finds alike lie together: well separated clusters of one colour are "
        "classes it tells apart. Distances between clusters, the axes and the turn of the map mean "
        "nothing, and the maps of two networks can be compared by their mixing only.",
        lambda: draw_embedding(
            {name: one.embedding for name, one in run.models.items() if one.embedding is not None},
            run.classes,
        ),
    )


EMBEDDING = Section(
    "embedding",
    wanted=lambda run: True,
    build=lambda run: [_build(run)],
    by_task=True,
)
