"""The folder of a run: one owner at a time, every number in one place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from hybridonn.core.errors import ArtefactError, HybridonnError
from hybridonn.core.files import cache_folder, read_json, write_json, write_text
from hybridonn.core.parts import hold, remove, sweep
from hybridonn.core.stage_record import RECORD
from hybridonn.core.yaml_reading import read_yaml
from hybridonn.pipeline.stage_folder import read_stage, turns_folder
from hybridonn.spec import Spec, dump_spec, read_spec

SPEC, LOCK, RESULTS = "spec.yaml", ".lock", "results.json"
MEASUREMENT = "measured_psfs"  # name of a copy of what was measured of optics that exist
MARKS = (SPEC, "record.json", RESULTS, LOCK)
# What tells of a run as a whole; its stages tell of themselves.
WHOLE = ("record.json", RESULTS, "report.html", "layout_file.json")


@contextmanager
def open_folder(
    folder: Path, spec: Spec | None = None, replace: bool | None = None
) -> Iterator[Path]:
    """Make the folder of a run or a study and hold it, so that no second command writes into it.

    What killed commands left unfinished in it is removed. A folder that was made here and in
    which nothing was left is taken away again.

    Args:
        folder: The folder.
        spec: What is to be made in it, kept there from the beginning. None: the command goes on
            with what the folder holds.
        replace: Let the spec replace one of another name, with the numbers of that run; None:
            the command has no option to ask for that.

    Raises:
        ArtefactError: The folder cannot be written, is in use, or holds something else or the
            run of a spec of another name.
    """
    made = not folder.exists()
    with ExitStack() as stack:
        try:
            _enter(folder, stack)
            kept = spec is not None and _take_over(folder, spec, replace)
        except OSError as error:
            raise ArtefactError(
                f"cannot write the run folder {folder}: {error.strerror or error}; "
                "choose another with --out"
            ) from None
        try:
            yield folder
        finally:
            _leave(folder, made, kept)


def _enter(folder: Path, stack: ExitStack) -> None:
    """Make a folder, lock it and remove what killed commands left.

    Raises:
        ArtefactError: It holds something else, or is in use.
        OSError: It cannot be written.
    """
    if folder.is_dir() and any(folder.iterdir()) and not _is_run(folder):
        raise ArtefactError(
            f"{folder} is not empty and not a run folder; choose another with --out"
        )
    folder.mkdir(parents=True, exist_ok=True)
    if not stack.enter_context(hold(folder / LOCK, wait=False)):
        raise ArtefactError(
            f"{folder} is in use by another hybridonn command; wait for it or choose "
            "another folder with --out"
        )
    sweep(folder)
    sweep_cache()
    for old in folder.glob(".*.old"):
        remove(old)  # of a stage that was replaced by the one beside it


def sweep_cache() -> None:
    """Remove what killed commands left of artefacts that they shared with others."""
    with suppress(OSError):
        for kind in cache_folder().iterdir():
            sweep(kind)
    with suppress(OSError, ArtefactError):
        for lock in list(turns_folder().iterdir()):
            _drop_lock(lock)


def _drop_lock(lock: Path) -> None:
    """Remove the lock of a shared artefact that nobody makes: its command ended or was killed."""
    with hold(lock, wait=False) as free:
        if free:
            remove(lock)


def _take_over(folder: Path, spec: Spec, replace: bool | None) -> bool:
    """Let a folder be that of a spec; True where it holds no spec yet.

    Raises:
        ArtefactError: It is that of a spec of another name.
    """
    name = _read_name(folder)
    if name not in (None, spec.name):
        if not replace:
            cure = "remove it" if replace is None else "let it be replaced with --replace"
            raise ArtefactError(
                f"{folder} holds the run {name}, and this spec is {spec.name}; choose another "
                f"folder with --out, or {cure}"
            )
        for path in (SPEC, *WHOLE):
            remove(folder / path)
    fresh = not (folder / SPEC).exists()
    if fresh:
        write_text(folder / SPEC, dump_spec(spec))
    return fresh


def _read_name(folder: Path) -> str | None:
    """The name of the spec that a folder is of; None: it holds none, or a damaged one."""
    try:
        tree = read_yaml(folder / SPEC)
    except HybridonnError:
        return None
    name = tree.get("name") if isinstance(tree, dict) else None
    return name if isinstance(name, str) else None


def _leave(folder: Path, made: bool, kept: bool) -> None:
    """Take away what stands for nothing: a spec of which nothing was made, and its folder."""
    with suppress(OSError):  # the folder may be gone
        if {entry.name for entry in folder.iterdir()} <= {LOCK, SPEC} and (made or kept):
            if kept:
                remove(folder / SPEC)
            if made:
                remove(folder / LOCK)
                folder.rmdir()


def sweep_stages(folder: Path) -> None:
    """Remove what interrupted stages left that the finished run has no use for."""
    for part in folder.glob(".*.part"):
        remove(part)


def read_run_spec(folder: Path, settings: tuple[str, ...] = ()) -> Spec:
    """The spec that a run was made from, with ``key.path=value`` settings laid over it.

    Raises:
        ArtefactError: The folder is no run.
        SpecError: A setting is not allowed.
    """
    refuse_no_run(folder)
    spec = read_spec(folder / SPEC, settings)
    if any(setting.startswith("optics") for setting in settings):
        return spec
    return _find_measurement(spec, folder)


def _find_measurement(spec: Spec, folder: Path) -> Spec:
    """The spec with the run's own copy of measured optics, which travels with it."""
    kept = sorted((folder / "student").glob(f"{MEASUREMENT}.*"))
    if spec.optics.measured is None or not kept:
        return spec
    measured = spec.optics.measured.model_copy(update={"psfs": kept[0]})
    return spec.model_copy(update={"optics": spec.optics.model_copy(update={"measured": measured})})


def refuse_no_run(folder: Path) -> None:
    """Refuse a folder that holds no spec, so that it is no run.

    Raises:
        ArtefactError: It holds none, or cannot be looked into.
    """
    try:
        found = (folder / SPEC).is_file()
    except OSError as error:  # such as a name that is too long
        raise ArtefactError(
            f"cannot read the run folder {shorten(str(folder))}: {error.strerror or error}; name "
            "a finished run"
        ) from None
    if not found:
        raise ArtefactError(
            f"{shorten(str(folder))} is no run folder: it holds no spec.yaml; name a finished run"
        )


def shorten(text: str) -> str:
    """A text of which a message can hold no more than its ends."""
    return text if len(text) <= 200 else f"{text[:120]}...{text[-60:]}"


def write_results(folder: Path, results: dict[str, Any]) -> dict[str, Any]:
    """Write the numbers of a whole run, and return all that ``results.json`` then holds.

    Of what it held before, a compensation on captures of a real chip stays, which is made by
    another command.

    Args:
        folder: The run.
        results: Numbers by stage: ``{"student": {"accuracy": 0.97}}`` is the key
            ``student.accuracy``.
    """
    measured = _read_results(folder).get("compensated")
    if isinstance(measured, dict) and measured.get("source") == "captures":
        results = {"compensated": measured} | results
    write_json(folder / RESULTS, results)
    return results


def add_results(folder: Path, results: dict[str, Any]) -> dict[str, Any]:
    """Put the numbers of stages into ``results.json`` and return all that it holds.

    Args:
        folder: The run.
        results: Numbers by stage.
    """
    known = _read_results(folder) | results
    write_json(folder / RESULTS, known)
    return known


def _read_results(folder: Path) -> dict[str, Any]:
    """What ``results.json`` holds; if it is damaged, what the stages themselves tell."""
    path = folder / RESULTS
    try:
        known = read_json(path) if path.exists() else {}
        if isinstance(known, dict) and all(isinstance(one, dict) for one in known.values()):
            return known
    except ArtefactError:
        pass
    stages = (read_stage(record.parent) for record in sorted(folder.glob(f"*/{RECORD}")))
    return {stage.folder.name: stage.results for stage in stages if stage.results}


def _is_run(folder: Path) -> bool:
    return any((folder / mark).exists() for mark in MARKS) or all(
        entry.name.startswith(".") for entry in folder.iterdir()
    )
