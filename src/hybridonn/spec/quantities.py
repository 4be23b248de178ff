"""Physical quantities of a spec: a value beyond all that is made is in another unit.

The bounds are far outside of what anybody builds, so that they refuse slips and nothing else:
``wavelengths_nm: [0.532]`` is in micrometres, ``brightness_fraction: 7.5`` in per cent.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, TypeVar

from pydantic import AfterValidator, Field
from pydantic.fields import FieldInfo

from hybridonn.spec.section import Count, NotNegative, Positive

Number = TypeVar("Number", float, int)

METRES = {"nm": 1e-9, "um": 1e-6, "mm": 1e-3, "m": 1.0}
ROUNDING = 1e-9  # decimal lengths are not exact in binary


@dataclass(frozen=True)
class Bounds:
    """The values that a quantity can have, and the units that it is confused with.

    Attributes:
        unit: Unit of the key, as it follows a number.
        least: Smallest value.
        most: Largest value.
        others: Units of other keys or habits, and how many of the key's unit each is.
        zero: Whether 0, which switches something off, is allowed as well.
        typical: Where several units would fit, the one that comes nearest to it is named.
    """

    unit: str
    least: float
    most: float
    others: Mapping[str, float] = field(default_factory=dict)
    zero: bool = False
    typical: float = 0.0

    def check(self, value: Number) -> Number:
        """Return the value.

        Raises:
            ValueError: It lies outside; the message names the unit that would fit.
        """
        if self._hold(value) or (self.zero and value == 0):
            return value
        zero = "0 or " if self.zero else ""
        fitting = {unit: value * of for unit, of in self.others.items() if self._hold(value * of)}
        meant = min(fitting, key=lambda unit: self._distance(fitting[unit]), default=None)
        cure = f"; {value:g} {meant} would be {fitting[meant]:.6g}" if meant else ""
        raise ValueError(
            f"{value:g}{self.unit} is beyond all that is made; allowed are {zero}{self.least:g} to "
            f"{self.most:g}{self.unit}{cure}"
        )

    def _distance(self, value: float) -> float:
        """How many times a value is above or below the typical one, as a logarithm."""
        return abs(math.log(value / self.typical)) if self.typical and value else 0.0

    def _hold(self, value: float) -> bool:
        return self.least * (1 - ROUNDING) <= value <= self.most * (1 + ROUNDING)


def _bound(bounds: Bounds) -> tuple[AfterValidator, FieldInfo]:
    """The check of a key, and its bounds in the schema of the spec."""
    lowest = 0 if bounds.zero else bounds.least
    schema = Field(json_schema_extra={"minimum": lowest, "maximum": bounds.most})
    return AfterValidator(bounds.check), schema


def _length(unit: str, least: float, typical: float, most: float, zero: bool = False) -> Bounds:
    others = {other: METRES[other] / METRES[unit] for other in METRES if other != unit}
    return Bounds(f" {unit}", least, most, others, zero, typical)


# Light for which cameras are made, from the ultraviolet to the thermal infrared.
WavelengthNm = Annotated[Positive, *_bound(_length("nm", 100, 532, 20_000))]
# From some wavelengths to the largest wafer, 450 mm (SEMI M1).
OpticMm = Annotated[Positive, *_bound(_length("mm", 1e-3, 2, 450))]
WaferMm = Annotated[Positive, *_bound(_length("mm", 10, 100, 450))]
GapMm = Annotated[NotNegative, *_bound(_length("mm", 1e-4, 0.05, 50, zero=True))]
DistanceMm = Annotated[Positive, *_bound(_length("mm", 1e-2, 2.4, 10_000))]
FocalLengthMm = Annotated[Positive, *_bound(_length("mm", 1, 100, 10_000))]
PixelUm = Annotated[Positive, *_bound(_length("um", 0.1, 10, 5_000))]
WriteFieldUm = Annotated[Positive, *_bound(_length("um", 10, 500, 100_000))]
PillarNm = Annotated[NotNegative, *_bound(_length("nm", 1, 65, 10_000, zero=True))]
# A hundredth of a nanometre is a tenth of an atom.
ErrorNm = Annotated[NotNegative, *_bound(_length("nm", 0.01, 3, 1_000, zero=True))]
SpectrumNm = Annotated[NotNegative, *_bound(_length("nm", 1e-4, 10, 1_000, zero=True))]
DefocusUm = Annotated[NotNegative, *_bound(_length("um", 1e-3, 10, 10_000, zero=True))]
# Twice the whole is beyond any process: 7.5 means 7.5 %.
ErrorFraction = Annotated[NotNegative, *_bound(Bounds("", 0, 2, {"%": 0.01}))]
Share = Annotated[NotNegative, Field(lt=1)]
ErrorPixels = Annotated[NotNegative, *_bound(Bounds(" pixels", 0, 100))]
AngleDegrees = Annotated[NotNegative, *_bound(Bounds(" degrees", 0, 180))]
PhaseRadians = Annotated[NotNegative, *_bound(Bounds(" rad", 0, 7, {"degrees": math.pi / 180}))]
Waves = Annotated[NotNegative, *_bound(Bounds(" waves", 0, 100, {"nm": 1 / 532}))]
SourceMrad = Annotated[NotNegative, *_bound(Bounds(" mrad", 0, 1000))]
Levels = Annotated[int, Field(ge=0), *_bound(Bounds(" levels", 2, 65_536, zero=True))]
WellElectrons = Annotated[Positive, *_bound(Bounds(" electrons", 100, 1e9, {"thousand": 1e3}))]
NoiseElectrons = Annotated[NotNegative, *_bound(Bounds(" electrons", 0, 1e6))]
Exposure = Annotated[Positive, *_bound(Bounds("", 1e-6, 1e3))]
Bits = Annotated[Count, *_bound(Bounds(" bits", 1, 32))]
MemoryGb = Annotated[Positive, *_bound(Bounds(" GB", 0, 1e6, {"bytes": 1e-9}))]
