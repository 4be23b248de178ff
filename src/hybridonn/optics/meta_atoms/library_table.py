"""Libraries of pillars as CSV: ours, and those of any other solver.

Lines that begin with ``#`` hold notes, ``# period_nm: 293`` and ``# height_nm: 750`` at least.
The columns are ``width_nm``, ``wavelength_nm`` and either ``amplitude`` and ``phase_rad`` or
``real`` and ``imag``; others are ignored. Rows stand in any order, one a width and wavelength.
The amplitude is the square root of the transmitted power; light goes forward as exp(+i k z).
"""

from __future__ import annotations

import cmath
import csv
from collections.abc import Iterable
from math import isfinite
from pathlib import Path

from hybridonn.core.errors import OpticsError

FORMS = (("amplitude", "phase_rad"), ("real", "imag"))
DIGITS = 6  # of amplitude and phase: below what any number of harmonics settles

Points = dict[tuple[float, float], complex]


def format_table(notes: dict[str, str], rows: Iterable[tuple[float, float, complex]]) -> str:
    """Notes and rows (width_nm, wavelength_nm, transmission) as the text of a CSV."""
    lines = [f"# {name}: {' '.join(value.split())}" for name, value in notes.items()]
    lines.append("width_nm,wavelength_nm,amplitude,phase_rad")
    for width, wavelength, value in rows:
        # Adding zero after rounding turns -0.0 into 0.0.
        amplitude, phase = (round(part, DIGITS) + 0.0 for part in cmath.polar(value))
        lines.append(f"{width:.10g},{wavelength:.10g},{amplitude:.{DIGITS}f},{phase:.{DIGITS}f}")
    return "\n".join(lines) + "\n"


def read_table(path: Path) -> tuple[dict[str, str], list[float], list[float], Points]:
    """Read a library's CSV.

    Returns:
        Notes, wavelengths in the order of their first appearance, ascending widths, and the
        transmission by (width, wavelength); all in nanometres.

    Raises:
        OpticsError: The file is missing or no such table, a number is damaged, a width is
            listed twice, or the table has a hole.
    """
    try:
        lines = Path(path).read_text("utf-8-sig").splitlines()
    except OSError as error:
        raise OpticsError(f"cannot read the library {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise OpticsError(f"{path} is not text; a library of pillars is a CSV file") from None
    notes = _read_notes(path, lines)
    numbered = [
        (number, line)
        for number, line in enumerate(lines, 1)
        if line.strip() and not line.startswith("#")
    ]
    points = _read_points(path, numbered)
    wavelengths = list(dict.fromkeys(wavelength for _, wavelength in points))
    widths = sorted({width for width, _ in points})
    _refuse_holes(path, wavelengths, widths, points)
    return notes, wavelengths, widths, points


def note_number(path: Path, notes: dict[str, str], name: str) -> float:
    """A number among the notes, such as a length in nanometres.

    Raises:
        OpticsError: It is missing or no number.
    """
    try:
        return float(notes[name])
    except KeyError:
        raise OpticsError(
            f"{path} does not say its {name}; add the line '# {name}: VALUE' at its top"
        ) from None
    except ValueError:
        raise OpticsError(
            f"{path} says {name}: {_shorten(notes[name])}; it must be a number"
        ) from None


def _read_notes(path: Path, lines: list[str]) -> dict[str, str]:
    notes: dict[str, str] = {}
    for line in lines:
        if line.startswith("#") and ":" in line:
            name, value = (part.strip() for part in line.lstrip("# ").split(":", 1))
            if notes.setdefault(name, value) != value:
                raise OpticsError(
                    f"{path} says {_show(name)} twice: {_show(notes[name])} and {_show(value)}; "
                    "keep one of the two lines"
                )
    return notes


def _split(path: Path, number: int, line: str) -> list[str]:
    try:
        return next(csv.reader([line], strict=True), [])
    except csv.Error as error:
        raise OpticsError(f"{path} line {number} is no row of a CSV ({error})") from None


def _show(text: str) -> str:
    return repr(_shorten(text))


def _shorten(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:77]}..."


def _read_points(path: Path, numbered: list[tuple[int, str]]) -> Points:
    header = [name.strip() for name in _split(path, *numbered[0])] if numbered else []
    form = next((form for form in FORMS if set(form) <= set(header)), None)
    if form is None or not {"width_nm", "wavelength_nm"} <= set(header):
        raise OpticsError(
            f"{path} has the columns {_shorten(', '.join(header)) or '(none)'}; a library needs "
            "width_nm, "
            "wavelength_nm and either amplitude and phase_rad or real and imag"
        )
    if twice := [name for name in header if header.count(name) > 1]:
        raise OpticsError(f"{path} has the column {_show(twice[0])} twice; keep one of the two")
    points: Points = {}
    for number, line in numbered[1:]:
        row = dict.fromkeys(header, "") | dict(
            zip(header, _split(path, number, line), strict=False)
        )
        values = [_number(path, number, name, row[name]) for name in ("width_nm", "wavelength_nm")]
        first, second = (_number(path, number, name, row[name]) for name in form)
        key = values[0], values[1]
        if key in points:
            raise OpticsError(
                f"{path} line {number} holds the width {key[0]:.6g} nm at {key[1]:.6g} nm twice; "
                "keep one of the two rows"
            )
        points[key] = cmath.rect(first, second) if form == FORMS[0] else complex(first, second)
    return points


def _number(path: Path, line: int, name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not isfinite(value) or (name in {"width_nm", "amplitude"} and value < 0):
        allowed = (
            "a number that is not negative" if name in {"width_nm", "amplitude"} else "a number"
        )
        raise OpticsError(f"{path} line {line}: {name} is {_show(text)}; it must be {allowed}")
    return value


def _refuse_holes(
    path: Path, wavelengths: list[float], widths: list[float], points: Points
) -> None:
    # Counted, not listed: a damaged table may have as many holes as the square of its rows.
    if holes := len(widths) * len(wavelengths) - len(points):
        every = ((w, c) for c in wavelengths for w in widths)
        width, wavelength = next(place for place in every if place not in points)
        raise OpticsError(
            f"{path} has {holes} holes: the first is the width {width:.6g} nm at "
            f"{wavelength:.6g} nm; every width must be given at all {len(wavelengths)} wavelengths"
        )
