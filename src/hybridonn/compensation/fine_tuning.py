"""Fine-tunes a backend behind frozen optics, by the one training loop."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hybridonn import spec
from hybridonn.compensation.calibration import Calibration
from hybridonn.compensation.fine_tuning_data import FineTuningData
from hybridonn.compensation.teacher_targets import CompensationTargets
from hybridonn.core.progress import Progress
from hybridonn.data.indexed import FeatureDataset
from hybridonn.distillation.best_epoch import find_best, rank_epoch
from hybridonn.distillation.class_weights import make_trained_task
from hybridonn.distillation.loss import Objective
from hybridonn.distillation.teacher_targets import TeacherTargets
from hybridonn.distillation.training import TrainingSetup, choose_device, train, validate
from hybridonn.networks.frontends.stored import StoredFeatures
from hybridonn.networks.hybrid import HybridNetwork
from hybridonn.tasks.task import Task, make_task


def fine_tune(
    backend: nn.Module,
    captures: FeatureDataset,
    held_out: int,
    targets: TeacherTargets,
    settings: spec.Training,
    distillation: spec.Distillation,
    task: Task,
    seed: int,
    checkpoint: Path,
    progress: Progress,
) -> tuple[nn.Module, list[dict[str, Any]]]:
    """Train a copy of a backend on captures, the optics frozen.

    Where no epoch does better on the captures that are held out than the backend did before,
    training has only done harm: the backend stays as it was.

    Args:
        backend: Where the training starts; it is left as it is.
        captures: What was seen behind the optics, with the truth or what the teacher says.
        held_out: The last so many captures choose the epoch; 0: all are learnt, and all choose.
        targets: The teacher's targets, by the position of a capture.
        settings: Epochs, learning rate and the like.
        distillation: The objective.
        task: What the network is for.
        seed: Of the data order.
        checkpoint: The file that holds the state after each epoch.
        progress: Shows how far it is.

    Returns:
        The backend, in inference mode, and the history, from epoch 0 on: before training.
    """
    kernels = sum(one.shape[1] for one in captures.branches)
    network = HybridNetwork(StoredFeatures(kernels), deepcopy(backend).requires_grad_())
    trained = len(captures) - held_out
    setup = TrainingSetup(
        Objective(task, distillation, targets),
        captures.slice(0, trained),
        captures.slice(trained if held_out else 0, len(captures)),
        settings,
        seed,
        f"compensation ({distillation.method})",
    )
    before = validate(network.to(choose_device(settings.device)), setup)
    history = train(network, setup, checkpoint, progress)
    best = rank_epoch(history[find_best(history, task.metric)], task.metric)
    spoilt = held_out and best < rank_epoch(before, task.metric)
    result = deepcopy(backend) if spoilt else network.backend
    return result.cpu().eval(), [{"epoch": 0, **before}, *history]


@dataclass(frozen=True)
class FineTuning:
    """What is the same behind one chip for every fine-tuning of its backend.

    Attributes:
        settings: Fraction, seed, labels and what is held out.
        student: With the optics as designed.
        calibration: Where every fine-tuning starts.
        data: What is learnt from.
        features: Features of all images that are learnt from, (N, K_b, H_b, W_b) a branch.
        targets: The teacher's targets to the same images.
    """

    settings: spec.Compensation
    student: HybridNetwork
    calibration: Calibration
    data: FineTuningData
    features: tuple[Tensor, ...]
    targets: CompensationTargets

    def fine_tune(
        self, own: spec.Spec, part: Path, progress: Progress
    ) -> tuple[nn.Module, list[dict[str, Any]]]:
        """Fine-tune a copy of the calibrated backend.

        Args:
            own: With one method's training and objective, see :func:`settings_for`.
            part: Folder of the checkpoint while the fine-tuning lasts.
            progress: Shows how far it is.

        Returns:
            The backend, in inference mode, and the history.
        """
        labels = self.data.shown.labels
        if not self.settings.labelled:  # what the teacher says chooses the epoch, too
            labels = self.targets.predict_labels(make_task(own.task), torch.arange(len(labels)))
        classes = self.targets.teacher.table.shape[1]
        where = "compensation.training"
        task = make_trained_task(own.task, own.training, labels, classes, where)
        # The last ones: true captures, no simulated ones.
        held_out = round(self.settings.held_out_fraction * len(self.data.captured))
        name = f"checkpoint_{own.distillation.method}_{self.settings.fraction}.safetensors"
        return fine_tune(
            self.calibration.backend,
            FeatureDataset(self.features, labels),
            held_out,
            self.targets,
            own.training,
            own.distillation,
            task,
            self.settings.seed,
            part / name,
            progress,
        )
