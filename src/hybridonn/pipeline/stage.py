"""A stage: what it reads, what it needs, and the work that is done once for them.

The fingerprint of a stage is the hash of what its work is given: the keys of the spec that
``inputs`` leaves, the images, the stages that it needs, its options, and the content of every file
that these name. Nothing else can be reached through the :class:`Context`: to read an undeclared
key or stage is an :class:`~hybridonn.spec.UndeclaredReadError`. So no fingerprint can forget what
its stage reads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from hybridonn.core.progress import Progress
from hybridonn.data.dataset import Dataset
from hybridonn.pipeline.fingerprint import fingerprint
from hybridonn.pipeline.stage_folder import Finished, begin, finish
from hybridonn.spec import Spec, UndeclaredReadError


@dataclass(frozen=True, eq=False)
class Stage:
    """A part of a run.

    Attributes:
        name: Of the stage, and of its folder in a run.
        inputs: From the spec to what the stage reads of it, by
            :func:`~hybridonn.spec.narrow`; what makes no difference to the stage may have been
            set to its default.
        run: Writes the artefacts into the folder of the context and returns the numbers.
        needs: Stages whose artefacts are read; one that a spec does not want is not there.
        data: The images that are read; ``teacher``: all but those of the student.
        wanted: Whether a spec asks for the stage.
        shared: A kind of artefact that other runs can use too, kept in the user's cache.
        options: What the work depends on beside the spec.
    """

    name: str
    inputs: Callable[[Spec], Spec]
    run: Callable[[Context], dict[str, Any]]
    needs: tuple[Stage, ...] = ()
    data: Literal["all", "teacher", "none"] = "all"
    wanted: Callable[[Spec], bool] = lambda spec: True
    shared: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def with_options(self, **options: Any) -> Stage:
        """The same stage with other options."""
        return replace(self, options={**self.options, **options})


@dataclass(frozen=True)
class Context:
    """All that the work of a stage may read, and where it writes.

    Attributes:
        part: The folder for the artefacts. A file or a folder whose name begins with
            ``checkpoint`` only serves to go on after an interruption; it is removed in the end.
        spec: What the inputs of the stage leave of the spec.
        options: Those of the stage.
        progress: Shows how far the work is.
    """

    part: Path
    spec: Spec
    options: Mapping[str, Any]
    progress: Progress
    _dataset: Dataset | None
    _needs: Mapping[str, Finished | None]

    @property
    def dataset(self) -> Dataset:
        """The images.

        Raises:
            UndeclaredReadError: The stage declares none.
        """
        if self._dataset is None:
            raise UndeclaredReadError("a stage reads images and declares data='none'")
        return self._dataset

    def find(self, stage: Stage) -> Finished | None:
        """A stage that is needed; None: the spec does not want it.

        Raises:
            UndeclaredReadError: It is not among the needs.
        """
        if stage.name not in self._needs:
            raise UndeclaredReadError(f"a stage reads {stage.name}, which is not in its needs")
        return self._needs[stage.name]

    def need(self, stage: Stage) -> Finished:
        """A stage that is needed and always there.

        Raises:
            UndeclaredReadError: It is not among the needs, or the spec does not want it.
        """
        found = self.find(stage)
        if found is None:
            raise UndeclaredReadError(f"a stage reads {stage.name}, which its spec does not want")
        return found


def complete(
    stage: Stage,
    spec: Spec,
    dataset: Dataset | None,
    done: Mapping[str, Finished],
    folder: Path,
    progress: Progress,
) -> Finished:
    """Make a stage complete in a folder: keep it, take it from the cache, go on with it, or do it.

    Args:
        stage: What is to be done.
        spec: The whole spec.
        dataset: The images; None only for a stage that reads none.
        done: Stages that are complete, by name; those that are needed are among them.
        folder: Where the artefacts belong.
        progress: Shows how far the work is, and says what was damaged.

    Raises:
        HybridonnError: Something that the user can mend; what lies in the folder stays.
    """
    mark = mark_of(stage, spec, dataset, done)

    def work(part: Path) -> dict[str, Any]:
        needs = _choose_needs(stage, spec, done)
        images = _choose_data(stage, dataset)
        return stage.run(Context(part, stage.inputs(spec), stage.options, progress, images, needs))

    return finish(folder, mark, work, stage.shared, progress.say)


def begin_early(
    stage: Stage, spec: Spec, dataset: Dataset | None, done: Mapping[str, Finished], folder: Path
) -> Path | None:
    """The folder in which work for a stage can be done before :func:`complete` goes on with it.

    Arguments are those of :func:`complete`.

    Returns:
        None: the stage is complete.
    """
    return begin(folder, mark_of(stage, spec, dataset, done), stage.shared)


def mark_of(stage: Stage, spec: Spec, dataset: Dataset | None, done: Mapping[str, Finished]) -> str:
    """The fingerprint of a stage; arguments and errors are those of :func:`complete`."""
    needs = _choose_needs(stage, spec, done)
    return fingerprint(
        stage=stage.name,
        spec=stage.inputs(spec),
        options=stage.options,
        data=_hash_data(stage, dataset),
        needs={name: found.fingerprint for name, found in needs.items() if found},
    )


def _choose_needs(
    stage: Stage, spec: Spec, done: Mapping[str, Finished]
) -> dict[str, Finished | None]:
    return {need.name: done[need.name] if need.wanted(spec) else None for need in stage.needs}


def _choose_data(stage: Stage, dataset: Dataset | None) -> Dataset | None:
    if stage.data == "none" or dataset is None:
        return None
    if stage.data == "teacher":
        hidden: Any = _Undeclared("student_train")
        return replace(dataset, student_train=hidden)
    return dataset


def _hash_data(stage: Stage, dataset: Dataset | None) -> str | None:
    if stage.data == "none" or dataset is None:
        return None
    return dataset.teacher_checksum if stage.data == "teacher" else dataset.checksum


@dataclass(frozen=True)
class _Undeclared:
    """Stands for images that a stage does not declare."""

    part: str

    def __getattr__(self, name: str) -> Any:
        raise UndeclaredReadError(f"a stage reads {self.part}, which its data leave out")

    def __len__(self) -> int:
        raise UndeclaredReadError(f"a stage counts {self.part}, which its data leave out")
