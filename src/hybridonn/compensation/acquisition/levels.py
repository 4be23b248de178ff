"""At which value a camera saturates: stated once, or recognised from its frames, and said.

A camera of 12 bits writes files of 16: right-aligned its values end at 4095, left-aligned they are
multiples of 16 and end at 65520. Other levels come from what was done after: a black level that
was subtracted, an average of frames. Light that was clipped shows in the values themselves: the
brightest one stands far more often than those just below it, which noise spreads.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from hybridonn.core.errors import DataError
from hybridonn.data.readers.frame_files import full_scale

Alignment = Literal["left", "right"]
FEWEST_BITS = 8  # of a camera whose depth is recognised
DISTINCT = 16  # values that are all multiples of a power of two by design, not by chance
PILE = 4  # times as often as any value of the upper half: clipped, or a constant
NOISELESS = 0.01  # of the pixels that share the darkest value above 0: nothing spreads values
FILE_BITS = 16  # of the files in which floats of a left-aligned camera were once
SATURATED_SHARE = 1e-4  # of pixels; fewer are hot ones or cosmic rays


@dataclass(frozen=True)
class Tally:
    """What is kept of a frame's values.

    Attributes:
        dtype: Type of the values.
        exposure_s: Exposure of the frame in seconds.
        top: Brightest value of a good pixel.
        together: Pixels that have it and touch another one that does.
        alone: Pixels that have it and touch none.
        pixels: Number of pixels of the frame.
        bits: All bits that are set in any value; 0 of floats.
        distinct: Number of different values among a few thousand pixels.
        piled: The top stands far more often than any value of the upper half.
        noisy: Values are spread by noise.
    """

    dtype: np.dtype[Any]
    exposure_s: float
    top: float
    together: int
    alone: int
    pixels: int
    bits: int
    distinct: int
    piled: bool
    noisy: bool

    def share(self, picture_pixels: float | None = None) -> float:
        """Share of the pixels at the top; 0: so few are single hot pixels or cosmic rays.

        Args:
            picture_pixels: Of one sub-optic's capture, of which a mosaic holds many; None: of the
                frame.
        """
        of = min(self.pixels, picture_pixels or self.pixels)
        if self.together > SATURATED_SHARE * of or self.alone > SATURATED_SHARE * self.pixels:
            return (self.together + self.alone) / self.pixels
        return 0.0


@dataclass(frozen=True)
class Levels:
    """At which value a camera saturates.

    Attributes:
        bits: Bits of the camera; None: its files hold floats, and nothing was stated.
        alignment: Place of the camera's bits in the file's.
        full_scale: Value at which it saturates; infinite: unknown.
        origin: Where the bits come from: they were ``stated``, are ``recognised`` from the frames,
            or those of the ``files``, whose values show nothing else.
        clipped: Other values at which frames were clipped, by exposure in seconds.
    """

    bits: int | None
    alignment: Alignment
    full_scale: float
    origin: Literal["stated", "recognised", "files"] = "files"
    clipped: Mapping[float, float] = field(default_factory=dict)

    def reaches(self, tally: Tally) -> bool:
        """Whether the brightest pixels of a frame are saturated."""
        return tally.top >= min(self.full_scale, self.clipped.get(tally.exposure_s, np.inf))

    def describe(self) -> str:
        """The levels as a sentence without its end."""
        how = {
            "stated": "as stated",
            "recognised": "recognised from the frames",
            "files": "as its files (the values show no fewer)",
        }[self.origin]
        text = "the files hold floats, whose full scale is not known"
        if self.bits is not None:
            text = f"{self.bits} bits, {self.alignment}-aligned, {how}: saturated at "
            text += f"{self.full_scale:.0f}"
        others = sorted(set(self.clipped.values()) - {self.full_scale})
        if others:
            values = ", ".join(f"{value:g}" for value in others)
            text += f"; frames were clipped at {values}, recognised by how often it stands"
        return f"camera: {text}"


def tally(values: np.ndarray, exposure_s: float, bad: np.ndarray | None = None) -> Tally:
    """Count what tells at which value a frame saturates.

    Args:
        values: As the camera wrote them, (..., H, W).
        exposure_s: Exposure of the frame in seconds.
        bad: Hot and dead pixels, (H, W) bool, which do not count.
    """
    good = values[..., ~bad] if bad is not None and bad.any() else values
    if not good.size:
        good = np.zeros(1, values.dtype)
    top = good.max()
    at_top = values == top if bad is None else (values == top) & ~bad
    together = _count_together(at_top)
    count = int(at_top.sum())
    flat = good.ravel()
    few = flat[:: max(1, flat.size // 4096)]
    piled, noisy = _is_piled(flat, top, count)
    return Tally(
        dtype=values.dtype,
        exposure_s=exposure_s,
        top=float(top),
        together=together,
        alone=count - together,
        pixels=int(good.size),
        bits=int(np.bitwise_or.reduce(flat)) if values.dtype.kind == "u" else 0,
        distinct=len(np.unique(few)),
        piled=piled,
        noisy=noisy,
    )


def find_levels(
    tallies: Iterable[Tally], bit_depth: int | None = None, alignment: Alignment | None = None
) -> Levels:
    """At which value a camera saturates.

    Args:
        tallies: Tallies of all frames, of one type.
        bit_depth: Bits of the camera; None: recognised, or those of its files.
        alignment: Alignment of these bits in the file's; None: recognised.

    Raises:
        DataError: The frames hold other values than what is stated allows.
    """
    tallies = list(tallies)
    if not tallies:
        return Levels(bit_depth, alignment or "right", np.inf)
    if bit_depth is not None:
        found = _stated(tallies, bit_depth, alignment)
    elif tallies[0].dtype.kind != "u":
        found = Levels(None, alignment or "right", np.inf)
    else:
        found = _recognised(tallies, alignment)
    groups: dict[float, list[Tally]] = {}
    for one in tallies:
        groups.setdefault(one.exposure_s, []).append(one)
    tops = {exposure: max(one.top for one in some) for exposure, some in groups.items()}
    clipped = {
        one.exposure_s: one.top
        for one in tallies
        if one.piled and one.noisy and one.top == tops[one.exposure_s] < found.full_scale
    }
    return replace(found, clipped=clipped)


def _stated(tallies: list[Tally], bits: int, alignment: Alignment | None) -> Levels:
    dtype = tallies[0].dtype
    files = 8 * dtype.itemsize if dtype.kind == "u" else FILE_BITS
    if bits > files:
        raise DataError(
            f"--bit-depth {bits}: the frames are files of {files} bits, which hold no more; state "
            "the bits of the camera that are in them"
        )
    full = {"right": float(2**bits - 1), "left": float(2**files - 2 ** (files - bits))}
    top, fine = max(one.top for one in tallies), _common_zeros(tallies) < files - bits
    if alignment is None:
        many = max(one.distinct for one in tallies) >= DISTINCT
        coarse = bits < files and not fine and (many or top > full["right"])
        alignment = "left" if coarse else "right"
    if top > full[alignment]:
        cure = f"state --bit-depth {int(top).bit_length()}"
        if alignment == "right" and top <= full["left"]:
            cure += ", or --alignment left where the camera's bits are the upper ones"
        raise DataError(
            f"--bit-depth {bits}: {alignment}-aligned values end at {full[alignment]:.0f}, and the "
            f"frames hold values up to {top:g}; {cure}"
        )
    return Levels(bits, alignment, full[alignment], "stated")


def _recognised(tallies: list[Tally], alignment: Alignment | None) -> Levels:
    dtype = tallies[0].dtype
    files, top = 8 * dtype.itemsize, max(one.top for one in tallies)
    zeros = _common_zeros(tallies)
    many = max(one.distinct for one in tallies) >= DISTINCT
    if alignment != "right" and zeros and many and files - zeros >= FEWEST_BITS:
        return Levels(files - zeros, "left", float(2**files - 2**zeros), "recognised")
    bits = int(top).bit_length()
    ends = top == 2**bits - 1 and FEWEST_BITS <= bits < files
    reached = [one for one in tallies if one.top == top]  # twice, or piled: not by chance
    if alignment != "left" and ends and (len(reached) > 1 or reached[0].piled):
        return Levels(bits, "right", top, "recognised")
    return Levels(files, alignment or "right", full_scale(np.zeros(0, dtype), None))


def _common_zeros(tallies: list[Tally]) -> int:
    """Lowest bits that no value of any frame sets."""
    used = 0
    for one in tallies:
        used |= one.bits
    return (used & -used).bit_length() - 1 if used else 0


def _count_together(at_top: np.ndarray) -> int:
    """Pixels that touch another one, side by side or at a corner."""
    from scipy.ndimage import convolve

    if at_top.sum() < 2:
        return 0
    planes = at_top.reshape(-1, *at_top.shape[-2:]).astype(np.uint8)
    around = convolve(planes, np.ones((1, 3, 3), np.uint8), mode="constant")
    return int(((around > 1) & (planes > 0)).sum())


def _is_piled(values: np.ndarray, top: float, count: int) -> tuple[bool, bool]:
    """Whether the top stands far more often than others, and whether noise spreads the values."""
    rest = values[values < top]
    if not rest.size:
        return False, False
    low = rest.min()
    noisy = low <= 0 or np.count_nonzero(rest == low) <= max(1, NOISELESS * values.size)
    upper = rest[rest > low + (float(top) - float(low)) / 2]
    often = np.unique(upper, return_counts=True)[1].max() if upper.size else 1
    return count > PILE * int(often), bool(noisy)
