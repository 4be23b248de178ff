"""The kinds of the values that a report takes from ``results.json`` and ``record.json``.

Files of a run can be changed or damaged in ways that JSON allows. What is computed with is
checked once, before anything is drawn; what is only shown may be anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from math import isfinite
from pathlib import Path
from typing import Any

from hybridonn.core.errors import ArtefactError
from hybridonn.reports.artefacts.reading import refusal

PATIENT_SHARES = ("accuracy", "balanced_accuracy", "sensitivity", "specificity", "auc")
MOST = 1e15  # larger numbers stand for nothing that a run measures


@dataclass(frozen=True)
class Kind:
    """A kind of value.

    Attributes:
        name: What a message calls it.
        fits: Whether a value is of it.
    """

    name: str
    fits: Callable[[Any], bool]

    def or_null(self) -> Kind:
        """The same kind, or null: a number that was not finite."""
        return Kind(f"{self.name} or null", lambda value: value is None or self.fits(value))


def is_number(value: Any) -> bool:
    """Whether a value is a finite number that can be computed with."""
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    return plain and -MOST <= value <= MOST and isfinite(value)


def is_share(value: Any) -> bool:
    """Whether a value is a number from 0 to 1."""
    return is_number(value) and 0 <= value <= 1


def is_count(value: Any) -> bool:
    """Whether a value is a whole number, 0 or more."""
    return is_number(value) and isinstance(value, int) and value >= 0


def _is_by_patient(value: Any) -> bool:
    """Whether a value is what a task measures of patients."""
    if not isinstance(value, dict):
        return False
    rows = value.get("confusion")
    square = isinstance(rows, list) and all(
        isinstance(row, list) and len(row) == len(rows) and all(map(is_count, row)) for row in rows
    )
    shares = all(map(is_share, (one for name, one in value.items() if name in PATIENT_SHARES)))
    return square and shares and INTERVALS.fits(value.get("intervals"))


NUMBER = Kind("a finite number", is_number)
LENGTH = Kind("a number, 0 or more", lambda value: is_number(value) and value >= 0)
SHARE = Kind("a number from 0 to 1", is_share)
COUNT = Kind("a whole number, 0 or more", is_count)
SIZE = Kind("a whole number, 1 or more", lambda value: is_count(value) and value >= 1)
TEXT = Kind("a text", lambda value: isinstance(value, str))
TRUTH = Kind("true or false", lambda value: isinstance(value, bool))
MAPPING = Kind("a mapping of keys to values", lambda value: isinstance(value, dict))
NAMES = Kind(
    "a list of names, at least one",
    lambda value: isinstance(value, list) and bool(value) and all(type(n) is str for n in value),
)
NUMBERS = Kind(
    "a list of numbers",
    lambda value: isinstance(value, list) and all(n is None or is_number(n) for n in value),
)
SCORES = Kind(
    "a mapping of names to numbers, with a whole number of captures",
    lambda value: (
        isinstance(value, dict)
        and all(map(is_number, value.values()))
        and is_count(value.get("captures", 0))
    ),
)
INTERVALS = Kind(
    "a mapping of names to two numbers from 0 to 1",
    lambda value: (
        isinstance(value, dict)
        and all(
            isinstance(ends, list | tuple) and len(ends) == 2 and all(map(is_share, ends))
            for ends in value.values()
        )
    ),
)
PATIENTS = Kind(
    "measures with a square table of counts, confusion", lambda value: _is_by_patient(value)
)

# The first pattern that a key fits decides; a key that fits none is only shown.
PLAIN_RESULTS: Mapping[str, Kind] = {
    "metasurface.psf_residual": NUMBERS,
    "metasurface.*_psf_residual": NUMBERS,
    "metasurface.*_by_colour": NUMBERS,
    "metasurface.*_by_branch": NUMBERS,
    **dict.fromkeys(
        (
            *("metasurface.*kernel_error", "metasurface.*kernel_error_worst"),
            *("metasurface.*authors_loss", "metasurface.*efficiency"),
            *("metasurface.*crosstalk", "metasurface.*crosstalk_worst"),
        ),
        NUMBER.or_null(),
    ),
    **dict.fromkeys(("metasurface.*_nm", "metasurface.*_mm"), LENGTH),
    "metasurface.numerical_aperture": NUMBER,
    **dict.fromkeys(("metasurface.cells", "metasurface.sub_optics"), COUNT),
    **dict.fromkeys(("metasurface.material", "metasurface.substrate"), TEXT),
    **dict.fromkeys(("estimate.train_images", "estimate.test_images"), SIZE),
    "estimate.uncertainty": SHARE,
    "baseline.teacher_margin": NUMBER,
    "*.intervals": INTERVALS,
    "*.by_patient": PATIENTS,
    "compensated.fraction": SHARE,
    **dict.fromkeys(("compensated.captures", "compensated.twin_images"), COUNT),
    "compensated.labelled": TRUTH,
    **dict.fromkeys(("compensated.calibration", "compensated.method"), TEXT),
    "compensated.fractions_by": TEXT,
    "compensated.held_out": SCORES,
}
RECORD: Mapping[str, Kind] = {
    "data.classes": NAMES,
    **dict.fromkeys(("data.student_train", "data.test"), COUNT),
    "seconds.*": NUMBER,
    "hashes.*": TEXT,
}
SECTIONS = (
    *("student", "teacher", "baseline", "estimate", "metasurface", "fabricated", "compensated"),
    *("data", "seconds", "versions", "seeds", "hashes"),
)
# Keys that a section has if it has the first of them.
TOGETHER = (
    (
        *("metasurface.height_nm", "metasurface.narrowest_nm", "metasurface.widest_nm"),
        *("metasurface.period_nm", "metasurface.cell_nm", "metasurface.aperture_mm"),
        *("metasurface.distance_mm", "metasurface.numerical_aperture", "metasurface.cells"),
        *("metasurface.sub_optics", "metasurface.material", "metasurface.substrate"),
    ),
    (
        *("compensated.method", "compensated.captures", "compensated.fraction"),
        *("compensated.labelled", "compensated.calibration"),
    ),
)


def list_result_kinds(shares: Iterable[str]) -> dict[str, Kind]:
    """The kinds of the values of ``results.json``, by a pattern of ``section.key``.

    Args:
        shares: The measures of the run's task that are shares.
    """
    designed = {f"metasurface.*{name}": SHARE.or_null() for name in shares}
    stated = {f"*{mark}{name}": SHARE for name in shares for mark in "._"}
    return designed | dict(PLAIN_RESULTS) | stated


def check_values(tree: dict[str, Any], kinds: Mapping[str, Kind], path: Path, stage: str) -> None:
    """Refuse a tree in which a value is not of the kind that it is taken for.

    Args:
        tree: Sections of keys and values.
        kinds: By a pattern of ``section.key``; those that are not there are not asked for.
        path: The file, for the message.
        stage: What writes it, for the message.

    Raises:
        ArtefactError: A value is of another kind, or keys that belong together are not all there.
    """
    for section in SECTIONS:
        if section in tree and not isinstance(tree[section], dict):
            raise ArtefactError(refusal(path, stage, _say(section, tree[section], MAPPING)))
    flat = {
        f"{section}.{key}": value
        for section, values in tree.items()
        if isinstance(values, dict)
        for key, value in values.items()
    }
    for key, value in flat.items():
        kind = next((kind for like, kind in kinds.items() if fnmatchcase(key, like)), None)
        if kind is not None and not kind.fits(value):
            raise ArtefactError(refusal(path, stage, _say(key, value, kind)))
    for keys in TOGETHER:
        missing = [key for key in keys if key not in flat]
        if missing and keys[0] in flat:
            raise ArtefactError(refusal(path, stage, f"it lacks {', '.join(missing)}"))


def _say(key: str, value: Any, kind: Kind) -> str:
    return f"{key[:80]} is {str(value)[:40]!r}, and {kind.name} is needed"
