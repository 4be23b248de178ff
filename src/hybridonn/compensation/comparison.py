"""Compares treatments of one chip: as it is, calibrated, and fine-tuned by each method."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter

import torch

from hybridonn.compensation.calibration import Calibration, recalibrate
from hybridonn.compensation.capture_pair import CapturePair
from hybridonn.compensation.evaluation import Evaluation, evaluate
from hybridonn.compensation.fine_tuning import FineTuning
from hybridonn.compensation.fine_tuning_data import FineTuningData, compute_features
from hybridonn.compensation.settings import settings_for
from hybridonn.compensation.teacher_targets import CompensationTargets
from hybridonn.core.progress import Progress
from hybridonn.networks.hybrid import HybridNetwork
from hybridonn.spec import Compensation, Spec


def compare_methods(
    spec: Spec,
    settings: Compensation,
    student: HybridNetwork,
    targets: CompensationTargets,
    data: FineTuningData,
    test: CapturePair,
    part: Path,
    progress: Progress,
) -> list[Evaluation]:
    """The chip as it is, calibrated, and fine-tuned by every method, in this order.

    Args:
        spec: The task, and the student's spec.
        settings: The form of the calibration, and the methods.
        student: With the optics as designed.
        targets: The teacher's targets to all images that are learnt from.
        data: What may be learnt from.
        test: Captures that are only answered: of test images, or held out.
        part: Folder of the checkpoints while the work lasts.
        progress: Shows how far it is.
    """
    kernels, began = sum(test.counts), perf_counter()
    design = Calibration(torch.ones(kernels, 2), torch.zeros(kernels), student.backend)
    evaluations = [evaluate("uncompensated", student.backend, design, test)]
    found = recalibrate(settings, student, data.captured)
    evaluations.append(evaluate("calibrated", found.backend, found, test, began))
    features = compute_features(settings, student, found, data)
    own = FineTuning(settings, student, found, data, features, targets)
    for method in settings.trained:
        started = perf_counter()
        stated = settings_for(spec, settings, method)
        backend, history = own.fine_tune(stated, part, progress)
        evaluations.append(evaluate(method, backend, found, test, started, history))
    return evaluations
