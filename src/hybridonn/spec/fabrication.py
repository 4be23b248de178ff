"""How far a fabricated chip lies from its design."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, create_model, model_validator

from hybridonn.core.errors import SpecError
from hybridonn.core.tables import NameOf
from hybridonn.optics.fabrication.table import BY_KEY, TABLE, list_idle, list_keys
from hybridonn.spec import quantities
from hybridonn.spec.presets import PRESETS
from hybridonn.spec.section import Section, Seed

Preset = Annotated[str, NameOf({"none": {}} | PRESETS)]

ERRORS = list_keys()
# What has what an error acts on, and the key of the spec that brings it.
HOLDERS = {
    "pillars": ("metasurface", "set optics.metasurface"),
    "light": ("metasurface or 4f system", "set optics.metasurface, or optics.frontend to four_f"),
    "source": ("4f system", "set optics.frontend to four_f"),
    "mask": ("mask", "set optics.frontend to four_f"),
    "lens": ("lens", "set optics.frontend to four_f"),
}
# What stands in place of an error in each design.
INSTEAD = {
    "kernels": "fabrication.kernel_noise_fraction or defocus_pixels",
    "metasurface": "fabrication.width_noise_nm, for example, or defocus_um",
    "four_f": "fabrication.mask_phase_radians, for example, or lens_defocus_waves",
}


class _Chip(Section):
    """What every simulated chip has, whatever its errors are."""

    preset: Preset = "none"
    """Errors of a whole process, which fill in the keys that are not stated. `hybridonn list
    presets` prints them.
    """
    seed: Seed = 0
    """Seed of the chip: another seed is another chip of the same process."""


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

    def on(self, design: str) -> Fabrication:
        """The errors that act on a design; what a preset fills in for the others is zero.

        Args:
            design: Kind of optics, ``kernels``, ``metasurface`` or ``four_f``: see
                :data:`hybridonn.optics.fabrication.table.DESIGNS`.

        Raises:
            SpecError: An error is stated that has nothing to act on.
        """
        idle, filled_in = list_idle(design), PRESETS.get(self.preset, {})
        for name in idle:
            value = getattr(self, name)
            if value and value != filled_in.get(name):
                raise SpecError(_refuse(name, value, design))
        return self.model_copy(
            update={name: type(self).model_fields[name].default for name in idle}
        )


def _refuse(name: str, value: Any, design: str) -> str:
    target = BY_KEY[name].acts_on
    shown = value if isinstance(value, bool) else f"{value:g}"
    stated = f"fabrication.{name} is {shown}, but"
    if target in HOLDERS:
        what, cure = HOLDERS[target]
        return (
            f"{stated} this design has no {what} on which it could act; {cure}, or leave it out "
            f"and state {INSTEAD[design]}"
        )
    why = "on a metasurface pillars and distance change the kernels"
    if design == "four_f":
        why = "in a 4f system masks, lenses and light change the kernels"
        if target == "sub-optics":
            why = "the masks of a 4f system are used one after another, and none has a neighbour"
    return f"{stated} {why}; leave it out and state {INSTEAD[design]}"
