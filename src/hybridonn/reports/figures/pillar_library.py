"""Figure of a library of pillars: phase and amplitude against width, a curve a wavelength."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hybridonn.optics.meta_atoms.pillars import NM, PillarLibrary
from hybridonn.optics.meta_atoms.published_phase import phase_difference, publishes
from hybridonn.reports.figures.style import INK, WIDTH_IN, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Red, green and blue light, told apart by colour-blind readers by their lightness too.
COLOURS = ("#bd1f01", "#4a9d3b", "#2b4fa2", "#832db6", "#ffa90e", "#717581")


@styled
def draw_library(library: PillarLibrary) -> Figure:
    """Phase over amplitude against width; the authors' curve dashed where there is one."""
    import matplotlib.pyplot as plt

    figure, (phases, amplitudes) = plt.subplots(
        2, 1, figsize=(WIDTH_IN * 0.8, 6), sharex=True, height_ratios=(3, 2), layout="constrained"
    )
    first = library.first_pillar
    widths = library.widths_m[first:].numpy() / NM
    dashed = False
    for colour, wavelength in enumerate(library.wavelengths_m.tolist()):
        values = library.transmission[colour, first:].numpy()
        look = COLOURS[colour % len(COLOURS)]
        phase = np.unwrap(np.angle(values)) / (2 * np.pi)
        phases.plot(widths, phase, color=look, label=f"{wavelength / NM:g} nm")
        if publishes(library, wavelength):
            difference = np.unwrap(phase_difference(library, colour).numpy()) / (2 * np.pi)
            phases.plot(widths, phase - difference, color=look, linestyle="--", linewidth=1.2)
            dashed = True
        amplitudes.plot(widths, np.abs(values), color=look)
    if dashed:
        phases.plot([], [], color=INK, linestyle="--", linewidth=1.2, label="the authors' fit")
    phases.set_title(f"{library.material or 'Pillars'}, {library.height_m / NM:g} nm high")
    phases.set_ylabel("phase from the empty cell (2π)")
    phases.legend(loc="upper left")
    amplitudes.set_ylabel("amplitude")
    amplitudes.set_ylim(0, 1.03)
    amplitudes.set_xlabel(f"width of the pillar (nm), one every {library.period_m / NM:g} nm")
    for axes in (phases, amplitudes):
        axes.grid(axis="y")
    plt.close(figure)
    return figure
