"""What the user states: one validated, typed, frozen tree.

Every key carries its unit in its name. Unknown keys and impossible values are
refused with the key, what was found, what is allowed and the nearest known key
(see :mod:`hybridonn.spec_errors`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from hybridonn.errors import SpecError
from hybridonn.spec_errors import explain

Method = Literal["none", "kd", "ntkd"]
METHODS: tuple[Method, ...] = ("none", "kd", "ntkd")

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(gt=0, lt=1)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]


class Section(BaseModel):
    """A part of the spec: frozen, and strict about its keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Data(Section):
    """The images: a named set, or a folder in a standard layout."""

    name: Literal["digits", "mnist", "idx"] = "digits"
    folder: Path | None = None  # of name: idx
    variant: str | None = None  # which of a folder's sets, where it holds several (EMNIST)
    transpose: bool = False  # EMNIST stores its images transposed
    train_images: Count | None = None  # images that the student sees; None: all
    validation_fraction: Fraction = 0.1  # of the images that are not for testing
    test_fraction: Fraction = 0.2  # where the set has no test part of its own
    split_seed: Seed = 0

    @model_validator(mode="after")
    def _folder_goes_with_idx(self) -> Data:
        if (self.name == "idx") != (self.folder is not None):
            raise ValueError(
                f"folder is {self.folder} with name: {self.name}; "
                "name: idx needs a folder, and no other name takes one"
            )
        return self


class Optics(Section):
    """The physical size of the metasurface and of one kernel's site on it."""

    metasurface_width_mm: Positive = 4.0
    metasurface_height_mm: Positive = 4.0
    kernel_site_mm: Positive = 0.938  # 1600 cells of 586 nm: one sub-optic of the paper's system
    gap_mm: NotNegative = 0.05


class Student(Section):
    """The hybrid network: optical kernels, then a small digital backend."""

    name: Literal["compressed_meta"] = "compressed_meta"
    kernels: Count = 8
    kernel_size: Count = 7
    stride: Count = 1  # pixels of the scene a pixel of the feature map: a coarser sensor
    pooling: Literal["average", "max"] = "average"
    pooled_size: Count = 6
    hidden: tuple[Count, ...] = (160,)

    @model_validator(mode="after")
    def _kernel_has_a_centre(self) -> Student:
        if self.kernel_size % 2 == 0:
            raise ValueError(
                f"kernel_size is {self.kernel_size}; it must be odd, so that a kernel has a centre"
            )
        return self


class Augmentation(Section):
    """Random changes of the training images, in pixels and degrees."""

    shift_pixels: NotNegative = 0.0
    rotation_degrees: NotNegative = 0.0
    scale_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.0


class Training(Section):
    """How a network is trained: AdamW on a one-cycle schedule."""

    epochs: Count = 20
    batch_size: Count = 128
    learning_rate: Positive = 4e-3
    weight_decay: NotNegative = 1e-2
    patience: Count | None = None  # epochs without a better validation metric; None: all epochs
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    augmentation: Augmentation = Augmentation()


class Estimate(Section):
    """The accuracy that kernel regression promises before anything is trained."""

    # design: the design's own number of optical kernels, the best of several draws;
    # infinite: it has infinitely many. What is behind it is infinitely wide in both.
    kernels: Literal["design", "infinite"] = "design"
    draws: Count = 3  # of kernels: design
    train_images: Count | None = 2000  # None: all that the student sees
    test_images: Count | None = 2000  # None: all
    memory_gb: Positive = 4.0


class Teacher(Section):
    """The digital network whose knowledge is distilled."""

    name: str = "lenet"  # built in, or `package.module:callable`
    arguments: dict[str, Any] = {}
    seed: Seed = 0  # its own, so that students of any seed learn from one teacher
    training: Training = Training(epochs=12, learning_rate=3e-3)


class Tangent(Section):
    """How the tangent kernels of student and teacher are matched."""

    layers: Literal["last", "first", "all"] | tuple[str, ...] = "last"
    discrepancy: Literal["cka", "mse", "cosine"] = "cka"
    schedule: Literal["constant", "falling", "rising"] = "constant"  # of its weight
    probes: Count | None = None  # random sign probes in place of all outputs; None: exact


class Distillation(Section):
    """The objective: task + KD + NTK matching, each with its weight."""

    method: Method = "ntkd"
    task_weight: NotNegative = 1.0
    kd_weight: NotNegative = 1.0
    ntk_weight: NotNegative = 3.0
    temperature: Positive = 4.0
    tangent: Tangent = Tangent()


class Tuned(Section):
    """What one method changes of training and distillation, tuned for it alone."""

    epochs: Count | None = None
    learning_rate: Positive | None = None
    weight_decay: NotNegative | None = None
    temperature: Positive | None = None
    kd_weight: NotNegative | None = None
    ntk_weight: NotNegative | None = None


class Tuning(Section):
    """The tuned training of each method."""

    none: Tuned = Tuned()
    kd: Tuned = Tuned()
    ntkd: Tuned = Tuned()


class Spec(Section):
    """All that the user states of one run."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")] = "digits"
    seed: Seed = 0
    task: Literal["classification"] = "classification"
    data: Data = Data()
    optics: Optics = Optics()
    student: Student = Student()
    estimate: Estimate = Estimate()
    teacher: Teacher = Teacher()
    distillation: Distillation = Distillation()
    training: Training = Training()
    tuned: Tuning = Tuning()

    def for_method(self, method: Method) -> Spec:
        """The same design trained by another method, with what was tuned for that method."""
        tuned = getattr(self.tuned, method).model_dump(exclude_none=True)
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

    def with_seed(self, seed: int) -> Spec:
        """The same design from another seed of weights and data order."""
        return self.model_copy(update={"seed": seed})


def read_spec(path: Path | None, settings: tuple[str, ...] = ()) -> Spec:
    """Read a spec file and lay ``key.path=value`` settings over it.

    Args:
        path: A YAML file; without one, the default spec (the embedded digits).
        settings: Settings as ``key.path=value``, the value in YAML.

    Raises:
        SpecError: The file cannot be read, or a key or value is not allowed.
    """
    tree = _read_yaml(path) if path else default_tree()
    for setting in settings:
        _lay_over(tree, setting)
    where = str(path) if path else "the default spec"
    return validate(tree, where)


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
    """The tree of the default spec: the digits that come with the package."""
    from importlib.resources import files

    return yaml.safe_load((files("hybridonn") / "digits.yaml").read_text("utf-8"))


def dump_spec(spec: Spec) -> str:
    """The spec as YAML, every default spelled out."""
    return yaml.safe_dump(spec.model_dump(mode="json"), sort_keys=False)


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        tree = yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        raise SpecError(f"cannot read the spec {path}: {error.strerror or error}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SpecError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(tree, dict):
        raise SpecError(
            f"{path} holds {type(tree).__name__}; a spec is a mapping of keys to values"
        )
    return tree


def _lay_over(tree: dict[str, Any], setting: str) -> None:
    key, equals, text = setting.partition("=")
    if not equals or not key:
        raise SpecError(f"--set {setting}: found no key and value; write --set key.path=value")
    *parents, last = key.split(".")
    for parent in parents:
        child = tree.setdefault(parent, {})
        if not isinstance(child, dict):
            raise SpecError(f"--set {setting}: {parent} is a value, it holds no keys")
        tree = child
    try:
        tree[last] = yaml.safe_load(text)
    except yaml.YAMLError:
        raise SpecError(f"--set {setting}: the value is not valid YAML") from None
