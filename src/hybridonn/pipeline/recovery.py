"""Calibrates and fine-tunes a backend behind one chip, method by method."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn

from hybridonn.compensation.calibration import Calibration, calibrate
from hybridonn.compensation.capture_pair import Captured
from hybridonn.compensation.fine_tuning import Captures, fine_tune
from hybridonn.compensation.teacher_targets import CompensationKnowledge
from hybridonn.core.progress import Progress
from hybridonn.data.batches import to_scene
from hybridonn.data.dataset import ImageSet
from hybridonn.distillation.teacher_targets import StoredKnowledge, teacher_features
from hybridonn.distillation.training import predict
from hybridonn.networks.hybrid import HybridNetwork
from hybridonn.pipeline.lessons import Lessons, look
from hybridonn.pipeline.stages.teacher_targets import SKETCH_WIDTH
from hybridonn.pipeline.treated import Treated, judge
from hybridonn.spec import Compensation, Method, Spec
from hybridonn.tasks.task import make_task


@dataclass(frozen=True)
class Recovery:
    """What is the same behind one chip for every fine-tuning of its backend.

    Attributes:
        settings: Fraction, seed, labels and what is held out.
        student: With the optics as designed.
        calibration: Where every fine-tuning starts.
        learnt: What is learnt from.
        features: Of all images that are learnt from, (N, K, H', W').
        knowledge: The teacher's answers to the same images.
    """

    settings: Compensation
    student: HybridNetwork
    calibration: Calibration
    learnt: Lessons
    features: Tensor
    knowledge: CompensationKnowledge

    def fine_tune(
        self, own: Spec, part: Path, progress: Progress
    ) -> tuple[nn.Module, list[dict[str, Any]]]:
        """Fine-tune a copy of the calibrated backend.

        Args:
            own: With one method's training and objective, see :func:`settings_for`.
            part: Where the checkpoint lies as long as it takes.
            progress: Shows how far it is.

        Returns:
            The backend, in inference mode, and the history.
        """
        task = make_task(own.task, own.training.label_smoothing)
        labels = self.learnt.shown.labels
        if not self.settings.labelled:  # what the teacher says chooses the epoch, too
            every = torch.arange(len(labels))
            labels = task.predict(self.knowledge.logits(every, torch.empty(0)))
        captures = Captures(
            self.features,
            self.student.frontend.signed_kernels().detach(),
            labels,
            # The last ones: true captures, no simulated ones.
            round(self.settings.held_out_fraction * len(self.learnt.captured)),
        )
        name = f"checkpoint_{own.distillation.method}_{self.settings.fraction}.safetensors"
        return fine_tune(
            self.calibration.backend,
            captures,
            self.knowledge,
            own.training,
            own.distillation,
            task,
            self.settings.seed,
            part / name,
            progress,
        )


def treat(
    spec: Spec,
    settings: Compensation,
    student: HybridNetwork,
    knowledge: CompensationKnowledge,
    learnt: Lessons,
    test: Captured,
    part: Path,
    progress: Progress,
) -> list[Treated]:
    """The chip as it is, calibrated, and fine-tuned by every method, in this order.

    Args:
        spec: The task, and the student's spec.
        settings: How.
        student: With the optics as designed.
        knowledge: The teacher's answers to all images that are learnt from.
        learnt: What may be learnt from.
        test: Captures that are only answered: of test images, or held out.
        part: Where checkpoints lie as long as it takes.
        progress: Shows how far it is.
    """
    kernels, began = test.positive.shape[1], perf_counter()
    design = Calibration(torch.ones(kernels, 2), torch.zeros(kernels), student.backend)
    treated = [judge("uncompensated", student.backend, design, test)]
    found = recalibrate(settings, student, learnt.captured)
    treated.append(judge("calibrated", found.backend, found, test, began))
    features = look(spec, settings, student, found, learnt)
    recovery = Recovery(settings, student, found, learnt, features, knowledge)
    for method in list_methods(settings):
        started = perf_counter()
        backend, history = recovery.fine_tune(settings_for(spec, settings, method), part, progress)
        treated.append(judge(method, backend, found, test, started, history))
    return treated


def list_methods(settings: Compensation) -> list[Method]:
    """The methods that are compared, then the one of each fraction; each once."""
    return list(dict.fromkeys([*settings.methods, settings.distillation.method]))


def settings_for(spec: Spec, settings: Compensation, method: Method) -> Spec:
    """The spec whose training and distillation are those of one method's fine-tuning.

    Args:
        spec: Of the run.
        settings: With ``tuned``; without labels the task has no weight.
        method: Which.
    """
    stated = {name: getattr(settings, name) for name in ("distillation", "training", "tuned")}
    own = spec.model_copy(update=stated).for_method(method)
    if settings.labelled:
        return own
    unlabelled = own.distillation.model_copy(update={"task_weight": 0.0})
    return own.model_copy(update={"distillation": unlabelled})


def recalibrate(settings: Compensation, student: HybridNetwork, learnt: Captured) -> Calibration:
    """Set the student's backend anew, in closed form, from captures beside their simulation.

    Args:
        settings: The form of the calibration and its ridge.
        student: With the optics as designed.
        learnt: Captures of training images.
    """
    simulated = _simulate(student, learnt.shown)
    return calibrate(student.backend, learnt, simulated, settings.calibration, settings.ridge)


def ask(
    spec: Spec,
    settings: Compensation,
    student: HybridNetwork,
    teacher: nn.Module,
    shown: ImageSet,
    progress: Progress,
) -> CompensationKnowledge:
    """The teacher's answers to the raw images; its tangent features only where they are matched.

    Args:
        spec: The task.
        settings: Methods, and what of the tangent kernels is matched.
        student: With the optics as designed.
        teacher: In inference mode.
        shown: The images that are learnt from.
        progress: Shows how far it is.
    """
    sketch = None
    if "ntkd" in list_methods(settings) and settings.tangent_teacher != "student":
        tangent = settings.distillation.tangent
        probes = make_task(spec.task).contraction(tangent.probes)
        rows = []
        with progress.bar("teacher's tangents", len(shown)) as advance:
            for some in shown.images.split(128):
                scene = to_scene(some)
                rows.append(
                    teacher_features(teacher, scene, SKETCH_WIDTH, tangent.teacher_layers, probes)
                )
                advance(len(some))
        sketch = torch.cat(rows)
    stored = StoredKnowledge(predict(teacher, shown.images), None, sketch)
    layers = settings.distillation.tangent.layers
    return CompensationKnowledge(stored, student, shown.images, layers, settings.tangent_teacher)


@torch.no_grad()
def _simulate(student: HybridNetwork, shown: ImageSet) -> Tensor:
    return torch.cat([student.frontend(to_scene(some))[0] for some in shown.images.split(500)])
