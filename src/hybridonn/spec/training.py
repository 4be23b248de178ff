"""How networks are trained: the training itself, the teacher, the distillation."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, create_model, model_validator

from hybridonn.core.tables import NameOf
from hybridonn.distillation.discrepancies import DISCREPANCIES
from hybridonn.distillation.methods import METHODS, OWN, TERMS, is_own_code
from hybridonn.networks.teachers.table import TEACHERS
from hybridonn.spec.section import Count, Location, NotNegative, Positive, Section, Seed, Several

Method = Annotated[str, NameOf(METHODS, own_code=True)]


class Augmentation(Section):
    """Random changes of the training images, in pixels, degrees and parts of one."""

    shift_pixels: NotNegative = 0.0
    rotation_degrees: Annotated[float, Field(ge=0, le=180)] = 0.0
    scale_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.0
    flip: bool = False  # left and right, every other image
    crop_pixels: Annotated[int, Field(ge=0)] = 0  # shift by up to so many whole pixels: cheap
    crop_edge: Literal["dark", "reflect"] = "dark"  # what comes in at the edges of a crop
    brightness: Annotated[float, Field(ge=0, lt=1)] = 0.0
    contrast: Annotated[float, Field(ge=0, lt=1)] = 0.0
    saturation: Annotated[float, Field(ge=0, lt=1)] = 0.0


class Training(Section):
    """How a network is trained: AdamW on a one-cycle schedule."""

    epochs: Count = 20
    batch_size: Count = 128
    learning_rate: Positive = 4e-3
    weight_decay: NotNegative = 1e-2
    patience: Count | None = None  # epochs without a better validation metric; None: all epochs
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0  # Szegedy et al. 2016, section 7
    augmentation: Augmentation = Augmentation()
    # So many fixed changes of each image, one an epoch in turn, for which the teacher's answers
    # are stored and serve every student; None: new changes at each step, and a live teacher.
    views: Count | None = None


class Teacher(Section):
    """The digital network that teaches the student."""

    CODE: ClassVar = ("name", "arguments")

    # Built in, or `package.module:callable`: code that is run. The callable is a class of nn.Module
    # or a function with the annotation -> nn.Module.
    name: Annotated[str, NameOf(TEACHERS, own_code=True)] = "lenet"
    # Where package.module is looked for first, before the installed packages; None: the folder of
    # the spec file.
    code_folder: Location | None = None
    arguments: dict[str, Any] = Field(default={})
    weights: Location | None = None  # safetensors: loaded as they are, in place of any training
    seed: Seed = 0  # its own, so that students of any seed learn from one teacher
    training: Training = Training(epochs=12, learning_rate=3e-3)


# A kernel of more layers than the last costs several training steps on a whole batch; on 24 or 32
# of 128 images MNIST students were 0.1 points worse, within chance (docs/results.md).
COMPARED = 24
# Sampled pixels of so many images are compared: 8 x 64 of them make kernels of 512 x 512.
COMPARED_BY_PIXELS = 8
MOST_SAMPLES = 8192  # of a kernel: 256 MB in single precision, several times over


class Tangent(Section):
    """How the tangent kernels of student and teacher are matched."""

    layers: Literal["last", "first", "all"] | Several[str] = "last"  # of the student
    # Of the teacher. Its last layer alone costs one forward pass; all layers cost ten to twenty.
    # None: all, or the last one where pixels are compared, of which all cost minutes a step.
    teacher_layers: Literal["last", "first", "all"] | Several[str] | None = None
    # cka is the cheapest; ridge_cka also sees what logits do not tell, and is ahead by points where
    # KD has caught up with cka (docs/results.md).
    discrepancy: Annotated[str, NameOf(DISCREPANCIES)] = "cka"
    # Of ridge_cka, in mean eigenvalues of each kernel; less would drown in single precision.
    ridge: Annotated[float, Field(ge=1e-3)] = 0.3
    schedule: Literal["constant", "falling", "rising"] = "constant"  # of its weight
    # Random sign probes in place of all outputs; None: exact, or 4 of them where a network
    # answers pixel by pixel.
    probes: Annotated[int, Field(ge=1, le=10_000)] | None = None
    # Images of each batch whose kernels are compared; None: all of them where the last layer is
    # matched, which costs one product, else COMPARED at the most; 8 where pixels are compared.
    images: Annotated[int, Field(ge=2)] | None = None
    # What the samples of a kernel are. outputs: images, all outputs of each summed, exactly or by
    # random signs. pixels: sampled pixels of each image, for tasks whose answer is an image.
    contraction: Literal["outputs", "pixels"] = "outputs"
    pixels: Annotated[int, Field(ge=2, le=4096)] = 64  # of an image, half of them near borders

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
    def taught_by(self) -> str | tuple[str, ...]:
        """The layers of the teacher whose kernel is matched."""
        return self.teacher_layers or ("all" if self.contraction == "outputs" else "last")

    def count_compared(self, batch: int) -> int:
        """How many images of a batch the kernels are of."""
        if self.contraction == "pixels":
            return min(batch, self.images or COMPARED_BY_PIXELS)
        return min(batch, self.images or (batch if self.layers == "last" else COMPARED))


class _ChosenMethod(Section):
    CODE: ClassVar = ("method", "")

    # A method of the table, or `package.module:callable`: code that is run. The callable is a
    # function of a step with the annotation -> torch.Tensor; its scalar joins the task and KD.
    method: Method = "ntkd"
    # Where package.module is looked for first, before the installed packages; None: the folder of
    # the spec file.
    code_folder: Location | None = None


# The keys of the weights are those of the table of loss terms.
_Weights = create_model(
    "_Weights",
    __base__=_ChosenMethod,
    **{term.weight: (NotNegative, term.default) for term in TERMS.values()},  # type: ignore[call-overload]
)


class Distillation(_Weights):
    """The objective: the loss terms of a method, each with its weight."""

    temperature: Positive = 4.0
    tangent: Tangent = Tangent()
    baseline: bool = False  # also train the student without transfer, and compare the teacher
    # Each training step sees the kernels behind a new chip of `fabrication`: its errors of
    # kernels and sub-optics, not those of pillars or the camera. Judged with the ideal kernels.
    robust: bool = False


class _TunedTraining(Section):
    epochs: Count | None = None
    learning_rate: Positive | None = None
    weight_decay: NotNegative | None = None
    temperature: Positive | None = None


# The weight of the task sets the scale of the loss and is not tuned.
_TunedWeights = create_model(
    "_TunedWeights",
    __base__=_TunedTraining,
    **{term.weight: (NotNegative | None, None) for name, term in TERMS.items() if name != "task"},  # type: ignore[call-overload]
)


class Tuned(_TunedWeights):
    """What one method changes of training and distillation, tuned for it alone."""


# One key a method, and one for the user's own.
_TunedMethods = create_model(
    "_TunedMethods",
    __base__=Section,
    **dict.fromkeys((*METHODS, OWN), (Tuned, Tuned())),  # type: ignore[call-overload]
)


class Tuning(_TunedMethods):
    """The tuned training of each method."""

    def of(self, method: str) -> Tuned:
        """The tuned training of one method; that of ``own`` for a user's own code."""
        return getattr(self, name_tuned(method))


def name_tuned(method: str) -> str:
    """The key of ``tuned`` that holds the training of a method."""
    return OWN if is_own_code(method) else method
