"""How far a fabricated chip lies from its design."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from hybridonn.spec.section import NotNegative, Section, Seed

Preset = Literal["none", "paper-mnist", "paper-cifar10"]
Share = Annotated[float, Field(ge=0, lt=1)]


class Fabrication(Section):
    """Errors of one simulated chip: each a magnitude, zero switches it off.

    A preset fills in what is not stated. Magnitudes are standard deviations
    of normal draws unless the name says otherwise.
    """

    preset: Preset = "none"
    seed: Seed = 0  # of the draws: another seed is another chip of the same process
    # On kernels; pixels are those of the feature map, two camera pixels or 11.72 um.
    kernel_noise_fraction: NotNegative = 0.0  # delta, of the kernel's root mean square
    brightness_fraction: NotNegative = 0.0  # of each sub-optic and colour
    shift_pixels: NotNegative = 0.0  # of each sub-optic, along each axis
    rotation_degrees: NotNegative = 0.0  # of the chip against the camera, and of each sub-optic
    defocus_pixels: NotNegative = 0.0  # width of the blur a colour (half-normal)
    crosstalk_fraction: Share = 0.0  # of a sub-optic's light, spread over its neighbours
    # On a metasurface's pillars.
    width_bias_nm: NotNegative = 0.0  # of all pillars: dose and development
    width_noise_nm: NotNegative = 0.0  # of each pillar
    etch_depth_fraction: NotNegative = 0.0  # of the pillars' height
    coupling_fraction: Share = 0.0  # of a pillar's light that its neighbours shape (not random)
    stitching_nm: NotNegative = 0.0  # of each write field, along each axis
    write_field_um: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 100.0
    wavelength_offset_nm: NotNegative = 0.0  # of the light source's centre
    bandwidth_nm: NotNegative = 0.0  # full width at half maximum (not random)
    camera: bool = False  # the noise and the rounding of optics.sensor

    @model_validator(mode="before")
    @classmethod
    def _fill_in_preset(cls, given: Any) -> Any:
        if not isinstance(given, Mapping) or given.get("preset") not in PRESETS:
            return given
        return PRESETS[given["preset"]] | dict(given)

    def with_seed(self, seed: int) -> Fabrication:
        """Another chip of the same process."""
        return self.model_copy(update={"seed": seed})


# Magnitudes of pillars: electron-beam lithography keeps widths to a few nanometres and fields
# to some 20 nm, dry etching depth to about 2 %; a laser diode or filtered LED is within some
# nanometres of its nominal colour. The magnitudes on kernels are calibrated, not measured: they
# are chosen in fixed proportions and scaled until the uncompensated drop is near the paper's
# (science.md, section 5: 8 points on MNIST, 28 on CIFAR-10), since it states none.
PILLARS: dict[str, Any] = {
    "width_bias_nm": 3.0,
    "width_noise_nm": 2.0,
    "etch_depth_fraction": 0.02,
    "coupling_fraction": 0.05,
    "stitching_nm": 20.0,
    "wavelength_offset_nm": 2.0,
    "bandwidth_nm": 10.0,
}
PRESETS: dict[str, dict[str, Any]] = {
    "paper-mnist": PILLARS
    | {
        "kernel_noise_fraction": 0.2,
        "brightness_fraction": 0.075,
        "shift_pixels": 0.24,
        "rotation_degrees": 1.0,
        "defocus_pixels": 0.4,
        "crosstalk_fraction": 0.04,
        "camera": True,
    },
    "paper-cifar10": PILLARS
    | {
        "kernel_noise_fraction": 0.2,
        "brightness_fraction": 0.075,
        "shift_pixels": 0.24,
        "rotation_degrees": 1.0,
        "defocus_pixels": 0.4,
        "crosstalk_fraction": 0.04,
        "camera": True,
    },
}
