"""What a study has measured: kept in its folder by key, never mixed with that of another spec.

The rows of all calls with the same settings stay together, so that a table only grows: more seeds,
designs or values of a grid add rows, fewer take none away, and nothing is measured twice. Settings
are what every row depends on beside its own key. A call with other settings is refused.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hybridonn import __version__
from hybridonn.core.errors import ArtefactError
from hybridonn.core.journal import Journal, read_settings
from hybridonn.reports.formats import flatten

ROWS = "rows.jsonl"
# What is there before the first row: the spec, which opening a folder writes.
BEFORE = ("spec.yaml", ROWS)
MOST_SHOWN = 4  # differences in a message
MOST_LETTERS = 24  # of a value in a message: a checksum is longer


@contextmanager
def open_rows(folder: Path, study: str, settings: dict[str, Any]) -> Iterator[Journal]:
    """Open the rows of a study for reading and adding.

    Args:
        folder: Folder of the study, held by the caller.
        study: Name of the study.
        settings: What every row depends on beside its key, as plain data.

    Raises:
        ArtefactError: The folder holds the rows of another study, or of the same one with other
            settings, or files without rows; the message names what differs.
    """
    told = {"study": study, "hybridonn": __version__} | dict(flatten(settings))
    told = json.loads(json.dumps(told))  # as a file gives it back
    _refuse_others(folder, told)
    with Journal(folder / ROWS, told) as journal:
        yield journal


def name_row(*parts: Any) -> str:
    """The key of a row.

    Args:
        *parts: Plain data that tell it from all other rows of the study.
    """
    return json.dumps(parts, sort_keys=True)


def _refuse_others(folder: Path, told: dict[str, Any]) -> None:
    """Refuse a folder that is not of this study with these settings.

    Raises:
        ArtefactError: See :func:`open_rows`.
    """
    path = folder / ROWS
    if not path.exists():
        others = sorted(
            entry.name
            for entry in folder.iterdir()
            if not entry.name.startswith(".") and entry.name not in BEFORE
        )
        if others:
            raise ArtefactError(
                f"{folder} holds {', '.join(others[:MOST_SHOWN])}, but no {ROWS} that says what "
                "was measured with which spec: it is of another command or of an earlier version; "
                "choose another folder with --out"
            )
        return
    kept = read_settings(path)
    if kept == told:
        return
    if not isinstance(kept, dict) or kept.get("study") != told["study"]:
        other = kept.get("study") if isinstance(kept, dict) else None
        raise ArtefactError(
            f"{folder} holds the study {other or 'of another kind'}, not {told['study']}; choose "
            "another folder with --out"
        )
    raise ArtefactError(
        f"{folder} was measured with other settings: {_tell_apart(kept, told)}. Results of two "
        "specs are not mixed: choose another folder with --out, or state what was stated there "
        f"({folder / 'spec.yaml'})"
    )


def _tell_apart(kept: dict[str, Any], told: dict[str, Any]) -> str:
    keys = [key for key in {**kept, **told} if kept.get(key) != told.get(key)]
    said = [f"{key} is {_show(kept, key)} there and {_show(told, key)} here" for key in keys]
    more = [f"and {len(said) - MOST_SHOWN} more"] if len(said) > MOST_SHOWN else []
    return ", ".join([*said[:MOST_SHOWN], *more])


def _show(tree: dict[str, Any], key: str) -> str:
    if key not in tree:
        return "not stated"
    text = json.dumps(tree[key])
    return text if len(text) <= MOST_LETTERS else f"{text[:MOST_LETTERS]}…"
