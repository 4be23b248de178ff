"""How accuracy is won back on a chip that differs from its design."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from hybridonn.core.tables import NameOf
from hybridonn.distillation.methods import METHODS, explain_unserved
from hybridonn.spec.section import Positive, Section, Seed, Several
from hybridonn.spec.training import Distillation, Method, Training, Tuning

# The methods of tasks with any answers.
SERVING_ALL = tuple(one for one in METHODS if not explain_unserved(one, ""))
Share = Annotated[float, Field(gt=0, le=1)]
Part = Annotated[float, Field(ge=0, le=1)]
HeldOut = Annotated[float, Field(ge=0, lt=1)]
TangentTeacher = Literal["teacher", "student", "both"]


class Compensation(Section):
    """Optics frozen as measured: calibration in closed form, then fine-tuning of the backend."""

    fraction: Share = 0.1
    """Share of the student's training images that are captured behind the chip.
    """
    fractions: Several[Share] = ()
    """Further shares at which calibration and distillation.method are measured."""
    methods: Several[Annotated[str, NameOf(METHODS)]] = SERVING_ALL
    """Methods of fine-tuning that are compared on the same captures, beside calibration; the best
    on held-out captures is kept.
    """
    calibration: Literal["none", "gains", "layers"] = "layers"
    """Closed-form fit without labels: none, gains and offsets of the sub-optics, or the weights
    of every layer as well (layers).
    """
    ridge: Positive = 0.01
    """Regularisation of the fit of layers, relative to the mean squared feature."""
    twin_fraction: Part = 0.0
    """Share of the images that were not captured which fine-tuning sees behind a digital twin of
    the chip.
    """
    labelled: bool = True
    """Whether fine-tuning sees labels. false: KD and NTKD learn from the teacher alone."""
    tangent_teacher: TangentTeacher = "teacher"
    """Whose tangent kernel is matched: the teacher's, that of the student behind the designed
    optics, or both.
    """
    held_out_fraction: HeldOut = 0.0
    """Share of the captures that chooses the epoch. 0: all are trained on."""
    judged_fraction: HeldOut = 0.2
    """Share of the captures that chooses the method; the best is trained again on all. 0:
    distillation.method is kept.
    """
    seed: Seed = 0
    """Seed of the choice of images and of their order."""
    distillation: Distillation = Distillation()
    """The loss of fine-tuning."""
    training: Training = Training(epochs=10, learning_rate=1e-4)
    """The training of fine-tuning; its small learning rate keeps what calibration has won."""
    tuned: Tuning = Tuning()
    """Settings that `hybridonn tune-compensation` has found for each method."""

    @property
    def trained(self) -> tuple[Method, ...]:
        """The methods that are compared, then the one of each fraction; each once."""
        return tuple(dict.fromkeys([*self.methods, self.distillation.method]))
