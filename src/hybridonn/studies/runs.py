"""One run of a study: plain data that any process can do, once, into a file of its own."""

from __future__ import annotations

import importlib
import json
import os
import traceback
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from hybridonn import __version__
from hybridonn.core.errors import ArtefactError, DataError, HybridonnError
from hybridonn.core.memory import keep_freed_memory
from hybridonn.core.progress import Progress, Silent
from hybridonn.core.user_code import split_name
from hybridonn.pipeline.errors import translate_tangent_errors
from hybridonn.studies.rows import ROWS, RowFile, mark_of, tell, tell_apart

Opened = tuple[Any, dict[str, Any]]


class WorkerError(HybridonnError):
    """A worker that cannot do the runs of a study."""


@dataclass(frozen=True)
class Work:
    """How the runs of a study are done.

    Attributes:
        study: Name of the study.
        open: ``package.module:function`` that a worker calls once, with the inputs and the folder
            of the study: it gives what all runs share, and the settings that it found.
        do: ``package.module:function`` that does a run, from what is shared, the arguments of the
            run and a progress: it gives the value of the row.
        inputs: Plain data for ``open``: the text of a spec, paths, names.
    """

    study: str
    open: str
    do: str
    inputs: dict[str, Any]


@dataclass(frozen=True)
class Run:
    """One independent part of a study.

    Attributes:
        key: The key of its row.
        name: What a person calls it.
        arguments: Plain data that say what is done.
        group: Runs of a group are cheaper one after another on the same worker.
    """

    key: str
    name: str
    arguments: dict[str, Any] = field(default_factory=dict)
    group: str = ""


@dataclass(frozen=True)
class Job:
    """A run with all that another process needs to do it, as plain data.

    Attributes:
        work: How it is done.
        run: What is done.
        number: Its place in the table.
        folder: Folder of the study, absolute.
        told: What every row of the study depends on.
        working_folder: What relative paths of the spec are relative to.
        versions: Versions of this package and of torch, which every worker must have.
    """

    work: Work
    run: Run
    number: int
    folder: str
    told: dict[str, Any]
    working_folder: str
    versions: dict[str, str]

    @property
    def row(self) -> RowFile:
        """Where its result is written."""
        return RowFile(Path(self.folder), mark_of(self.told), self.run.key)

    def to_text(self) -> str:
        """The job as a line of JSON."""
        return json.dumps(asdict(self))


@dataclass(frozen=True)
class Fault:
    """Why a run failed.

    Attributes:
        sentence: For the user.
        of_machine: Whether the cause lies with the machine, such as a full disk, so that other
            runs would fail there too.
        trace: The traceback, for ``--debug``.
    """

    sentence: str
    of_machine: bool = False
    trace: str = ""


@dataclass(frozen=True)
class Outcome:
    """A run that has ended.

    Attributes:
        job: The run.
        fault: None: its row is written.
    """

    job: Job
    fault: Fault | None = None


def read_job(text: str) -> Job:
    """The job that :meth:`Job.to_text` wrote."""
    tree = json.loads(text)
    return Job(**tree | {"work": Work(**tree["work"]), "run": Run(**tree["run"])})


def do_once(job: Job, shared: Any, progress: Progress) -> None:
    """Do a run and write its row, unless another process has done so.

    Args:
        job: The run.
        shared: What all runs of the study share.
        progress: Shows how far it is.

    Raises:
        HybridonnError: The run failed.
    """
    row = job.row
    with row.hold():
        if row.read() is None:
            with translate_tangent_errors():
                value = _import(job.work.do)(shared, job.run.arguments, progress)
            row.write(job.number, value)


def explain(error: Exception) -> Fault:
    """An error of a run as a fault; to be called while it is handled."""
    known = isinstance(error, HybridonnError)
    sentence = str(error) if known else f"it ended with {type(error).__name__}: {error}"
    kinds = (ArtefactError, DataError, WorkerError, OSError, MemoryError)
    return Fault(sentence, isinstance(error, kinds), traceback.format_exc())


def list_versions() -> dict[str, str]:
    """Versions of what the numbers of a run depend on."""
    return {"hybridonn": __version__, "torch": version("torch")}


class Desk:
    """A worker: does one run after another, and keeps open what runs of the same study share."""

    def __init__(self) -> None:
        keep_freed_memory()
        self._key = ""
        self._shared: Any = None

    def work(self, text: str) -> Fault | None:
        """Do a run.

        Args:
            text: A job, from :meth:`Job.to_text`.

        Returns:
            None: its row is written.
        """
        try:
            job = read_job(text)
            do_once(job, self._open(job), Silent())
        except Exception as error:  # of the spec, of the machine or of a user's own code
            return explain(error)
        return None

    def _open(self, job: Job) -> Any:
        key = json.dumps([asdict(job.work), job.folder, job.told, job.working_folder])
        if key != self._key:
            refuse_other_versions(job.versions)
            _enter(job)
            self._key, self._shared = "", None  # nothing of another study takes memory
            with translate_tangent_errors():
                shared, settings = _import(job.work.open)(job.work.inputs, Path(job.folder))
            _refuse_other_settings(job, settings)
            self._key, self._shared = key, shared
        return self._shared


def refuse_other_versions(wanted: dict[str, str]) -> None:
    """Refuse to work for a study that other software has begun.

    Args:
        wanted: Versions by package, from :func:`list_versions` of the study.

    Raises:
        WorkerError: This process has other ones.
    """
    own = list_versions()
    if own != wanted:
        raise WorkerError(
            f"the software of the worker is not that of the study: {tell_apart(own, wanted)}; "
            "install the same versions for both"
        )


def _enter(job: Job) -> None:
    """Go where relative paths of the spec lead, and look whether the study's folder is there.

    Raises:
        WorkerError: A folder is not there.
    """
    try:
        os.chdir(job.working_folder)
    except OSError as error:
        raise WorkerError(
            f"the worker cannot enter {job.working_folder}, where the study was started: "
            f"{error.strerror}; start it on a disk that all workers share"
        ) from None
    if not (Path(job.folder) / ROWS).is_dir():
        raise WorkerError(
            f"the worker does not find the folder of the study, {job.folder}; choose one with "
            "--out on a disk that all workers share"
        )


def _refuse_other_settings(job: Job, settings: dict[str, Any]) -> None:
    own = tell(job.work.study, settings)
    if own != job.told:
        raise WorkerError(
            "the worker finds other files than the study, so that its numbers would differ: "
            f"{tell_apart(own, job.told)}; give it the same data and code"
        )


def _import(name: str) -> Any:
    module, attribute = split_name(name)
    return getattr(importlib.import_module(module), attribute)
