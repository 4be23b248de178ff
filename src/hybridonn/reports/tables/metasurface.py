"""The numbers of a designed metasurface."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hybridonn.reports.artefacts.metasurface import SimulatedOptics, name_resolutions

if TYPE_CHECKING:
    from hybridonn.tasks.task import Task


def list_numbers(optics: SimulatedOptics, task: Task) -> list[tuple[str, ...]]:
    """The numbers as a table, header first: what, with ideal kernels, with the metasurface.

    A run of the strategy end-to-end has a column for its kernels-first start as well.

    Args:
        optics: The metasurface, with its numbers.
        task: What the network is for, which names the metric.
    """
    results = optics.results
    first = results.get("strategy") == "end-to-end"
    header = (
        "",
        "ideal kernels",
        *(("kernels first", "end to end") if first else ("metasurface",)),
    )
    rows: list[tuple[str, ...]] = [header]

    def add(what: str, key: str, share: bool = True, part: int | None = None) -> None:
        stages = ["kernels_first_", ""] if first else [""]
        found = [results.get(stage + key) for stage in stages]
        if part is not None:
            found = [None if value is None else value[part] for value in found]
        ideal = results.get(f"ideal_{key}") if part is None else None
        rows.append((what, *(_show(value, share) for value in (ideal, *found))))

    for what, mark in (("", ""), (" with the camera's noise", "camera_")):
        add(f"test {task.label}{what}", f"{mark}{task.metric}")
    add(f"test {task.label} with the neighbours' light", f"crosstalk_{task.metric}")
    add("kernel error, mean over kernels", "kernel_error")
    add("kernel error, worst kernel", "kernel_error_worst")
    for branch, resolution in enumerate(name_resolutions(optics)):
        add(f"kernel error at {resolution} resolution", "kernel_error_by_branch", part=branch)
    for colour, name in enumerate(_name_colours(optics)):
        if name:  # of one colour alone it is the mean above
            add(f"kernel error{name}", "kernel_error_by_colour", part=colour)
    for colour, name in enumerate(_name_colours(optics)):
        add(f"root D{name}", "psf_residual", share=False, part=colour)
    add("loss of the authors", "authors_loss", share=False)
    add("efficiency", "efficiency")
    add("cross-talk, mean over sub-optics", "crosstalk")
    add("cross-talk, worst sub-optic", "crosstalk_worst")
    return rows


def _name_colours(optics: SimulatedOptics) -> list[str]:
    if len(optics.wavelengths_nm) == 1:
        return [""]
    return [f" at {wavelength:g} nm" for wavelength in optics.wavelengths_nm]


def _show(value: Any, share: bool) -> str:
    if value is None:
        return "–"
    return f"{100 * value:.2f} %" if share else f"{value:.3f}"
