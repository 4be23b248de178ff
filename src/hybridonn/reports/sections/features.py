"""The feature maps on the sensor, a figure a branch."""

from __future__ import annotations

from hybridonn.reports.artefacts.run import Run
from hybridonn.reports.figures.confusion import shorten
from hybridonn.reports.figures.features import draw_features
from hybridonn.reports.sections.branches import name_branch
from hybridonn.reports.sections.section import ReportFigure, Section


def _build(run: Run) -> list[ReportFigure]:
    """What the sensor sees of one test image, a figure a branch."""
    examples, title = run.examples, "test image"
    if examples.labels.ndim == 1:
        title = f"class {shorten(run.classes[int(examples.labels[0])])}"
    found = []
    for number, branch in enumerate(run.branches, 1):
        # Of a coarser branch each of its sensor's pixels is kept as often as it covers the scene's.
        finest = min(one.binning for one in run.branches)
        step = branch.binning // finest
        pictures = examples.features[0, branch.kernels, ::step, ::step]
        mark, where = name_branch(run, number, branch)
        found.append(
            ReportFigure(
                f"features{mark}",
                f"What the camera sees{where.replace(' of branch', ' on branch')}",
                f"One test image{'' if title == 'test image' else f' of {title}'} and its "
                "difference picture for each kernel",
                "Left, one test image. Right, for each kernel, the picture that the positive site "
                "throws on the sensor less that of the negative site: all that the digital backend "
                "gets to see. One scale for all; white is zero, red positive, blue negative.",
                lambda pictures=pictures: draw_features(examples.scene[0], pictures, title),
            )
        )
    return found


FEATURES = Section("features", wanted=lambda run: True, build=_build)
