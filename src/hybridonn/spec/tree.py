"""The whole spec, and how it is read and written."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError, model_validator

from hybridonn.core.errors import HybridonnError, SpecError
from hybridonn.core.files import checksum_of
from hybridonn.core.tables import NameOf
from hybridonn.core.yaml_reading import parse_yaml, read_yaml
from hybridonn.core.yaml_writing import dump_yaml
from hybridonn.distillation.methods import METHODS, is_own_code
from hybridonn.networks.backends.table import list_backends
from hybridonn.networks.frontends.table import name_frontend
from hybridonn.spec.batches import check_batches
from hybridonn.spec.compensation import Compensation
from hybridonn.spec.consistency import (
    check_methods,
    check_optics,
    check_pixels,
    check_robust,
    join_or,
)
from hybridonn.spec.contraction import choose_contraction
from hybridonn.spec.data import Data
from hybridonn.spec.device import share_device
from hybridonn.spec.estimate import Estimate
from hybridonn.spec.examples import find_example, list_examples
from hybridonn.spec.explain import explain
from hybridonn.spec.fabrication import Fabrication
from hybridonn.spec.metasurface import Metasurface
from hybridonn.spec.optics import Optics
from hybridonn.spec.section import Section, Seed
from hybridonn.spec.student import Student
from hybridonn.spec.training import Distillation, Method, Teacher, Training, Tuning
from hybridonn.tasks.table import TASKS


class Spec(Section):
    """All that the user states of one run."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")] = "digits"
    """Name of the run, and of its folder in runs/."""
    seed: Seed = 0
    """Seed of the student's weights and of the order of its images."""
    task: Annotated[str, NameOf(TASKS)] = "classification"
    """What the network answers: a class for each image (classification) or each pixel
    (segmentation), or boxes (detection).
    """
    data: Data = Data()
    """The images."""
    optics: Optics = Optics()
    """The optics in front of the camera."""
    student: Student = Student()
    """The hybrid network that is trained."""
    estimate: Estimate = Estimate()
    """The estimate of the accuracy before anything is trained."""
    teacher: Teacher = Teacher()
    """The digital network whose knowledge is transferred."""
    distillation: Distillation = Distillation()
    """The loss that the student is trained on."""
    training: Training = Training()
    """The training of the student."""
    tuned: Tuning = Tuning()
    """Settings that `hybridonn tune` has found for each method."""
    fabrication: Fabrication | None = None
    """Errors of a simulated chip. null: no chip is simulated."""
    compensation: Compensation | None = None
    """How accuracy is recovered behind the chip. null: nothing is compensated."""

    @property
    def frontend(self) -> str:
        """Name of what takes the image, in the table of frontends."""
        return name_frontend(self.student.optics, self.optics.frontend)

    @model_validator(mode="before")
    @classmethod
    def _what_follows_from_other_keys(cls, tree: Any) -> Any:
        if not isinstance(tree, dict):
            return tree
        # Python code may give sections: what follows from them is the same as of a file.
        plain = {k: v.model_dump() if isinstance(v, Section) else v for k, v in tree.items()}
        return choose_contraction(share_device(plain))

    @model_validator(mode="after")
    def _student_answers_the_task(self) -> Spec:
        asked = TASKS[self.task].answers
        if self.student.answers not in (None, asked):
            raise ValueError(
                f"task is {self.task}, which asks for an answer to each {asked}, but "
                f"student.backend: {self.student.backend} answers each {self.student.answers}; "
                f"{self.task} takes {join_or(list_backends(asked))}"
            )
        if self.data.task != self.task:
            raise ValueError(
                f"task is {self.task}, but data.name: {self.data.name} has labels of "
                f"{self.data.task}; choose another set, or task: {self.data.task}"
            )
        return self

    @model_validator(mode="after")
    def _optics_can_be_made(self) -> Spec:
        check_optics(self)
        return self

    @model_validator(mode="after")
    def _robust_training_has_chips(self) -> Spec:
        if self.compensation and self.compensation.distillation.robust:
            raise ValueError(
                "compensation.distillation.robust is true, but compensation goes on behind the one "
                "chip that was made; leave it out there: distillation.robust trains for any chip"
            )
        if self.distillation.robust:
            check_robust(self)
        return self

    @model_validator(mode="after")
    def _compensation_has_a_method_of_the_table(self) -> Spec:
        method = self.compensation.distillation.method if self.compensation else ""
        if is_own_code(method):
            raise ValueError(
                f"compensation.distillation.method is {method!r}, but a chip is compensated by "
                f"the methods of the table alone; set it to one of {', '.join(METHODS)}"
            )
        return self

    @model_validator(mode="after")
    def _pixels_are_answered(self) -> Spec:
        check_pixels(self)
        return self

    @model_validator(mode="after")
    def _methods_serve_the_task(self) -> Spec:
        check_methods(self)
        return self

    @model_validator(mode="after")
    def _batches_have_enough_images(self) -> Spec:
        check_batches(self.training, self.distillation, (self.distillation.method,))
        if self.compensation:
            parts = self.compensation.training, self.compensation.distillation
            check_batches(*parts, self.compensation.trained, "compensation.")
        return self

    def for_method(self, method: Method) -> Spec:
        """The same design trained by another method, with what was tuned for that method."""
        tuned = self.tuned.of(method).model_dump(exclude_none=True)
        training = {key: tuned[key] for key in tuned if key in Training.model_fields}
        distillation = {key: tuned[key] for key in tuned if key in Distillation.model_fields}
        return self.model_copy(
            update={
                "distillation": self.distillation.model_copy(
                    update={"method": method} | distillation
                ),
                "training": self.training.model_copy(update=training),
            }
        )

    def compensation_or_default(self) -> Compensation:
        """What the spec says of the compensation; where it says nothing, the defaults."""
        if self.compensation:
            return self.compensation
        plain = Compensation()
        training = plain.training.model_copy(update={"device": self.training.device})
        return plain.model_copy(update={"training": training})

    def with_seed(self, seed: int) -> Spec:
        """The same design from another seed of weights and data order."""
        return self.model_copy(update={"seed": seed})

    def with_metasurface(self) -> Spec:
        """The same design with a metasurface: the stated one, or the authors' chip.

        Raises:
            SpecError: The optics take none.
        """
        if self.optics.metasurface is not None:
            return self
        optics = self.optics.model_copy(update={"metasurface": Metasurface()})
        changed = self.model_copy(update={"optics": optics})
        return validate(changed.model_dump(), f"{self.name} with a metasurface")


def read_spec(path: str | Path | None = None, settings: Sequence[str] = ()) -> Spec:
    """Read a spec file and lay ``key.path=value`` settings over it.

    Args:
        path: A YAML file; without one, the default spec, which is the example ``digits``.
        settings: Settings as ``key.path=value``, the value in YAML; one may be given alone.

    Raises:
        SpecError: The file cannot be read, or a key or value is not allowed.
    """
    path = Path(path) if path else None
    settings = (settings,) if isinstance(settings, str) else settings
    tree = _read_file(path) if path else default_tree()
    for setting in settings:
        _lay_over(tree, setting)
    _place_code(tree, path.parent if path else Path())
    _place_measurement(tree, path.parent if path else Path())
    where = str(path) if path else "the default spec"
    if settings:  # what is wrong need not stand in the file
        changed = ", ".join(setting.partition("=")[0] for setting in settings)
        where = f"{where} with {changed} set by the command"
    return validate(tree, where)


def checksum_spec(path: Path, error: type[HybridonnError]) -> str:
    """Checksum of what a spec file says: comments and the order of keys do not count.

    Raises:
        HybridonnError: An error of class ``error``: the file cannot be read.
    """
    return checksum_of(read_yaml(path, error))


def validate(tree: dict[str, Any], where: str) -> Spec:
    """Turn a plain tree into a :class:`Spec`.

    Raises:
        SpecError: A key or a value is not allowed; every one of them is named.
    """
    try:
        return Spec.model_validate(tree)
    except ValidationError as error:
        raise SpecError(explain(error, Spec, where)) from None


def default_tree() -> dict[str, Any]:
    """The tree of the default spec: the example ``digits``."""
    return _read_file(find_example("digits"))


def dump_spec(spec: Spec) -> str:
    """The spec as YAML, every default spelled out."""
    return dump_yaml(spec.model_dump(mode="json"))


def _read_file(path: Path) -> dict[str, Any]:
    if path.stem in list_examples() and _is_missing(path):
        words = ("hybridonn", "init", str(path.with_suffix(".yaml")), "--from", path.stem)
        raise SpecError(
            f"there is no file {path}; copy the example of that name: {shlex.join(words)}"
        )
    tree = read_yaml(path, SpecError)
    if not isinstance(tree, dict):
        found = "nothing" if tree is None else "a list" if isinstance(tree, list) else "one value"
        raise SpecError(f"{path} holds {found}; a spec is a mapping of keys to values")
    return tree


def _is_missing(path: Path) -> bool:
    try:
        path.stat()
    except FileNotFoundError:
        return True
    except (OSError, ValueError):  # there, and closed to us; or no path at all
        return False
    return False


def _place_code(tree: dict[str, Any], folder: Path) -> None:
    """State where code that the spec names is looked for, so that copies of the spec find it."""
    for name, key in (("teacher", "name"), ("student", "backend"), ("distillation", "method")):
        section = tree.get(name)
        if isinstance(section, dict) and ":" in str(section.get(key)):
            _place(section, folder)


def _place(section: dict[str, Any], folder: Path) -> None:
    stated = section.get("code_folder")
    if stated is None:
        section["code_folder"] = str(folder.resolve())
    elif isinstance(stated, str) and stated:
        with suppress(RuntimeError):  # the home of no user: the key itself is refused
            section["code_folder"] = str(Path(stated).expanduser().resolve())


def _place_measurement(tree: dict[str, Any], folder: Path) -> None:
    """State where measured point spread functions lie, so that copies of the spec find them."""
    optics = tree.get("optics")
    section = optics.get("measured") if isinstance(optics, dict) else None
    if not isinstance(section, dict):
        return
    stated = section.get("psfs")
    if isinstance(stated, str) and stated:
        with suppress(RuntimeError):  # the home of no user: the key itself is refused
            section["psfs"] = str((folder / Path(stated).expanduser()).resolve())


def _lay_over(tree: dict[str, Any], setting: str) -> None:
    key, equals, text = setting.partition("=")
    if not equals or not key:
        raise SpecError(f"--set {setting}: found no key and value; write --set key.path=value")
    *parents, last = key.split(".")
    for parent in parents:
        if tree.get(parent) is None:
            tree[parent] = {}  # a section that is not there, or null: its defaults
        child = tree[parent]
        if not isinstance(child, dict):
            raise SpecError(f"--set {setting}: {parent} is a value, it holds no keys")
        tree = child
    tree[last] = parse_yaml(text, f"--set {setting}", SpecError)
