"""What no training could mend is refused before any."""

from __future__ import annotations

from hybridonn.compensation.captured import count_captures
from hybridonn.data.dataset import Dataset
from hybridonn.distillation.training import choose_device, mixed_precision
from hybridonn.networks.students import build_student
from hybridonn.optics.chip_as_built import refuse_unsampled
from hybridonn.pipeline.chip import plan_optics
from hybridonn.spec import Spec


def refuse_early(spec: Spec, dataset: Dataset) -> None:
    """Refuse a student or a chip that could not be built once the teacher is trained.

    Args:
        spec: What the user states.
        dataset: Whose images and classes it is for.

    Raises:
        SpecError: The design does not fit the images, or the metasurface; wavelengths are not
            one a channel; an error of
            fabrication does not act on this design; a fraction of captures is less than one
            of each class.
        OpticsError: The optics cannot be made, or not simulated rightly.
        TrainingError: The student cannot be trained on this device in this precision.
    """
    student = build_student(
        spec.student, dataset.image_shape, len(dataset.classes), spec.seed, spec.optics
    )
    if spec.optics.wavelengths_nm is not None:
        spec.optics.wavelengths_m(dataset.image_shape[0])
    if spec.training.precision == "bfloat16":
        mixed_precision("bfloat16", choose_device(spec.training.device), student)
    if spec.fabrication is not None:
        spec.fabrication.on(spec.optics.metasurface is not None)
    if spec.compensation is not None:
        for fraction in (spec.compensation.fraction, *spec.compensation.fractions):
            count_captures(fraction, dataset.student_train, len(dataset.classes))
    if spec.optics.metasurface is not None:
        plan = plan_optics(spec, dataset.image_shape)
        if spec.fabrication is not None:
            refuse_unsampled(plan.workshop.metasurface, plan.window, spec.fabrication)
