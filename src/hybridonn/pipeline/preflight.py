"""What no training could mend is refused before any."""

from __future__ import annotations

from copy import deepcopy
from functools import partial
from importlib.util import find_spec

import torch

from hybridonn.compensation.capture_sampling import count_captures
from hybridonn.compensation.settings import stated_compensation
from hybridonn.core.errors import ArtefactError, SpecError
from hybridonn.core.memory import refuse_beyond_memory
from hybridonn.data.dataset import Dataset
from hybridonn.data.transforms.mixing import CUTS_OBJECTS
from hybridonn.distillation.class_weights import make_trained_task
from hybridonn.distillation.loss import refuse_own_term
from hybridonn.distillation.methods import BASELINE
from hybridonn.distillation.precision import mixed_precision
from hybridonn.distillation.training import choose_device, predict
from hybridonn.networks.backends.build import find_backend
from hybridonn.networks.backends.table import BACKENDS
from hybridonn.networks.hybrid import HybridNetwork
from hybridonn.networks.network_size import refuse_large_training
from hybridonn.networks.student import build_student
from hybridonn.networks.teachers.build import (
    build_stated_teacher,
    find_teacher,
    load_weights,
    prepare_teacher,
)
from hybridonn.networks.teachers.table import TEACHERS, list_teachers
from hybridonn.pipeline.chip import plan_optics
from hybridonn.pipeline.dataset_checks import refuse_dataset
from hybridonn.pipeline.from_spec import refuse_unsampled_chip
from hybridonn.pipeline.kernel_checks import refuse_kernels
from hybridonn.spec import Spec
from hybridonn.spec.consistency import name_design
from hybridonn.spec.training import check_weights
from hybridonn.tasks.table import TASKS

TRIED = 8  # images that a teacher with weights of its own answers before anything is trained


def refuse_unread(spec: Spec) -> None:
    """Refuse what can be told from the spec alone, before any data are read.

    Args:
        spec: What the user states.

    Raises:
        SpecError: There is no such teacher or loss term, a package is not installed, or a batch of
            images takes more than all memory.
        ArtefactError: The teacher's weights are no file.
    """
    find_teacher(spec.teacher.name, spec.teacher.code_folder)
    _refuse_idle_methods(spec)
    _refuse_missing_package(spec)
    _refuse_other_answers(spec)
    find_backend(spec.student)
    refuse_own_term(spec.distillation)
    weights = spec.teacher.weights
    if weights is not None and not weights.expanduser().is_file():
        what = "is a folder" if weights.expanduser().is_dir() else "does not exist"
        raise ArtefactError(
            f"teacher.weights {weights} {what}; name a safetensors file, or leave teacher.weights "
            "out to train the teacher"
        )
    if spec.data.size_pixels is not None:
        height, width = spec.data.size_pixels
        count = min(spec.training.batch_size, spec.data.train_images or spec.training.batch_size)
        refuse_beyond_memory(
            4 * count * height * width,
            f"a batch of {count} images of {height} x {width} pixels",
            "lower data.size_pixels or training.batch_size",
        )


def _refuse_idle_methods(spec: Spec) -> None:
    """Refuse a method whose weights leave nothing to learn, of the student or behind the chip.

    Raises:
        SpecError: All of its terms have the weight 0.
    """
    if spec.distillation.baseline:
        try:
            check_weights(spec.for_method(BASELINE).distillation)
        except ValueError as error:
            raise SpecError(f"distillation.baseline is true, and its {error}") from None
    if spec.compensation is not None:
        stated_compensation(spec)


def _refuse_missing_package(spec: Spec) -> None:
    """Refuse a task or curves that need a package that is not installed.

    Raises:
        SpecError: It is not installed.
    """
    trainings = [("training", spec.training), ("teacher.training", spec.teacher.training)]
    if spec.compensation:
        trainings.append(("compensation.training", spec.compensation.training))
    for key, training in trainings:
        if training.tensorboard and find_spec("tensorboard") is None:
            raise SpecError(
                f"{key}.tensorboard is true, but TensorBoard is not installed; install it with: "
                "pip install 'hybridonn[tensorboard]'"
            )
    package = TASKS[spec.task].package
    if package and find_spec(package) is None:
        raise SpecError(
            f"task is {spec.task}, whose metric needs {package.replace('_', '-')}, which is not "
            f"installed; install it with: pip install 'hybridonn[{spec.task}]'"
        )


def _refuse_other_answers(spec: Spec) -> None:
    """Refuse a built-in teacher that does not serve the task.

    Raises:
        SpecError: It answers an image where the task asks for each pixel, or the other way round.
    """
    name, asked = spec.teacher.name, TASKS[spec.task].answers
    if name in TEACHERS and TEACHERS[name].answers != asked:
        raise SpecError(
            f"task is {spec.task}, which asks for an answer to each {asked}, but teacher.name: "
            f"{name} answers each {TEACHERS[name].answers}; {spec.task} takes "
            f"{', '.join(list_teachers(asked))} or your own package.module:callable"
        )


def refuse_networks(spec: Spec, dataset: Dataset) -> HybridNetwork:
    """Refuse a teacher or a student that cannot be built, or not trained in this memory.

    Args:
        spec: What the user states.
        dataset: Whose images and classes it is for.

    Returns:
        The student.

    Raises:
        SpecError: They do not fit the images, one another or the memory, or layers are stated
            whose tangent kernel cannot be matched.
        ArtefactError: The teacher's weights are another network's, or they or its logits are not
            finite.
        OpticsError: The student's optics cannot image the images.
    """
    shape, classes = dataset.image_shape, len(dataset.classes)
    stated = spec.teacher
    if stated.name in TEACHERS and stated.weights is None:
        refuse_large_training(
            prepare_teacher(stated.name, stated.arguments, shape, classes),
            (min(stated.training.batch_size, len(dataset.train)), *shape),
            f"a training step of teacher {stated.name}",
            "lower what is large in teacher.arguments, teacher.training.batch_size or "
            "data.size_pixels",
            _device_bytes(stated.training.device),
        )
    teacher = build_stated_teacher(
        stated, shape, classes, outputs=dataset.task.output_shape(classes, shape)
    )
    if stated.weights is not None:
        load_weights(teacher, stated.weights.expanduser())
        if not predict(teacher, dataset.validation.images[:TRIED]).isfinite().all():
            raise ArtefactError(
                f"teacher.weights {stated.weights} gives logits that are not finite: its numbers "
                "are too large for images from 0 to 1; name another file"
            )
    make = partial(build_student, spec.student, shape, classes, spec.seed, spec.optics, spec.task)
    student = make() if spec.student.backend not in BACKENDS else None
    refuse_large_training(
        # The user's own code is run once only.
        make if student is None else lambda: deepcopy(student).to("meta"),
        (min(spec.training.batch_size, len(dataset.student_train)), *shape),
        "a training step of the student",
        "lower student.kernels, pooled_size or hidden, training.batch_size or data.size_pixels",
        _device_bytes(spec.training.device),
    )
    built = student or make()
    refuse_kernels(spec, teacher, built, shape)
    return built


def refuse_augmentation(spec: Spec, image_shape: tuple[int, int, int]) -> None:
    """Refuse changes of the training images that leave nothing of them, or of their objects.

    Args:
        spec: What the user states.
        image_shape: (C, H, W).

    Raises:
        SpecError: Images are shifted or cropped by their own size or more, or boxes are cut in two.
    """
    trained = {"training": spec.training, "teacher.training": spec.teacher.training}
    if spec.compensation is not None:
        trained["compensation.training"] = spec.compensation.training
    height, width = image_shape[1:]
    for where, training in trained.items():
        if training.augmentation.cutmix_alpha and TASKS[spec.task].answers == "cell":
            raise SpecError(
                f"{where}.augmentation.cutmix_alpha is {training.augmentation.cutmix_alpha:g}, "
                f"which {CUTS_OBJECTS}"
            )
        for key in ("shift_pixels", "crop_pixels"):
            pixels = getattr(training.augmentation, key)
            if pixels >= min(height, width):
                raise SpecError(
                    f"{where}.augmentation.{key} is {pixels:g}, but the images are {height} x "
                    f"{width}; allowed is less than {min(height, width)}"
                )


def _refuse_class_weights(spec: Spec, dataset: Dataset) -> None:
    """Refuse weights of classes that are not one a class, or a class to balance without a label.

    Raises:
        SpecError: They are.
    """
    classes, student = len(dataset.classes), dataset.student_train.labels
    trained = [("teacher.training", spec.teacher.training, dataset.train.labels)]
    trained += [("training", spec.training, student)]
    if spec.compensation is not None:
        trained += [("compensation.training", spec.compensation.training, student)]
    for where, training, labels in trained:
        make_trained_task(spec.task, training, labels, classes, where)


def _device_bytes(device: str) -> int | None:
    """All memory of a GPU; None: the network is trained in that of the machine."""
    chosen = choose_device(device)
    on_gpu = chosen.type == "cuda"
    return torch.cuda.get_device_properties(chosen).total_memory if on_gpu else None


def refuse_early(spec: Spec, dataset: Dataset) -> None:
    """Refuse a network or a chip that could not be built once the teacher is trained.

    Args:
        spec: What the user states.
        dataset: Whose images and classes it is for.

    Raises:
        SpecError: A network does not fit the images or the memory, weights are not one a class,
            augmentation leaves nothing of the images, the design does not fit the
            metasurface; an error of fabrication does not act on this design; a fraction of captures
            is less than one of each class; wavelengths are not one a channel.
        ArtefactError: The teacher's weights are another network's, or not finite.
        DataError: The set has too few or too small images for what the spec asks of them.
        OpticsError: The optics cannot be made, or not simulated rightly.
        TrainingError: The student cannot be trained on this device in this precision.
    """
    refuse_dataset(spec, dataset)
    refuse_augmentation(spec, dataset.image_shape)
    _refuse_class_weights(spec, dataset)
    student = refuse_networks(spec, dataset)
    if spec.optics.wavelengths_nm is not None:
        spec.optics.wavelengths_m(dataset.image_shape[0])
    if spec.training.precision == "bfloat16":
        mixed_precision("bfloat16", choose_device(spec.training.device), student)
    if spec.fabrication is not None:
        spec.fabrication.on(name_design(spec) or "kernels")
    if spec.compensation is not None:
        covered = dataset.task.cover(dataset.student_train.labels, dataset.classes)
        for fraction in (spec.compensation.fraction, *spec.compensation.fractions):
            count_captures(fraction, covered)
    if spec.optics.metasurface is not None:
        plan = plan_optics(spec, dataset.image_shape)
        if spec.fabrication is not None:
            refuse_unsampled_chip(plan.design_context.metasurface, plan.window, spec.fabrication)
