"""The pillars of a chip: materials and sizes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def list_pillar_numbers(
    numbers: dict[str, Any], wavelengths_nm: Sequence[float]
) -> list[tuple[str, ...]]:
    """What the chip is made of, as a table, header first; empty for an earlier version's stage."""
    if "height_nm" not in numbers:
        return []
    narrowest, widest = numbers["narrowest_nm"], numbers["widest_nm"]
    return [
        ("", "value"),
        ("pillars", name_material(numbers["material"])),
        ("substrate", name_material(numbers["substrate"])),
        ("height of the pillars", f"{numbers['height_nm']:g} nm"),
        ("width of the pillars", f"{narrowest:g} to {widest:g} nm"),
        ("period of the pillars", f"{numbers['period_nm']:g} nm"),
        ("cell of equal pillars", f"{numbers['cell_nm']:g} nm"),
        ("sub-optics", f"{numbers['sub_optics']:,}"),
        ("side of a sub-optic", f"{numbers['aperture_mm']:.4g} mm, {numbers['cells']:,} cells"),
        ("metasurface to sensor", f"{numbers['distance_mm']:g} mm"),
        ("numerical aperture (NA)", f"{numbers['numerical_aperture']:.3f}"),
        ("wavelengths", f"{list_wavelengths(wavelengths_nm)} nm"),
    ]


def name_material(text: str) -> str:
    """A material for the eye: ``Si3N4/Beliaev`` is Si3N4 with the index that Beliaev measured."""
    if not text:
        return "a material that the library does not name"
    formula, _, source = text.partition("/")
    return f"{formula} ({source})" if source else formula


def list_wavelengths(wavelengths_nm: Sequence[float]) -> str:
    """Wavelengths in nm with commas between them."""
    return ", ".join(f"{wavelength:g}" for wavelength in wavelengths_nm)
