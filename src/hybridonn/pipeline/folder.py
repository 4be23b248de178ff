"""The folder of a run: one owner at a time, every number in one place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hybridonn.errors import ArtefactError
from hybridonn.files import read_json, write_json
from hybridonn.spec import Spec, read_spec

MARKS = ("spec.yaml", "record.json", "results.json", ".lock")


@contextmanager
def open_folder(folder: Path) -> Iterator[Path]:
    """Make the folder of a run and hold it, so that no second command writes into it.

    One that was made here and in which nothing was left is taken away again.

    Raises:
        ArtefactError: The folder cannot be written, holds something else, or
            is in use.
    """
    import fcntl

    made = not folder.exists()
    try:
        if folder.is_dir() and any(folder.iterdir()) and not _is_run(folder):
            raise ArtefactError(
                f"{folder} is not empty and not a run folder; choose another with --out"
            )
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("w")
    except OSError as error:
        raise ArtefactError(
            f"cannot write the run folder {folder}: {error.strerror or error}; "
            "choose another with --out"
        ) from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ArtefactError(
                f"{folder} is in use by another hybridonn command; wait for it or choose "
                "another folder with --out"
            ) from None
        try:
            yield folder
        finally:
            if made and [entry.name for entry in folder.glob("*")] == [".lock"]:
                (folder / ".lock").unlink()
                folder.rmdir()


def read_run_spec(folder: Path, settings: tuple[str, ...] = ()) -> Spec:
    """The spec that a run was made from, with ``key.path=value`` settings laid over it.

    Raises:
        ArtefactError: The folder is no run.
        SpecError: A setting is not allowed.
    """
    path = folder / "spec.yaml"
    if not path.is_file():
        raise ArtefactError(
            f"{folder} is no run folder: it holds no spec.yaml; name a finished run"
        )
    return read_spec(path, settings)


def add_results(folder: Path, results: dict[str, Any]) -> dict[str, Any]:
    """Put the numbers of stages into ``results.json`` and return all that it holds.

    Args:
        folder: The run.
        results: Numbers by stage: ``{"student": {"accuracy": 0.97}}`` is the key
            ``student.accuracy``.
    """
    path = folder / "results.json"
    known = read_json(path) if path.exists() else {}
    known |= results
    write_json(path, known)
    return known


def _is_run(folder: Path) -> bool:
    return any((folder / mark).exists() for mark in MARKS) or all(
        entry.name.startswith(".") for entry in folder.iterdir()
    )
