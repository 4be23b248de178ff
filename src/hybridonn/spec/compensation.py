"""How accuracy is won back on a chip that differs from its design."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from hybridonn.core.tables import NameOf
from hybridonn.distillation.methods import METHODS
from hybridonn.spec.section import Positive, Section, Seed, Several
from hybridonn.spec.training import Distillation, Training, Tuning

Share = Annotated[float, Field(gt=0, le=1)]
Part = Annotated[float, Field(ge=0, le=1)]
HeldOut = Annotated[float, Field(ge=0, lt=1)]
TangentTeacher = Literal["teacher", "student", "both"]


class Compensation(Section):
    """Optics frozen as measured: calibration in closed form, then fine-tuning of the backend."""

    fraction: Share = 0.1  # of the student's training images that are captured behind the chip
    # Further fractions at which the calibration and distillation.method are measured as well.
    fractions: Several[Share] = ()
    # Compared on the same captures, beside the chip as it is and the calibration; the best on
    # captures held out is kept.
    methods: Several[Annotated[str, NameOf(METHODS)]] = tuple(METHODS)
    # none: start from the backend as designed; gains: of the sub-optics and offsets;
    # layers: then also every layer's weights. All in closed form, without labels.
    calibration: Literal["none", "gains", "layers"] = "layers"
    ridge: Positive = 0.01  # of the layers, relative to the mean squared feature
    # Of the training images that were not captured: fine-tuning sees them, too, behind a model of
    # the chip that is fitted to the captures.
    twin_fraction: Part = 0.0
    labelled: bool = True  # False: KD and NTKD learn from the teacher alone
    tangent_teacher: TangentTeacher = "teacher"  # student: the one with the optics as designed
    held_out_fraction: HeldOut = 0.0  # of the captures, to choose the epoch; 0: all are learnt
    # Of the captures, to choose what is kept: no candidate sees them, and the best is made again of
    # all captures. 0: distillation.method is kept.
    judged_fraction: HeldOut = 0.2
    seed: Seed = 0  # of the choice of images and of the data order
    distillation: Distillation = Distillation()
    # Gentle: behind the calibration there is little to win and, at 1e-3, up to two points to lose.
    training: Training = Training(epochs=10, learning_rate=1e-4)
    tuned: Tuning = Tuning()
