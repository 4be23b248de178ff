"""The folder of a stage: made once for its inputs, whole or not at all, and checked before use.

A stage writes into a hidden folder beside its own and takes its final name only when it is
complete. So an interrupted run finds its unfinished folder, checkpoints included, and an error
leaves the earlier results as they were. What begins with ``checkpoint`` only serves to go on after
an interruption: it is removed last, when all else is complete and on the disk.

``stage.json`` holds a checksum of every artefact and of itself. They are compared once a process,
before anything is read, and what does not match is made again. CRC-32 runs at several gigabytes a
second: where all stages of a run of the digits are kept, it takes 0.02 % of the time.

Before a folder takes its name, its files and their names are written through to the disk
(fsync): a power cut cannot leave a finished stage that is empty. It costs 3 ms a file, 0.4 % of a
run of the digits, and for large files what the disk takes to write them. Copies in the cache are
not written through: their checksums tell what a power cut has left of them, and they are made
again. ``benchmarks/integrity.py`` measures both.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any, Literal

from hybridonn.core.errors import ArtefactError
from hybridonn.core.files import cache_folder, checksum, checksum_of, read_json, sync, write_json
from hybridonn.core.parts import hold, put_folder, remove, scratch_folder, sweep
from hybridonn.core.stage_record import (
    RECORD,
    DamagedError,
    check_files,
    explain_damage,
    read_record,
)

Work = Callable[[Path], dict[str, Any]]
Say = Callable[[str], None]
# A stage of these inputs is there; it is copied from the user's cache, since another run made it;
# it was interrupted and goes on; or it is done from its beginning.
State = Literal["kept", "copied", "continued", "new"]

INPUTS = "inputs.json"  # of a stage that is not complete: the fingerprint of its inputs


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


def finish(
    folder: Path, mark: str, work: Work, shared: str | None = None, say: Say = lambda line: None
) -> Finished:
    """Make a stage complete: keep it, take it from the cache, go on with it, or do it.

    Args:
        folder: Where the artefacts of the stage belong.
        mark: The fingerprint of its inputs.
        work: Does the stage in the folder that it is given and returns its numbers.
        shared: A kind of artefact that other runs can use too: kept in the
            user's cache under kind and fingerprint.
        say: Is told in a line what was damaged and is made again.

    Returns:
        The complete stage.

    Raises:
        ArtefactError: A folder cannot be written.
    """
    if kept := _find(folder, mark, say):
        return kept
    part = name_unfinished(folder)
    store = cache_folder() / shared / mark if shared else None
    with _take_turns(store, folder.name, say):
        try:
            if store and _take(store, folder, mark, say):
                remove(part)  # of an interrupted run
                return _read(folder, reused=True)
            _begin(part, mark)
            if not _find(part, mark, say):
                _do(part, mark, work)
            _settle(part, folder, durable=True)
        except OSError as error:
            raise ArtefactError(
                f"cannot write {error.filename or folder}: {error.strerror or error}; earlier "
                "results are untouched. Free some space or choose another folder with --out"
            ) from None
        if store:
            _share(folder, store, mark)
    return _read(folder, reused=False)


def begin(folder: Path, mark: str, shared: str | None = None) -> Path | None:
    """The folder of a stage that is not complete, where work for it can be done beforehand.

    Args:
        folder: Where the artefacts of the stage belong.
        mark: The fingerprint of its inputs.
        shared: As of :func:`finish`.

    Returns:
        The folder that :func:`finish` will go on with; None: the stage is complete, here or in
        the cache.
    """
    silent: Say = lambda line: None  # noqa: E731
    if _find(folder, mark, silent) or (
        shared and _find(cache_folder() / shared / mark, mark, silent)
    ):
        return None
    part = name_unfinished(folder)
    _begin(part, mark)
    return part


def name_unfinished(folder: Path) -> Path:
    """The folder in which a stage is made before it gets its own.

    Args:
        folder: Where its artefacts belong.
    """
    return folder.with_name(f".{folder.name}.part")


def find_state(
    folder: Path, mark: str, shared: str | None = None, say: Say = lambda line: None
) -> State:
    """What :func:`finish` would do with a stage; nothing is changed.

    Args:
        folder: Where the artefacts of the stage belong.
        mark: The fingerprint of its inputs.
        shared: As for :func:`finish`.
        say: Is told in a line what was damaged and would be made again.
    """
    if _find(folder, mark, say):
        return "kept"
    store = cache_folder() / shared / mark if shared else None
    if store and (store / RECORD).exists() and _is_sound(store, mark):
        return "copied"
    return "continued" if _is_begun(_part_of(folder), mark) else "new"


def _part_of(folder: Path) -> Path:
    """Where the artefacts of a stage lie until it is complete."""
    return folder.with_name(f".{folder.name}.part")


def turns_folder() -> Path:
    """Where the locks lie by which commands take turns to make what they share: KIND-MARK."""
    return cache_folder() / ".locks"


@contextmanager
def _take_turns(store: Path | None, name: str, say: Say) -> Iterator[None]:
    """Hold an artefact that is shared, so that of several runs that want it one makes it."""
    with ExitStack() as stack:
        if store:
            path = turns_folder() / f"{store.parent.name}-{store.name}"
            with suppress(OSError, ArtefactError):  # the cache only saves time
                path.parent.mkdir(parents=True, exist_ok=True)
                if not stack.enter_context(hold(path, wait=False)):
                    say(f"another command makes the same {name}; this one waits and takes it")
                    stack.enter_context(hold(path, wait=True))
                # Who still waits then holds a file without a name, and takes what is shared.
                stack.callback(lambda: remove(path) if (store / RECORD).exists() else None)
        yield


def read_stage(folder: Path) -> Finished:
    """A finished stage whose artefacts are what they were when it was made.

    Raises:
        ArtefactError: The stage is not finished, or a file of it is missing or damaged.
    """
    if not (folder / RECORD).exists():
        raise ArtefactError(
            f"{folder / RECORD} is missing, so the stage {folder.name} is not finished; run the "
            "spec of this run again"
        )
    try:
        check_files(folder)
    except DamagedError as error:
        raise ArtefactError(explain_damage(error, folder)) from None
    return _read(folder, reused=True)


def _find(folder: Path, mark: str, say: Say) -> Finished | None:
    """The stage in a folder, if it is complete, undamaged and of these inputs."""
    if not (folder / RECORD).exists():
        return None
    try:
        if read_record(folder)["fingerprint"] != mark:
            return None
        check_files(folder, mark)
    except DamagedError as error:
        say(f"{error.say(folder)}; the stage is made again")
        return None
    return _read(folder, reused=True)


def _take(store: Path, folder: Path, mark: str, say: Say) -> bool:
    """Copy a stage from the cache into a run; False where there is none that is sound."""
    sweep(store.parent)
    if not (store / RECORD).exists():
        return False
    with scratch_folder(folder) as copy:
        try:
            _copy(store, copy)
            check_files(copy, mark)
        except DamagedError as error:
            say(f"{error.say(store)}; the stage is made again")
            return False
        except OSError as error:
            say(f"{store} cannot be read ({error.strerror or error}); the stage is made again")
            return False
        _settle(copy, folder, durable=False)
    return True


def _begin(part: Path, mark: str) -> None:
    # What an interrupted run left is gone on with only if it had the same inputs.
    if _is_begun(part, mark):
        _drop_parts(part)
        return
    remove(part)
    write_json(part / INPUTS, {"fingerprint": mark})


def _is_begun(part: Path, mark: str) -> bool:
    """Whether an interrupted run left a part of the same inputs, whole or not."""
    with suppress(ArtefactError, DamagedError):
        if (part / RECORD).exists() and read_record(part)["fingerprint"] == mark:
            return True
        known = read_json(part / INPUTS)
        return isinstance(known, dict) and known.get("fingerprint") == mark
    return False


def _do(part: Path, mark: str, work: Work) -> None:
    started = perf_counter()
    (part / RECORD).unlink(missing_ok=True)  # of a stage that has turned out to be damaged
    try:
        results = work(part)
    except BaseException:
        if [path.name for path in part.iterdir()] == [INPUTS]:
            remove(part)  # there is nothing to go on with
        raise
    _drop_parts(part)
    write_record(part, mark, results, perf_counter() - started)


def write_record(folder: Path, mark: str, results: dict[str, Any], seconds: float = 0.0) -> None:
    """Write ``stage.json``, which makes the files of a folder the artefacts of a complete stage.

    Args:
        folder: The folder with all its artefacts.
        mark: The fingerprint of the stage.
        results: Its numbers.
        seconds: What it took.
    """
    files = {path.relative_to(folder).as_posix(): checksum(path) for path in _artefacts(folder)}
    record: dict[str, Any] = {
        "fingerprint": mark,
        "seconds": round(seconds, 3),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "results": results,
        "files": files,
    }
    write_json(folder / RECORD, record | {"checksum": checksum_of(record)})


def _settle(part: Path, folder: Path, durable: bool) -> None:
    """Give a complete stage its name, in place of an earlier one."""
    if durable:
        for path in (*_artefacts(part), part / RECORD, *_folders(part)):
            sync(path)
    for path in (part / INPUTS, *part.glob("checkpoint*")):
        remove(path)
    old = folder.with_name(f".{folder.name}.old")
    remove(old)
    if folder.exists():
        folder.rename(old)
    part.rename(folder)
    remove(old)
    if durable:
        sync(folder.parent)


def _share(folder: Path, store: Path, mark: str) -> None:
    # The cache only saves time: one that cannot be written must not fail a run.
    with suppress(OSError, ArtefactError, DamagedError), scratch_folder(store) as part:
        _copy(folder, part)
        put_folder(part, store, cache_folder() / ".lock", lambda known: _is_sound(known, mark))


def _copy(stage: Path, target: Path) -> None:
    for name in (*read_record(stage)["files"], RECORD):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(stage / name, target / name)


def _is_sound(folder: Path, mark: str) -> bool:
    try:
        check_files(folder, mark)
    except DamagedError:
        return False
    return True


def _read(folder: Path, reused: bool) -> Finished:
    record = read_record(folder)
    seconds = float(record["seconds"])
    return Finished(folder, record["fingerprint"], record["results"], seconds, reused)


def _artefacts(part: Path) -> list[Path]:
    """All files of a stage but its record and what only serves to go on with it."""
    files = [path for path in part.rglob("*") if path.is_file()]
    passing = (RECORD, INPUTS)
    kept = [(path, path.relative_to(part).parts[0]) for path in sorted(files)]
    return [p for p, top in kept if top not in passing and not top.startswith("checkpoint")]


def _folders(part: Path) -> Iterator[Path]:
    yield part
    yield from (path for path in part.rglob("*") if path.is_dir())


def _drop_parts(part: Path) -> None:
    # A file that a kill has left unfinished must not count among the artefacts.
    for path in list(part.rglob(".*.part")):
        remove(path)
