"""A plane of samples across the light, anywhere and of any pitch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral

from torch import Tensor

from hybridonn.core.errors import OpticsError
from hybridonn.optics.waves.kernels import Length, check_pitch, number, on_device, sample_steps


@dataclass(frozen=True)
class Plane:
    """Samples of a plane across the light.

    Attributes:
        shape: Numbers of samples (H, W), down and to the right.
        pitch_m: Distance from sample to sample, in metres; a tensor carries a gradient.
        shift_m: Place of the centre, (down, right) in metres.

    Raises:
        OpticsError: A number of samples, or a length, that no plane can have.
    """

    shape: tuple[int, int]
    pitch_m: Length
    shift_m: tuple[Length, Length] = (0.0, 0.0)

    def __post_init__(self) -> None:
        for name, pair in (("shape", self.shape), ("shift_m", self.shift_m)):
            if not isinstance(pair, Sequence) or len(pair) != 2:
                raise OpticsError(
                    f"{name} of a plane is {pair!r}; it must be two numbers, down and to the right"
                )
        if not all(isinstance(n, Integral) and n > 0 for n in self.shape):
            raise OpticsError(
                f"shape of a plane is {self.shape!r}; it must be two whole numbers of at least 1"
            )
        check_pitch(self.pitch_m)
        for shift_m in map(number, self.shift_m):
            if not math.isfinite(shift_m):
                raise OpticsError(f"shift_m of a plane holds {shift_m:g}; it must be finite")

    def places(self) -> tuple[Tensor, Tensor]:
        """Where the samples lie: y, down, and x, to the right, in metres, float64."""
        y, x = (
            sample_steps(n) * on_device(self.pitch_m, "cpu") + on_device(shift, "cpu")
            for n, shift in zip(self.shape, self.shift_m, strict=True)
        )
        return y, x

    def farthest(self, other: Plane) -> tuple[float, float]:
        """Largest distances of a sample here to one there, along y and along x, in metres."""
        rows, columns = (
            max(abs(number(one[0]) - number(two[-1])), abs(number(one[-1]) - number(two[0])))
            for one, two in zip(self.places(), other.places(), strict=True)
        )
        return rows, columns

    def shares_grid(self, other: Plane) -> bool:
        """Whether the pitches are one number, so that offsets repeat from sample to sample."""
        pitches = (self.pitch_m, other.pitch_m)
        learnt = any(isinstance(pitch, Tensor) and pitch.requires_grad for pitch in pitches)
        same = pitches[0] is pitches[1]
        return same or (not learnt and number(pitches[0]) == number(pitches[1]))
