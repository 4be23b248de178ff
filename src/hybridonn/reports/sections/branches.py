"""How a figure names one branch of the optics."""

from __future__ import annotations

from hybridonn.reports.artefacts.run import Branch, Run


def name_branch(run: Run, number: int, branch: Branch) -> tuple[str, str]:
    """Suffix of the figure's name and of its heading; empty where there is one branch only."""
    if len(run.branches) == 1:
        return "", ""
    size = "full resolution" if branch.binning == 1 else f"1/{branch.binning} of the resolution"
    return f"-{number}", f" of branch {number}: {size}"


def describe_numbering(run: Run, branch: Branch) -> str:
    """The caption's sentence on how a branch's kernels are numbered; empty for one branch."""
    if len(run.branches) == 1:
        return ""
    start, stop = branch.kernels.start, branch.kernels.stop
    weight = (
        ""
        if branch.binning == 1
        else f"; one weight is {branch.binning} × {branch.binning} pixels of the scene"
    )
    return f" Numbered within the branch; in the arrays they are {start} to {stop - 1}{weight}."
