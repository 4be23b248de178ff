"""The feature maps on the sensor, a figure a branch."""

from __future__ import annotations

from hybridonn.reports.artefacts.predictions import as_tensor
from hybridonn.reports.artefacts.run import Run
from hybridonn.reports.figures.confusion import shorten
from hybridonn.reports.figures.features import draw_features
from hybridonn.reports.sections.branches import name_branch
from hybridonn.reports.sections.section import ReportFigure, Section

# The title of the figure, and what it shows of each kernel.
_OPTICAL = (
    "What the camera sees",
    "image that the positive site throws on the sensor less that of the negative site: all that "
    "the digital backend gets to see",
)
_DIGITAL = ("The digital feature maps", "digital convolution: what the backend gets to see")


def _build(run: Run) -> list[ReportFigure]:
    """What the sensor sees of one test image, a figure a branch."""
    examples = run.examples
    name = run.task.name_label(as_tensor(examples.labels)[0], run.classes)
    title = f"class {shorten(name)}" if name else "test image"
    seen, what = _OPTICAL if run.layout is not None else _DIGITAL
    found = []
    for number, (kernels, branch) in enumerate(run.branches, 1):
        # Of a coarser branch each of its sensor's pixels is kept as often as it covers the scene's.
        finest = min(one.binning for _, one in run.branches)
        step = branch.binning // finest
        signals = examples.features[0, kernels, ::step, ::step]
        mark, where = name_branch(run, number, branch)
        found.append(
            ReportFigure(
                f"features{mark}",
                f"{seen}{where.replace(' of branch', ' on branch')}",
                f"One test image{f' of {title}' if name else ''} and its difference signals",
                f"Left, one test image. Right, for each kernel, the {what}. One scale for all; "
                "white is zero, red positive, blue negative.",
                lambda signals=signals: draw_features(examples.scene[0], signals, title),
            )
        )
    return found


FEATURES = Section("features", wanted=lambda run: True, build=_build)
