"""How a figure names one branch of the optics."""

from __future__ import annotations

from hybridonn.networks.frontends.table import FRONTENDS
from hybridonn.reports.artefacts.run import Run
from hybridonn.spec import Branch


def name_branch(run: Run, number: int, branch: Branch) -> tuple[str, str]:
    """Suffix of the figure's name and of its heading; empty where there is one branch only."""
    if len(run.branches) == 1:
        return "", ""
    size = "full resolution" if branch.binning == 1 else f"1/{branch.binning} of the resolution"
    return f"-{number}", f" of branch {number}: {size}"


def describe_numbering(run: Run, kernels: slice, branch: Branch) -> str:
    """The caption's sentence on how a branch's kernels are numbered; empty for one branch.

    Args:
        run: The run.
        kernels: Places of the branch's kernels among all.
        branch: The branch.
    """
    if len(run.branches) == 1:
        return ""
    weight = (
        ""
        if branch.binning == 1 or FRONTENDS[run.spec.frontend].own_size
        else f"; one weight is {branch.binning} × {branch.binning} pixels of the scene"
    )
    places = f"{kernels.start} to {kernels.stop - 1}"
    return f" Numbered within the branch; in the arrays they are {places}{weight}."
