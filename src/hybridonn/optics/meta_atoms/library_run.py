"""Makes a library of pillars as files: the table and its convergence record."""

from __future__ import annotations

from math import floor, inf, isfinite
from pathlib import Path

from hybridonn.core.errors import OpticsError
from hybridonn.core.files import write_table
from hybridonn.core.progress import Progress
from hybridonn.optics.meta_atoms.pillars import NM, PillarLibrary
from hybridonn.optics.meta_atoms.rcwa import (
    CHECKED,
    MORE,
    MOST_HARMONICS,
    PillarCell,
    compute_convergence,
    compute_library,
    spread_widths,
)

MOST_LENGTHS = 5000


def make_library(
    cell: PillarCell,
    widths_m: list[float],
    wavelengths_m: list[float],
    harmonics: int,
    out: Path,
    progress: Progress,
) -> PillarLibrary:
    """Compute a library and write ``OUT``, and ``OUT`` with ``.convergence.csv`` beside it.

    Interrupted, the same call goes on where it was: finished points wait in a hidden file
    beside ``OUT`` until both tables are complete.

    Args:
        cell: Geometry and materials.
        widths_m: Widths of the pillars, in metres; 0 is added.
        wavelengths_m: Wavelengths in vacuum, in metres.
        harmonics: Highest harmonic of the library; the record goes from half of it to 4 more.
        out: Path of the CSV.
        progress: Where to show how far it is.

    Raises:
        OpticsError: Geometry that cannot be made, too many harmonics, a wavelength outside a
            table, or the solver is not installed.
        ArtefactError: A file cannot be written.
    """
    if harmonics + MORE > MOST_HARMONICS:
        raise OpticsError(
            f"{harmonics} harmonics, and {harmonics + MORE} of the convergence record; at most "
            f"{MOST_HARMONICS - MORE} and {MOST_HARMONICS} are allowed: ask for fewer"
        )
    journal = out.with_name(f".{out.name}.points")
    widths = sorted({0.0, *widths_m})
    library = compute_library(cell, widths, wavelengths_m, harmonics, journal, progress=progress)
    chosen = spread_widths(widths, CHECKED)
    numbers = sorted(
        {max(1, harmonics // 2), max(1, harmonics * 3 // 4), harmonics, harmonics + MORE}
    )
    record = compute_convergence(cell, chosen, wavelengths_m, numbers, journal, progress=progress)
    library.write_csv(out)
    write_table(out.with_suffix(".convergence.csv"), record)
    journal.unlink(missing_ok=True)
    return library


def parse_lengths(option: str, text: str) -> list[float]:
    """Lengths in nanometres, ``FIRST:LAST:STEP`` or with commas, as metres.

    Raises:
        OpticsError: The text is neither, or a length is listed twice or not positive.
    """
    try:
        lengths = _parse_range(text) if ":" in text else [float(word) for word in text.split(",")]
    except ValueError:
        raise OpticsError(
            f"{option} {text}: write FIRST:LAST:STEP, such as 65:237:1, or numbers with commas"
        ) from None
    wrong = [f"{length:g} is not a length" for length in lengths if not 0 <= length < inf]
    wrong += [f"{length:g} is given twice" for length in lengths if lengths.count(length) > 1]
    if wrong:
        raise OpticsError(
            f"{option} {text}: {wrong[0]}; give each length once, in nanometres, none negative"
        )
    return [length * NM for length in lengths]


def _parse_range(text: str) -> list[float]:
    first, last, step = (float(word) for word in text.split(":"))
    if not (isfinite(first) and isfinite(last) and step > 0 and last >= first):
        raise ValueError(text)
    count = floor((last - first) / step + 1e-9) + 1
    if count > MOST_LENGTHS:
        raise ValueError(text)
    return [first + i * step for i in range(count)]
