"""How far a fabricated chip lies from its design."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, create_model, model_validator

from hybridonn.core.errors import SpecError
from hybridonn.core.tables import NameOf
from hybridonn.optics.fabrication.table import TABLE, list_keys
from hybridonn.spec import quantities
from hybridonn.spec.presets import PRESETS
from hybridonn.spec.section import Section, Seed

Preset = Annotated[str, NameOf({"none": {}} | PRESETS)]

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
