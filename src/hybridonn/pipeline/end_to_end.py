"""Optics and electronics trained together, through the waves behind the pillars."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from hybridonn import spec as specs
from hybridonn.core.files import write_table
from hybridonn.core.progress import Progress
from hybridonn.data.dataset import Dataset
from hybridonn.distillation.class_weights import make_trained_task
from hybridonn.distillation.loss import Objective
from hybridonn.distillation.teacher_targets import TeacherTargets
from hybridonn.distillation.training import TrainingSetup, train
from hybridonn.networks.frontends.metasurface import TrainableMetasurface
from hybridonn.networks.hybrid import HybridNetwork
from hybridonn.pipeline.chip import Chip, in_branches, settings_of


def train_optics(
    network: HybridNetwork,
    widths_m: Tensor,
    gains: Tensor,
    spec: specs.Spec,
    dataset: Dataset,
    chip: Chip,
    learnt: tuple[TeacherTargets, float],
    part: Path,
    progress: Progress,
) -> Tensor:
    """Train widths and backend together through the wave optics, from a kernels-first start.

    The backend of ``network`` is trained in place; the camera takes no part, since noise
    has no gradient.

    Args:
        network: The trained student.
        widths_m: Widths to start from, (K, 2, cells, cells).
        gains: Gains of the sub-optics as designed.
        spec: The spec.
        dataset: The images.
        chip: The plan of the metasurface.
        learnt: What the teacher answers, and the validation score beyond which it is left behind.
        part: The folder of checkpoint and history.
        progress: Shows how far it is.

    Returns:
        Widths that can be made, (K, 2, cells, cells).
    """
    settings, context = settings_of(spec), chip.design_context
    optics = TrainableMetasurface(
        widths_m,
        context.metasurface,
        context.library,
        context.limits,
        chip.window,
        chip.kernel_size,
        spec.student.stride,
        gains,
    )
    network.frontend = in_branches(optics, chip.branches)
    # Decay would pull every pillar to the narrowest.
    training = spec.training.model_copy(
        update={
            "epochs": settings.end_to_end_epochs,
            "learning_rate": settings.end_to_end_learning_rate,
            "weight_decay": 0.0,
        }
    )
    targets, teacher_bound = learnt
    labels, classes = dataset.student_train.labels, len(dataset.classes)
    task = make_trained_task(spec.task, spec.training, labels, classes)
    setup = TrainingSetup(
        Objective(task, spec.distillation, targets),
        dataset.student_train,
        dataset.validation,
        training,
        spec.seed,
        "end to end",
        teacher_bound=teacher_bound,
    )
    history = train(network, setup, part / "checkpoint.safetensors", progress)
    write_table(part / "history.csv", history)
    return optics.widths_m().cpu()
