"""How far a fabricated chip lies from its design."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from hybridonn.spec.section import NotNegative, Section, Seed

Preset = Literal["none", "paper-mnist"]
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


# Calibrated, not measured: in fixed proportions, scaled until the mean uncompensated drop of
# simulated MNIST chips is near the 8 points of Xiang et al. 2025, which states no magnitudes.
PRESETS: dict[str, dict[str, Any]] = {
    "paper-mnist": {
        "kernel_noise_fraction": 0.2,
        "brightness_fraction": 0.075,
        "shift_pixels": 0.24,
        "rotation_degrees": 1.0,
        "defocus_pixels": 0.4,
        "crosstalk_fraction": 0.04,
        "camera": True,
    },
}
