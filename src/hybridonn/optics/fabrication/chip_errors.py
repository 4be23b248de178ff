"""The magnitudes of the errors of one chip in SI units, and how their laws are applied."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from hybridonn.core.errors import OpticsError
from hybridonn.core.random import generator_of
from hybridonn.core.tables import resolve
from hybridonn.optics.fabrication.table import DESIGNS, ERRORS, TABLE, Step, Target, list_laws

Value = TypeVar("Value")


@dataclass(frozen=True)
class ChipErrors:
    """How far one chip lies from its design.

    ``errors["width_bias_m"]`` is a magnitude; what is not stated has the default of the table,
    which is zero for every error.

    Attributes:
        seed: Seed of all draws of the chip; another seed is another chip of the same process.
        magnitudes: Names of the table with their SI units, and values; zero: no such error.

    Raises:
        OpticsError: The table has no such quantity.
    """

    seed: int = 0
    magnitudes: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        known = {record.quantity: record.default for record in TABLE}
        if unknown := sorted(set(self.magnitudes) - set(known)):
            raise OpticsError(
                f"there is no error of fabrication {', '.join(unknown)}; known are "
                f"{', '.join(known)}"
            )
        object.__setattr__(self, "magnitudes", known | dict(self.magnitudes))

    def __getitem__(self, quantity: str) -> float:
        return self.magnitudes[quantity]

    def with_seed(self, seed: int) -> ChipErrors:
        """Another chip of the same process."""
        return replace(self, seed=seed)

    def list_acting_on(self, *targets: Target) -> tuple[str, ...]:
        """Quantities of the errors that act on these targets and are not zero."""
        quantities = [record.quantity for record in ERRORS if record.acts_on in targets]
        return tuple(quantity for quantity in quantities if self[quantity])

    def list_idle(self, design: str) -> tuple[str, ...]:
        """Quantities of the errors that are not zero and have nothing to act on in a design."""
        idle = [record for record in ERRORS if record.acts_on not in DESIGNS[design]]
        return tuple(record.quantity for record in idle if self[record.quantity])

    def without(self, *targets: Target) -> ChipErrors:
        """The same chip with no errors of these targets: what acts on them is zero."""
        none = dict.fromkeys(self.list_acting_on(*targets), 0.0)
        return replace(self, magnitudes=dict(self.magnitudes) | none)


def draw(error: str, shape: tuple[int, ...], errors: ChipErrors) -> Tensor:
    """Standard normal draws that belong to one error of one chip, whatever the other errors are.

    Args:
        error: Name of the draws, which no other error has.
        shape: Shape of the result.
        errors: Magnitudes, with the seed of the chip.
    """
    return torch.randn(shape, generator=generator_of(f"chip {error}", errors.seed))


def apply_laws(step: Step, value: Value, errors: ChipErrors, made: Any) -> Value:
    """Change a value by each law of one step whose magnitude is not zero.

    Args:
        step: Step of the table.
        value: What the laws of this step change, for example the widths of pillars in metres.
        errors: Magnitudes and the seed.
        made: What the laws of this step may look at beside the value.
    """
    for law, quantities in list_laws(step):
        if any(errors[quantity] for quantity in quantities):
            value = resolve({law: law}, law)(value, errors, made)
    return value
