"""The kernels of the optics, a figure a branch."""

from __future__ import annotations

from hybridonn.networks.frontends.table import FRONTENDS
from hybridonn.reports.artefacts.run import Run
from hybridonn.reports.figures.kernels import draw_kernels
from hybridonn.reports.sections.branches import describe_numbering, name_branch
from hybridonn.reports.sections.section import ReportFigure, Section


def _build(run: Run) -> list[ReportFigure]:
    """The kernels, a figure a branch."""
    bands = run.kernels.shape[1]
    rows = "" if bands == 1 else f" Its {bands} rows are its {bands} wavelength bands."
    if run.layout is None:
        parts = "its positive (+) and negative (−) part; electronics compute it as it is."
    else:
        parts = (
            "what light can do: the PSFs of its positive (+) and negative (−) part, to be "
            "subtracted after the exposure."
        )
    trains = FRONTENDS[run.spec.frontend].drawn_kernels
    origin = "as the student learned it" if trains else "of the optics, which do not train"
    told = "".join(
        f" {one[0].upper()}{one[1:]}." for one in run.results["student"].get("optics", ())
    )
    caption = (
        f"Each large square is a signed kernel {origin}; the two small squares are "
        f"{parts}{rows}{told} All share one scale, and white is zero, so that a pale kernel is a "
        "weak one."
    )
    found = []
    for number, (places, branch) in enumerate(run.branches, 1):
        size = branch.kernel_size
        margin = (run.kernels.shape[-1] - size) // 2
        inner = slice(margin, margin + size)
        kernels = run.kernels[places, :, inner, inner]
        mark, where = name_branch(run, number, branch)
        found.append(
            ReportFigure(
                f"kernels{mark}",
                f"{'The learned kernels' if trains else 'The kernels'}{where}",
                f"{len(kernels)} kernels of {size} × {size} with their positive and negative parts",
                caption + describe_numbering(run, places, branch),
                lambda kernels=kernels: draw_kernels(kernels, run.wavelengths_nm),
            )
        )
    return found


KERNELS = Section("kernels", wanted=lambda run: True, build=_build)
