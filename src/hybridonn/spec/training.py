"""How networks are trained: the training itself, the teacher, the distillation."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Optional, Union

from pydantic import Field, create_model, model_validator

from hybridonn.core.tables import NameOf
from hybridonn.distillation.discrepancies import CHOICES, choose_discrepancy
from hybridonn.distillation.methods import (
    AUTO,
    METHODS,
    OWN,
    TERMS,
    Term,
    find_method,
    is_own_code,
)
from hybridonn.networks.teachers.table import TEACHERS
from hybridonn.spec.section import Count, Location, NotNegative, Positive, Section, Seed, Several

Method = Annotated[str, NameOf(METHODS, own_code=True)]


class Augmentation(Section):
    """Random changes of the training images, in pixels, degrees and parts of one."""

    shift_pixels: NotNegative = 0.0
    """Largest shift along each axis."""
    rotation_degrees: Annotated[float, Field(ge=0, le=180)] = 0.0
    """Largest rotation in either direction."""
    scale_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Largest change of the scale: 0.1 is 0.9 to 1.1."""
    flip: bool = False
    """Whether half of the images are mirrored left to right."""
    crop_pixels: Annotated[int, Field(ge=0)] = 0
    """Largest shift by whole pixels, which is cheaper than shift_pixels."""
    crop_edge: Literal["dark", "reflect"] = "dark"
    """What fills the edge of a shifted image: black, or its mirror image."""
    brightness: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Largest change of the brightness, as a part of it."""
    contrast: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Largest change of the contrast, as a part of it."""
    saturation: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Largest change of the saturation, as a part of it."""
    randaugment_operations: Annotated[int, Field(ge=0, le=14)] = 0
    """Operations of RandAugment on each image, drawn from 14. Source: Cubuk et al. 2020."""
    randaugment_magnitude: Annotated[float, Field(ge=0, le=30)] = 9.0
    """How strong the operations of RandAugment are, from 0 to 30 as torchvision counts."""
    erasing_probability: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of the images in which a random rectangle goes dark. Source: Zhong et al. 2020."""
    mixup_alpha: NotNegative = 0.0
    """Exponent of the beta distribution from which mixup draws the share of each of two images; the
    teacher sees the mixed image. 0: no mixup. Source: Zhang et al. 2018.
    """
    cutmix_alpha: NotNegative = 0.0
    """The same for CutMix, which pastes a rectangle of another image; with both stated, a batch
    undergoes one of the two. 0: no CutMix. Source: Yun et al. 2019.
    """

    @property
    def mixes(self) -> bool:
        """Whether two images are mixed into one."""
        return bool(self.mixup_alpha or self.cutmix_alpha)


class Training(Section):
    """How a network is trained: AdamW on a one-cycle schedule."""

    WITHOUT_EFFECT: ClassVar[frozenset[str]] = frozenset({"tensorboard"})

    epochs: Count = 20
    """Epochs of the training; after each the validation images judge the network."""
    passes_per_epoch: Count = 1
    """Passes over the training images in an epoch. More of them where few training images are
    outweighed by the validation images, which then take most of the time.
    """
    batch_size: Count = 128
    """Images of a training step."""
    learning_rate: Positive = 4e-3
    """Largest learning rate of the one-cycle schedule."""
    weight_decay: NotNegative = 1e-2
    """Weight decay of AdamW."""
    patience: Count | None = None
    """Epochs without a better validation metric after which training stops. null: never."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Number format of the forward and backward pass. auto: bfloat16 where it is faster."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where networks are trained. auto: as `training.device` says, and there cuda where there is
    one, else cpu.
    """
    tensorboard: bool = False
    """Whether the curves of the training are also written for TensorBoard, into RUN/tensorboard.
    """
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the label that is spread over all classes. Source: Szegedy et al. 2016, section 7.
    """
    focal_gamma: NotNegative = 0.0
    """Exponent of the focal loss, by which answers that are right and certain count less. 0: plain
    cross-entropy. Source: Lin et al. 2017.
    """
    class_weights: Literal["balanced"] | Several[Positive] | None = None
    """Weight of each class in the loss. balanced: by the inverse of its share in the labels.
    null: all alike.
    """
    averaging_start: Annotated[float, Field(ge=0, lt=1)] | None = None
    """Share of the epochs after which weights are averaged: the learning rate stays, and the mean
    of the weights after each epoch is judged and kept. null: no averaging. Source: Izmailov et al.
    2018.
    """
    augmentation: Augmentation = Augmentation()
    """Random changes of the training images."""
    views: Count | None = None
    """Fixed changes of each image, one a pass in turn; the teacher's answers to them are stored
    for all students. Images that are mixed with one another stay one batch. null: new changes in
    each step.
    """


class Teacher(Section):
    """The digital network that teaches the student."""

    CODE: ClassVar = ("name", "arguments")

    name: Annotated[str, NameOf(TEACHERS, own_code=True)] = "lenet"
    """A built-in teacher (`hybridonn list teachers` prints them), or `package.module:callable`:
    code of your own, which is run.
    """
    code_folder: Location | None = None
    """Folder where the module of your own teacher is looked for first. null: that of the spec
    file.
    """
    arguments: dict[str, Any] = Field(default={})
    """Arguments of the teacher."""
    weights: Location | None = None
    """File of weights (safetensors), used in place of training. null: the teacher is trained."""
    seed: Seed = 0
    """Seed of the teacher; students of any seed learn from the same one."""
    training: Training = Training(epochs=12, learning_rate=3e-3)
    """The training of the teacher."""


# A kernel of more layers than the last costs several training steps on a whole batch; on 24 or 32
# of 128 images MNIST students were 0.1 points worse, within chance (docs/results/mnist.md).
COMPARED = 24
# Sampled pixels of so many images are compared: 8 x 64 of them make kernels of 512 x 512.
COMPARED_BY_PIXELS = 8
MOST_SAMPLES = 8192  # of a kernel: 256 MB in single precision, several times over


class Tangent(Section):
    """How the tangent kernels of student and teacher are matched."""

    layers: Literal["last", "first", "all"] | Several[str] = "last"
    """Layers of the student whose tangent kernel is matched: last, first, all, or a list of their
    names.
    """
    teacher_layers: Literal["last", "first", "all"] | Several[str] = "last"
    """Layers of the teacher whose tangent kernel is matched: last, first, all, or a list of their
    names. The last one alone costs a forward pass, all ten to twenty.
    """
    discrepancy: Annotated[str, NameOf(dict.fromkeys(CHOICES))] = AUTO
    """How two kernels are compared. auto: by ridge_cka where their rows are images, by cka where
    they are pixels.
    """
    ridge: Annotated[float, Field(ge=1e-3)] = 0.3
    """Regularisation of ridge_cka, in mean eigenvalues of each kernel; less would drown in single
    precision.
    """
    schedule: Literal["auto", "constant", "falling", "rising"] = AUTO
    """Weight of the kernels during the training: constant, or a straight line from twice ntk_weight
    to 0 (falling), or from 0 to twice ntk_weight (rising). auto: falling where ntk_weight is found,
    constant where it is a number.
    """
    probes: Annotated[int, Field(ge=1, le=10_000)] | None = None
    """Random sign probes in place of all outputs. null: exact for images; 4 probes where a
    network answers each pixel.
    """
    images: Annotated[int, Field(ge=2)] | None = None
    """Images of a batch whose kernels are compared. null: all where the last layer is matched,
    else 24; 8 with contraction: pixels.
    """
    contraction: Literal["outputs", "pixels"] | None = None
    """What a row of a kernel is: an image with all of its outputs summed (outputs), or one
    sampled pixel (pixels), for tasks that answer each pixel or, in detection, each cell. null:
    pixels for those tasks, where the last layer is matched without probes and the networks are not
    your own; else, and behind a chip, outputs.
    """
    pixels: Annotated[int, Field(ge=2, le=4096)] = 64
    """Pixels sampled of each image for contraction: pixels, half of them near borders of the
    mask; in detection cells, half of them near centres of objects.
    """

    @model_validator(mode="after")
    def _kernels_fit_the_memory(self) -> Tangent:
        samples = self.pixels * (self.images or COMPARED_BY_PIXELS)
        if self.contraction == "pixels" and samples > MOST_SAMPLES:
            raise ValueError(
                f"tangent.pixels: {self.pixels} of {self.images or COMPARED_BY_PIXELS} images make "
                f"kernels of {samples} x {samples} samples, but at most {MOST_SAMPLES} are "
                "compared; set tangent.pixels or tangent.images lower"
            )
        return self

    @property
    def compared_by(self) -> str:
        """The name of the discrepancy."""
        return choose_discrepancy(self.discrepancy, self.contraction)

    def count_compared(self, batch: int) -> int:
        """How many images of a batch the kernels are of."""
        if self.contraction == "pixels":
            return min(batch, self.images or COMPARED_BY_PIXELS)
        return min(batch, self.images or (batch if self.layers == "last" else COMPARED))

    def count_samples(self, batch: int) -> int:
        """How many rows the kernels of a batch have: images, or pixels of them."""
        return self.count_compared(batch) * (self.pixels if self.contraction == "pixels" else 1)


class _ChosenMethod(Section):
    CODE: ClassVar = ("method", "")

    method: Method = "ntkd"
    """none (labels alone), kd, cwd (where each class is found, for segmentation and detection),
    ntkd, or `package.module:callable`: a loss term of your own, which is run. Source: arXiv
    2508.08421; cwd: Shu et al. 2021.
    """
    code_folder: Location | None = None
    """Folder where the module of your own loss term is looked for first. null: that of the spec
    file.
    """


def _type_weight(term: Term) -> Any:
    return Union[NotNegative, Literal["auto"]] if term.balanced else NotNegative  # noqa: UP007


def _key_of_weight(term: Term) -> tuple[Any, Any]:
    meaning = f"Weight of the loss term: {term.label}."
    if term.balanced:
        meaning += " auto: found during the training, by the balance of the terms' gradients."
    return _type_weight(term), Field(term.default, description=meaning)


def _key_of_tuned_weight(term: Term) -> tuple[Any, Any]:
    meaning = f"{term.weight} for this method. null: that of `distillation`."
    return Optional[_type_weight(term)], Field(None, description=meaning)  # noqa: UP045


def _describe_tuned(name: str) -> Any:
    whose = "a loss term of your own" if name == OWN else f"the method {name}"
    return Field(Tuned(), description=f"Settings of {whose}.")


# The keys of the weights are those of the table of loss terms.
_Weights = create_model(
    "_Weights",
    __base__=_ChosenMethod,
    **{term.weight: _key_of_weight(term) for term in TERMS.values()},  # type: ignore[call-overload]
)


class Distillation(_Weights):
    """The objective: the loss terms of a method, each with its weight."""

    temperature: Positive = 4.0
    """Temperature that softens the probabilities for KD and CWD. Source: Hinton et al. 2015."""
    tangent: Tangent = Tangent()
    """How tangent kernels are matched."""
    baseline: bool = False
    """Whether a student without transfer is trained as well, to compare."""
    robust: bool = False
    """Whether each training step sees the kernels behind a new simulated chip with the errors of
    `fabrication` (not those of pillars or of the camera).
    """

    @model_validator(mode="after")
    def _something_is_learnt(self) -> Distillation:
        check_weights(self)
        return self


class _TunedTraining(Section):
    epochs: Count | None = None
    """Epochs for this method. null: those of `training`."""
    learning_rate: Positive | None = None
    """Learning rate for this method. null: that of `training`."""
    weight_decay: NotNegative | None = None
    """Weight decay for this method. null: that of `training`."""
    temperature: Positive | None = None
    """Temperature for this method. null: that of `distillation`."""


# The weight of the task sets the scale of the loss and is not tuned.
_TunedWeights = create_model(
    "_TunedWeights",
    __base__=_TunedTraining,
    **{one.weight: _key_of_tuned_weight(one) for name, one in TERMS.items() if name != "task"},  # type: ignore[call-overload]
)


class Tuned(_TunedWeights):
    """What one method changes of training and distillation, tuned for it alone."""


# One key a method, and one for the user's own.
_TunedMethods = create_model(
    "_TunedMethods",
    __base__=Section,
    **{name: (Tuned, _describe_tuned(name)) for name in (*METHODS, OWN)},  # type: ignore[call-overload]
)


class Tuning(_TunedMethods):
    """The tuned training of each method."""

    def of(self, method: str) -> Tuned:
        """The tuned training of one method; that of ``own`` for a user's own code."""
        return getattr(self, name_tuned(method))


def name_tuned(method: str) -> str:
    """The key of ``tuned`` that holds the training of a method."""
    return OWN if is_own_code(method) else method


def check_weights(distillation: Distillation) -> None:
    """Refuse weights that leave nothing to learn, or nothing to balance a kernel's term against.

    Raises:
        ValueError: No term of the method has a weight that is stated.
    """
    keys = [TERMS[name].weight for name in find_method(distillation.method).terms]
    weights = {key: getattr(distillation, key) for key in keys}
    found = [key for key, weight in weights.items() if weight == AUTO]
    zero = [key for key, weight in weights.items() if weight == 0]
    if len(zero) + len(found) < len(weights):
        return
    what = f"{' and '.join(zero)} {'are' if len(zero) > 1 else 'is'} 0"
    if found:
        raise ValueError(
            f"{found[0]} is {AUTO}, which balances its term against the others, but {what}, so "
            f"there is nothing to balance it against; set one of them above 0, or {found[0]} to a "
            "number"
        )
    raise ValueError(
        f"method is {distillation.method}, but {what}, so that nothing is learnt; set "
        f"{'one of them' if len(zero) > 1 else 'it'} above 0"
    )
