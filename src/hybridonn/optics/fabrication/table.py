"""The errors of fabrication that a chip can have: plain data, one record for each error.

A new error is one record here and one law in a file of its own. The spec takes its keys and
bounds from this table, reports take the labels, and a study of tolerances takes what is drawn.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

Target = Literal[
    "kernels", "pillars", "light", "source", "mask", "lens", "pictures", "sub-optics", "camera"
]
# What a law changes, in the order in which light meets it.
Step = Literal["process", "widths", "field", "masks", "bench", "kernels", "pictures", "camera"]
# What there is in each kind of optics for errors to act on. Of ideal kernels light and pillars are
# not known: errors of kernels stand for them. A 4f system has no sub-optics side by side.
DESIGNS: dict[str, tuple[Target, ...]] = {
    "kernels": ("kernels", "pictures", "sub-optics", "camera"),
    "metasurface": ("pillars", "light", "pictures", "sub-optics", "camera"),
    "four_f": ("mask", "lens", "light", "source", "pictures", "camera"),
}

NM, UM, MRAD, DEGREES = 1e-9, 1e-6, 1e-3, math.pi / 180
LAWS = "hybridonn.optics.fabrication"


@dataclass(frozen=True)
class FabricationError:
    """One error, or one setting of an error.

    Attributes:
        key: Name in the spec, with the unit of the spec: ``width_bias_nm``.
        quantity: Name in SI units, as the laws use it: ``width_bias_m``.
        acts_on: What the error acts on; :data:`DESIGNS` says which optics have it. ``light`` is
            that of a wave that is simulated, ``sub-optics`` lie side by side on one chip.
        step: What the law changes.
        bounds: Name of the type in :mod:`hybridonn.spec.quantities`, or ``bool``.
        label: Name of the error in figures and tables.
        meaning: What the magnitude is, as the description in the JSON schema of the spec.
        si: SI units in one unit of the spec.
        drawn: Whether chips differ in it; False: one chip shows what it costs.
        law: ``package.module:function`` of ``(value, errors, made)``, which returns the changed
            value; None: the code of the step reads the magnitude itself.
        order: Place among the laws of one step; equal places: in the order of the table.
        default: Value where nothing is stated.
        setting_of: Key of the error that this record is a setting of; None: an error itself.
    """

    key: str
    quantity: str
    acts_on: Target
    step: Step
    bounds: str
    label: str
    meaning: str
    si: float = 1.0
    drawn: bool = True
    law: str | None = None
    order: int = 0
    default: float | bool = 0.0
    setting_of: str | None = None


def _of_masks(key: str, *words: Any, law: str, **more: Any) -> FabricationError:
    """A law that changes the transmission of the masks of a 4f system."""
    place = f"{LAWS}.mask_errors:{law}"
    return FabricationError(key, key, "mask", "masks", *words, law=place, **more)


def _of_bench(
    key: str, target: Target, *words: Any, quantity: str | None = None, **more: Any
) -> FabricationError:
    """What is wrong with where the masks lie, with the lenses or the light of a 4f system."""
    return FabricationError(key, quantity or key, target, "bench", *words, **more)


FOUR_F = (
    _of_masks(
        "mask_phase_levels",
        "Levels",
        "phase levels",
        "Number of phases that a pixel of a mask can have; 0: any; not drawn.",
        law="round_phases",
        drawn=False,
        default=0,
    ),
    _of_masks(
        "mask_amplitude_levels",
        "Levels",
        "amplitude levels",
        "Number of amplitudes from 0 to 1 that a pixel can have; 0: any; not drawn.",
        law="round_amplitudes",
        drawn=False,
        default=0,
    ),
    _of_masks(
        "mask_flatness_radians",
        "PhaseRadians",
        "mask flatness (rad)",
        "Root mean square of a smooth phase error of each mask.",
        law="bend",
        order=1,
    ),
    _of_masks(
        "mask_phase_radians",
        "PhaseRadians",
        "mask phase (rad)",
        "Standard deviation of the phase of each pixel of a mask.",
        law="add_phase_noise",
        order=2,
    ),
    _of_masks(
        "mask_amplitude_fraction",
        "ErrorFraction",
        "mask amplitude",
        "Standard deviation of the amplitude of each pixel of a mask, over the amplitude.",
        law="add_amplitude_noise",
        order=3,
    ),
    _of_bench(
        "mask_gap_fraction",
        "mask",
        "Share",
        "mask gap",
        "Gap between a mask's pixels over their pitch, where light passes undiffracted; not drawn.",
        drawn=False,
    ),
    _of_bench(
        "mask_shift_um",
        "mask",
        "DefocusUm",
        "mask shift (um)",
        "Standard deviation of the place of the masks across the axis, along each direction.",
        quantity="mask_shift_m",
        si=UM,
    ),
    _of_bench(
        "mask_rotation_degrees",
        "mask",
        "AngleDegrees",
        "mask rotation",
        "Standard deviation of the angle of the masks about the axis.",
        quantity="mask_rotation_radians",
        si=DEGREES,
    ),
    _of_bench(
        "mask_scale_fraction",
        "mask",
        "Share",
        "mask scale",
        "Standard deviation of the pitch of the masks' pixels, over the pitch.",
    ),
    _of_bench(
        "focal_length_fraction",
        "lens",
        "Share",
        "focal length",
        "Standard deviation of the focal length of both lenses; all distances stay.",
    ),
    *(
        _of_bench(
            f"lens_{name}_waves",
            "lens",
            "Waves",
            f"{name} (waves)",
            f"Standard deviation of the {name} of the lenses, root mean square over the mask.",
        )
        for name in ("defocus", "astigmatism", "coma", "spherical")
    ),
    _of_bench(
        "source_mrad",
        "source",
        "SourceMrad",
        "source (mrad)",
        "Angular radius of the source as the scene sees it; 0: coherent light; not drawn.",
        quantity="source_radians",
        si=MRAD,
        drawn=False,
    ),
)
TABLE = (
    FabricationError(
        "kernel_noise_fraction",
        "kernel_noise_fraction",
        "kernels",
        "kernels",
        "ErrorFraction",
        "kernel noise",
        "Standard deviation of each pixel of a kernel, over the kernel's root mean square.",
        law=f"{LAWS}.kernel_errors:add_delta",
    ),
    FabricationError(
        "defocus_pixels",
        "defocus_pixels",
        "kernels",
        "pictures",
        "ErrorPixels",
        "defocus",
        "Width of the blur of each colour, half-normal, in pixels of the feature map.",
        law=f"{LAWS}.kernel_errors:defocus",
        order=1,
    ),
    FabricationError(
        "width_bias_nm",
        "width_bias_m",
        "pillars",
        "widths",
        "ErrorNm",
        "width bias (nm)",
        "Standard deviation of what is common to the widths of all pillars: dose, etching.",
        si=NM,
        law=f"{LAWS}.sub_optic_errors:change_widths",
    ),
    FabricationError(
        "width_noise_nm",
        "width_noise_m",
        "pillars",
        "widths",
        "ErrorNm",
        "width noise (nm)",
        "Standard deviation of the width of each pillar.",
        si=NM,
        law=f"{LAWS}.sub_optic_errors:change_widths",
    ),
    FabricationError(
        "etch_depth_fraction",
        "etch_depth_fraction",
        "pillars",
        "process",
        "Share",
        "etch depth",
        "Standard deviation of the height of all pillars of a chip, over the height.",
    ),
    FabricationError(
        "coupling_fraction",
        "coupling_fraction",
        "pillars",
        "field",
        "Share",
        "coupling",
        "Part of a pillar's light that its neighbours shape; not drawn.",
        drawn=False,
        law=f"{LAWS}.sub_optic_errors:couple",
    ),
    FabricationError(
        "stitching_nm",
        "stitching_m",
        "pillars",
        "field",
        "ErrorNm",
        "stitching (nm)",
        "Standard deviation of the place of each write field, along each axis.",
        si=NM,
        law=f"{LAWS}.sub_optic_errors:displace_fields",
        order=1,
    ),
    FabricationError(
        "stitch_field_um",
        "stitch_field_m",
        "pillars",
        "field",
        "WriteFieldUm",
        "write field (um)",
        "Side of a write field.",
        si=UM,
        drawn=False,
        default=500.0,
        setting_of="stitching_nm",
    ),
    FabricationError(
        "wavelength_offset_nm",
        "wavelength_offset_m",
        "light",
        "process",
        "SpectrumNm",
        "wavelength (nm)",
        "Standard deviation of the centre of each colour's source.",
        si=NM,
    ),
    FabricationError(
        "bandwidth_nm",
        "bandwidth_m",
        "light",
        "process",
        "SpectrumNm",
        "bandwidth (nm)",
        "Full width at half maximum of each colour's source; not drawn.",
        si=NM,
        drawn=False,
    ),
    FabricationError(
        "defocus_um",
        "defocus_m",
        "pillars",
        "process",
        "DefocusUm",
        "distance (um)",
        "Standard deviation of the distance from the metasurface to the sensor.",
        si=UM,
    ),
    FabricationError(
        "stray_light",
        "stray_light",
        "pillars",
        "process",
        "bool",
        "stray light",
        "Whether sub-optics throw light onto one another's images; not drawn.",
        drawn=False,
        default=False,
    ),
    FabricationError(
        "brightness_fraction",
        "brightness_fraction",
        "pictures",
        "pictures",
        "ErrorFraction",
        "brightness",
        "Standard deviation of the logarithm of the brightness of each image and colour.",
        law=f"{LAWS}.kernel_errors:brighten",
        order=2,
    ),
    FabricationError(
        "shift_pixels",
        "shift_pixels",
        "pictures",
        "pictures",
        "ErrorPixels",
        "shift",
        "Standard deviation of the place of each image, along each axis.",
        law=f"{LAWS}.kernel_errors:misalign",
    ),
    FabricationError(
        "rotation_degrees",
        "rotation_radians",
        "sub-optics",
        "pictures",
        "AngleDegrees",
        "rotation",
        "Standard deviation of the angle of each sub-optic against the camera.",
        si=DEGREES,
        law=f"{LAWS}.kernel_errors:misalign",
    ),
    FabricationError(
        "crosstalk_fraction",
        "crosstalk_fraction",
        "sub-optics",
        "pictures",
        "Share",
        "cross-talk",
        "Part of a sub-optic's light that is spread over its neighbours; not drawn.",
        drawn=False,
        law=f"{LAWS}.kernel_errors:mix",
        order=3,
    ),
    *FOUR_F,
    FabricationError(
        "camera",
        "camera",
        "camera",
        "camera",
        "bool",
        "camera",
        "Whether the camera adds its noise and rounds.",
        default=False,
    ),
)
ERRORS = tuple(record for record in TABLE if record.setting_of is None)
BY_KEY = {record.key: record for record in TABLE}
BY_QUANTITY = {record.quantity: record for record in TABLE}


def list_keys(*targets: Target) -> tuple[str, ...]:
    """Keys of the errors that act on these targets, in the order of the table; none: all."""
    return tuple(record.key for record in ERRORS if not targets or record.acts_on in targets)


def list_idle(design: str) -> tuple[str, ...]:
    """Keys of the errors that have nothing to act on in a design."""
    return tuple(record.key for record in ERRORS if record.acts_on not in DESIGNS[design])


def list_before_training(design: str) -> tuple[str, ...]:
    """Keys of the errors that a chip of every training step can have: all but the camera's."""
    return tuple(key for key in list_keys() if key not in (*list_idle(design), "camera"))


def list_laws(step: Step) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The laws of one step in the order in which they act, and the quantities of each.

    A law that several records name acts once, where any of them is not zero.
    """
    laws: dict[str, list[str]] = {}
    for record in sorted(ERRORS, key=lambda record: record.order):
        if record.step == step and record.law is not None:
            laws.setdefault(record.law, []).append(record.quantity)
    return tuple((law, tuple(quantities)) for law, quantities in laws.items())
