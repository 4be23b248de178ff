"""Wave optics for design: light through free space, metasurfaces, their fabrication and layout.

The names below are the public front; they are imported when they are first used, so that
``import hybridonn.optics`` is quick. All lengths are in metres.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hybridonn.core.front import open_front

if TYPE_CHECKING:
    from hybridonn.optics.fabrication.chip_errors import ChipErrors
    from hybridonn.optics.fabrication.fabricated_psf import DesignedChip, measure_fabricated_psfs
    from hybridonn.optics.layout.layout_file import LayoutOptions, LayoutSummary, write_layout
    from hybridonn.optics.layout.sites import Layout, SurfaceSize, lay_out
    from hybridonn.optics.meta_atoms.pillars import PillarLibrary, default_library, transmit
    from hybridonn.optics.metasurface.design_rules import DesignRules, check_rules
    from hybridonn.optics.metasurface.inverse_design import (
        DesignContext,
        Limits,
        Recipe,
        design,
        limit_widths,
    )
    from hybridonn.optics.metasurface.pillar_map import ChipDesign, make_design
    from hybridonn.optics.metasurface.psf import BlockPropagator
    from hybridonn.optics.metasurface.sub_optic import Metasurface, fit_metasurface, measure_psf
    from hybridonn.optics.metasurface.targets import Targets, kernel_errors, split_kernels
    from hybridonn.optics.sensor import Sensor, expose
    from hybridonn.optics.waves.four_f import FourFSystem, check_four_f
    from hybridonn.optics.waves.free_space import propagate_to
    from hybridonn.optics.waves.method import Choice, choose_method
    from hybridonn.optics.waves.plane import Plane
    from hybridonn.optics.waves.propagation import Propagator, transfer_function
    from hybridonn.optics.waves.sampling import SamplingReport, SamplingWarning, check_sampling
    from hybridonn.optics.waves.sources import gaussian_beam, plane_wave, thin_lens

__all__ = [
    "BlockPropagator",
    "ChipDesign",
    "ChipErrors",
    "Choice",
    "DesignContext",
    "DesignRules",
    "DesignedChip",
    "FourFSystem",
    "Layout",
    "LayoutOptions",
    "LayoutSummary",
    "Limits",
    "Metasurface",
    "PillarLibrary",
    "Plane",
    "Propagator",
    "Recipe",
    "SamplingReport",
    "SamplingWarning",
    "Sensor",
    "SurfaceSize",
    "Targets",
    "check_four_f",
    "check_rules",
    "check_sampling",
    "choose_method",
    "default_library",
    "design",
    "expose",
    "fit_metasurface",
    "gaussian_beam",
    "kernel_errors",
    "lay_out",
    "limit_widths",
    "make_design",
    "measure_fabricated_psfs",
    "measure_psf",
    "plane_wave",
    "propagate_to",
    "split_kernels",
    "thin_lens",
    "transfer_function",
    "transmit",
    "write_layout",
]

__getattr__, __dir__ = open_front(
    __name__,
    {
        "fabrication.chip_errors": ("ChipErrors",),
        "fabrication.fabricated_psf": ("DesignedChip", "measure_fabricated_psfs"),
        "layout.layout_file": ("LayoutOptions", "LayoutSummary", "write_layout"),
        "layout.sites": ("Layout", "SurfaceSize", "lay_out"),
        "meta_atoms.pillars": ("PillarLibrary", "default_library", "transmit"),
        "metasurface.design_rules": ("DesignRules", "check_rules"),
        "metasurface.inverse_design": (
            "DesignContext",
            "Limits",
            "Recipe",
            "design",
            "limit_widths",
        ),
        "metasurface.pillar_map": ("ChipDesign", "make_design"),
        "metasurface.psf": ("BlockPropagator",),
        "metasurface.sub_optic": ("Metasurface", "fit_metasurface", "measure_psf"),
        "metasurface.targets": ("Targets", "kernel_errors", "split_kernels"),
        "sensor": ("Sensor", "expose"),
        "waves.four_f": ("FourFSystem", "check_four_f"),
        "waves.free_space": ("propagate_to",),
        "waves.method": ("Choice", "choose_method"),
        "waves.plane": ("Plane",),
        "waves.propagation": ("Propagator", "transfer_function"),
        "waves.sampling": ("SamplingReport", "SamplingWarning", "check_sampling"),
        "waves.sources": ("gaussian_beam", "plane_wave", "thin_lens"),
    },
)
