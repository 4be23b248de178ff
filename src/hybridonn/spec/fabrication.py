"""How far a fabricated chip lies from its design."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, create_model, model_validator

from hybridonn.core.errors import SpecError
from hybridonn.optics.fabrication.table import TABLE, list_keys
from hybridonn.spec import quantities
from hybridonn.spec.section import Section, Seed

Preset = Literal["none", "paper-mnist", "poor-mnist", "paper-cifar10", "electron-beam"]

# Without a metasurface these stand for what its pillars and its distance do to the kernels.
KERNELS_ONLY = list_keys("kernels")
PILLARS_ONLY = list_keys("pillars")
SUB_OPTICS = list_keys("sub-optics")
ERRORS = list_keys()


class _Chip(Section):
    """What every simulated chip has, whatever its errors are."""

    preset: Preset = "none"
    seed: Seed = 0  # of the draws: another seed is another chip of the same process


def _list_fields() -> dict[str, Any]:
    """A key of the spec for each record of the table, with its bounds and its meaning."""
    kinds = vars(quantities) | {"bool": bool}
    return {
        record.key: (kinds[record.bounds], Field(record.default, description=record.meaning))
        for record in TABLE
    }


_Errors: Any = create_model("_Errors", __base__=_Chip, **_list_fields())


class Fabrication(_Errors):
    """Errors of one simulated chip: each a magnitude, zero switches it off.

    A preset fills in what is not stated. The keys are those of the table in
    :mod:`hybridonn.optics.fabrication.table`, whose records say what each magnitude is and name
    its law. Pixels are those of the feature map: two camera pixels, or 11.72 um, in the paper's
    system.
    """

    @model_validator(mode="before")
    @classmethod
    def _fill_in_preset(cls, given: Any) -> Any:
        # What is no preset, a list for example, is refused by its own field, not here.
        filled = PRESETS.get(str(given.get("preset"))) if isinstance(given, Mapping) else None
        return given if filled is None else filled | dict(given)

    def with_seed(self, seed: int) -> Fabrication:
        """Another chip of the same process."""
        return self.model_copy(update={"seed": seed})

    def on(self, metasurface: bool) -> Fabrication:
        """The errors that act on a design; what a preset fills in for the other kind is zero.

        Args:
            metasurface: The design has pillars; else it is kernels alone.

        Raises:
            SpecError: An error is stated that has nothing to act on.
        """
        idle = KERNELS_ONLY if metasurface else PILLARS_ONLY
        filled_in = PRESETS.get(self.preset, {})
        for name in idle:
            value = getattr(self, name)
            if value and value != filled_in.get(name):
                raise SpecError(_refuse(name, value, metasurface))
        return self.model_copy(
            update={name: type(self).model_fields[name].default for name in idle}
        )


def _refuse(name: str, value: Any, metasurface: bool) -> str:
    if metasurface:
        return (
            f"fabrication.{name} is {value:g}, but on a metasurface pillars and distance change "
            "the kernels; leave it out and state fabrication.width_noise_nm, for example, or "
            "defocus_um"
        )
    return (
        f"fabrication.{name} is {value}, but this design has no metasurface on which it could "
        "act; set optics.metasurface, or leave it out and state "
        "fabrication.kernel_noise_fraction or defocus_pixels"
    )


# A process that writes with electrons and etches silicon nitride 750 nm deep, behind laser-line
# filters of 10 nm. All magnitudes are assumed: none was measured on such pillars.
ELECTRON_BEAM: dict[str, Any] = {
    "width_bias_nm": 3.0,
    "width_noise_nm": 2.0,
    "etch_depth_fraction": 0.005,
    "coupling_fraction": 0.05,
    "stitching_nm": 20.0,
    "wavelength_offset_nm": 1.0,
    "bandwidth_nm": 10.0,
    "defocus_um": 10.0,
    "stray_light": True,
    "camera": True,
}
# Calibrated, not measured: in fixed proportions, scaled until the mean uncompensated drop of
# simulated MNIST chips is near the 8 points of Xiang et al. 2025, which states no magnitudes.
PAPER_MNIST: dict[str, Any] = {
    "kernel_noise_fraction": 0.2,
    "brightness_fraction": 0.075,
    "shift_pixels": 0.24,
    "rotation_degrees": 1.0,
    "defocus_pixels": 0.4,
    "crosstalk_fraction": 0.04,
    "camera": True,
}
# A poor chip, to see how far compensation reaches: twice the errors (the noise of its kernels two
# and a half times), which leave a third of MNIST's digits.
POOR_MNIST: dict[str, Any] = {
    "kernel_noise_fraction": 0.5,
    "brightness_fraction": 0.15,
    "shift_pixels": 0.5,
    "rotation_degrees": 2.0,
    "defocus_pixels": 0.8,
    "crosstalk_fraction": 0.08,
    "camera": True,
}
# The proportions of PAPER_MNIST for the 28 points of CIFAR-10: kernels of three colours bear less.
CIFAR10_SCALE = 0.375
PAPER_CIFAR10: dict[str, Any] = {
    name: value if value is True else round(CIFAR10_SCALE * value, 6)
    for name, value in PAPER_MNIST.items()
}
# On a metasurface the pillars' errors stand in for those of kernels alone.
PRESETS: dict[str, dict[str, Any]] = {
    "paper-mnist": ELECTRON_BEAM | PAPER_MNIST,
    "poor-mnist": ELECTRON_BEAM | POOR_MNIST,
    "paper-cifar10": ELECTRON_BEAM | PAPER_CIFAR10,
    "electron-beam": ELECTRON_BEAM,
}
