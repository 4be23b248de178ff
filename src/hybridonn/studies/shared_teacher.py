"""One teacher and its targets, which all students of a study share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hybridonn.core.progress import Progress, Silent
from hybridonn.core.user_code import hash_code
from hybridonn.data import load_dataset
from hybridonn.data.dataset import Dataset
from hybridonn.distillation.methods import TERMS, find_stored_for, is_own_code
from hybridonn.pipeline.dataset_checks import say_unseen
from hybridonn.pipeline.preflight import refuse_early, refuse_unread
from hybridonn.pipeline.stage import complete
from hybridonn.pipeline.stage_folder import Finished, read_stage
from hybridonn.pipeline.stage_table import make_stages
from hybridonn.pipeline.stages.alignment import ALIGNMENT
from hybridonn.pipeline.stages.layout import LAYOUT
from hybridonn.pipeline.stages.student import PLAIN_STUDENT
from hybridonn.pipeline.stages.teacher import TEACHER
from hybridonn.pipeline.stages.teacher_targets import TEACHER_TARGETS
from hybridonn.spec import Method, Spec, Tuned, Tuning, validate
from hybridonn.studies.inputs import pack_inputs, unpack_root, unpack_spec
from hybridonn.studies.runs import Opened
from hybridonn.studies.settings import describe_settings

SHARED = (LAYOUT, TEACHER, ALIGNMENT, TEACHER_TARGETS)


@dataclass(frozen=True)
class SharedTeacher:
    """A trained teacher and its targets, which all students of a study share.

    Attributes:
        spec: Spec of the study.
        folder: Folder of the study.
        dataset: The images.
        done: Finished stages by name.
    """

    spec: Spec
    folder: Path
    dataset: Dataset
    done: dict[str, Finished]

    @property
    def teacher(self) -> Finished:
        """The finished stage ``teacher``."""
        return self.done[TEACHER.name]

    def train(self, spec: Spec, name: str, progress: Progress) -> Finished:
        """Train one student under ``students/NAME``, or take the finished one."""
        folder = self.folder / "students" / name
        return complete(PLAIN_STUDENT, spec, self.dataset, self.done, folder, progress)


def train_shared_teacher(
    spec: Spec, dataset: Dataset, folder: Path, progress: Progress
) -> SharedTeacher:
    """Check the layout, train the teacher once and store its targets.

    The targets hold the tangent kernel whichever method the spec names, so
    that all methods of a study are served by the same file.
    """
    richest = spec.for_method(find_stored_for(kernel=True))
    done = make_stages(richest, dataset, folder, progress, SHARED)
    return SharedTeacher(spec, folder, dataset, done)


def open_shared_teacher(inputs: dict[str, Any], folder: Path) -> Opened:
    """What a worker shares between students: the teacher that the study has trained.

    Args:
        inputs: From :func:`pack_shared_teacher`.
        folder: Folder of the study.

    Raises:
        HybridonnError: The teacher is not there, or damaged, or the images cannot be read.
    """
    spec = unpack_spec(inputs)
    dataset = load_dataset(spec.data, unpack_root(inputs), Silent())
    richest = spec.for_method(find_stored_for(kernel=True))
    done = {one.name: read_stage(folder / one.name) for one in SHARED if one.wanted(richest)}
    settings = describe_shared_teacher(spec, dataset, inputs["methods"])
    return SharedTeacher(spec, folder, dataset, done), settings


def pack_shared_teacher(
    spec: Spec, methods: Sequence[Method], data_root: Path | None
) -> dict[str, Any]:
    """The inputs of :func:`open_shared_teacher`."""
    return pack_inputs(spec, data_root, methods=list(methods))


def describe_shared_teacher(
    spec: Spec, dataset: Dataset, methods: Sequence[Method]
) -> dict[str, Any]:
    """What every student of a study depends on beside its method, tuned values and seed."""
    base = spec.model_copy(update={"tuned": Tuning()})
    base = base.for_method(find_stored_for(kernel=True))
    stages = (*SHARED, PLAIN_STUDENT)
    folder = spec.distillation.code_folder
    code = {one: hash_code(one, folder) for one in methods if is_own_code(one)}
    described = describe_settings(stages, base, dataset, ("seed", "distillation.method"))
    # The weights of other methods than the one that stands for all, which leaves them out.
    described |= {
        f"distillation.{term.weight}": getattr(spec.distillation, term.weight)
        for term in TERMS.values()
    }
    return described | ({"code": code} if code else {})


def state_method(spec: Spec, method: Method) -> Spec:
    """The spec for one method, checked as a whole.

    Raises:
        SpecError: The method's values contradict the rest of the spec.
    """
    stated = spec.for_method(method)
    return validate(stated.model_dump(), f"{spec.name}, method {method}")


def name_values(method: Method, tuned: Tuned) -> str:
    """A method and its tuned values, fit for the name of a folder: ``kd-epochs=20``."""
    values = tuned.model_dump(exclude_none=True)
    return "-".join(
        [method.replace(":", "."), *(f"{key}={value}" for key, value in values.items())]
    )


def load_images(
    spec: Spec, methods: tuple[Method, ...], data_root: Path | None, progress: Progress
) -> Dataset:
    """The images of a study; what could not be built or trained is refused before any training.

    Raises:
        HybridonnError: See :func:`hybridonn.pipeline.preflight.refuse_unread` and ``refuse_early``.
    """
    refuse_unread(spec)
    dataset = load_dataset(spec.data, data_root, progress)
    for method in methods:
        refuse_early(spec.for_method(method), dataset)
    say_unseen(dataset, progress)
    return dataset
