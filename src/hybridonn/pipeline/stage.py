"""A stage: work that is done once for its inputs, whole or not at all.

A stage writes into a hidden folder beside its own and takes its final name
only when it is complete. So an interrupted run finds its unfinished folder,
checkpoints included, and an error leaves the earlier results as they were.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any

from hybridonn import __version__
from hybridonn.errors import ArtefactError
from hybridonn.files import cache_folder, read_json, write_json

Work = Callable[[Path], dict[str, Any]]


@dataclass(frozen=True)
class Finished:
    """A stage that is complete.

    Attributes:
        folder: Where its artefacts lie.
        fingerprint: Hash of all that it depends on.
        results: Its numbers.
        seconds: What it took when it was made.
        reused: Whether it was there already.
    """

    folder: Path
    fingerprint: str
    results: dict[str, Any]
    seconds: float
    reused: bool


def fingerprint(**parts: Any) -> str:
    """SHA-256 of everything that a stage depends on, this version of the software included."""
    text = json.dumps(parts | {"hybridonn": __version__}, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def finish(folder: Path, mark: str, work: Work, shared: str | None = None) -> Finished:
    """Make a stage complete: keep it, take it from the shared store, go on with it, or do it.

    Args:
        folder: Where the artefacts of the stage belong.
        mark: The fingerprint of its inputs.
        work: Does the stage in the folder that it is given and returns its numbers.
        shared: A kind of artefact that other runs can use too: kept in the
            user's cache under kind and fingerprint.

    Returns:
        The complete stage.

    Raises:
        ArtefactError: A folder cannot be written.
    """
    if _mark_of(folder) == mark:
        return _finished(folder, reused=True)
    part = folder.with_name(f".{folder.name}.part")
    store = cache_folder() / shared / mark if shared else None
    try:
        if store and _mark_of(store) == mark:
            shutil.rmtree(part, ignore_errors=True)
            shutil.copytree(store, part)
            _move(part, folder)
            return _finished(folder, reused=True)
        _begin(part, mark)
        if _mark_of(part) != mark:
            _do(part, mark, work)
        _move(part, folder)
    except OSError as error:
        raise ArtefactError(
            f"cannot write {error.filename or folder}: {error.strerror or error}; earlier results "
            "are untouched. Free some space or choose another folder with --out"
        ) from None
    if store:
        _share(folder, store)
    return _finished(folder, reused=False)


def _do(part: Path, mark: str, work: Work) -> None:
    started = perf_counter()
    results = work(part)
    (part / "inputs.json").unlink()
    finished = {
        "fingerprint": mark,
        "seconds": round(perf_counter() - started, 3),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "results": results,
        "files": _sizes(part),
    }
    write_json(part / "stage.json", finished)


def _begin(part: Path, mark: str) -> None:
    # What an interrupted run left is gone on with only if it had the same inputs.
    inputs = part / "inputs.json"
    with suppress(ArtefactError):
        if inputs.exists() and read_json(inputs).get("fingerprint") == mark:
            return
    if _mark_of(part) == mark:
        return
    shutil.rmtree(part, ignore_errors=True)
    write_json(inputs, {"fingerprint": mark})


def _mark_of(folder: Path) -> str | None:
    # A stage that has lost a file, or a part of one, is not complete: it is done again.
    try:
        stage = read_json(folder / "stage.json")
        return stage["fingerprint"] if stage["files"] == _sizes(folder) else None
    except (ArtefactError, KeyError, TypeError):
        return None


def _sizes(folder: Path) -> dict[str, int]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != "stage.json")
    return {str(path.relative_to(folder)): path.stat().st_size for path in sorted(files)}


def _finished(folder: Path, reused: bool) -> Finished:
    stage = read_json(folder / "stage.json")
    return Finished(folder, stage["fingerprint"], stage["results"], stage["seconds"], reused)


def _move(part: Path, folder: Path) -> None:
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    part.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def _share(folder: Path, store: Path) -> None:
    # The store only saves time: a cache that cannot be written must not fail a run.
    part = store.with_name(f".{store.name}.{os.getpid()}.part")
    with suppress(OSError):
        part.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(folder, part)
        if _mark_of(store) is None:
            shutil.rmtree(store, ignore_errors=True)
            part.rename(store)
    shutil.rmtree(part, ignore_errors=True)
