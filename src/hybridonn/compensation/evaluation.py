"""A backend behind a chip after one treatment, and what it answers to test captures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn

from hybridonn.compensation.calibration import Calibration
from hybridonn.compensation.capture_pair import CapturePair
from hybridonn.data.indexed import fit_batch
from hybridonn.distillation.training import predict
from hybridonn.networks.features import penultimate
from hybridonn.networks.hybrid import HybridNetwork
from hybridonn.tasks.task import Task


@dataclass(frozen=True)
class Evaluation:
    """A backend behind the chip after one treatment.

    Attributes:
        method: ``uncompensated``, ``calibrated`` or the method of the fine-tuning.
        backend: The backend after the treatment, in inference mode.
        calibration: The gains and offsets that it sees the captures with.
        logits: Logits of the test captures, (N, ...).
        seconds: Duration of the treatment.
        history: History of the fine-tuning, epoch by epoch.
    """

    method: str
    backend: nn.Module
    calibration: Calibration
    logits: Tensor
    seconds: float = 0.0
    history: tuple[dict[str, Any], ...] = ()


def evaluate(
    method: str,
    backend: nn.Module,
    calibration: Calibration,
    test: CapturePair,
    started: float | None = None,
    history: Sequence[dict[str, Any]] = (),
) -> Evaluation:
    """Let a treated backend answer the test captures.

    Args:
        method: The treatment.
        backend: The backend after the treatment.
        calibration: The gains and offsets that it sees the captures with.
        test: Captures of test images.
        started: When the treatment began; None: there was none.
        history: History of the fine-tuning.
    """
    logits = compute_logits(backend, test, calibration.gains)
    seconds = 0.0 if started is None else round(perf_counter() - started, 2)
    return Evaluation(method, backend, calibration, logits, seconds, tuple(history))


def measure(task: Task, treated: Evaluation, test: CapturePair) -> float:
    """The metric of the task."""
    return task.measure(treated.logits, test.shown.labels)[task.metric]


def look_inside(treated: Evaluation, captured: CapturePair) -> Tensor:
    """What the backend's last layer sees, (N, D); of a single layer what it answers.

    Before a single layer stands nothing that compensation changes but gains.
    """
    gains = treated.calibration.gains
    layers = [m for m in treated.backend.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    if len(layers) == 1:
        return compute_logits(treated.backend, captured, gains)
    return penultimate(treated.backend, captured.subtract(gains))


@torch.no_grad()
def compute_logits(
    backend: torch.nn.Module, captured: CapturePair, gains: Tensor | None = None
) -> Tensor:
    """Logits of captures, (N, ...), in inference mode on the CPU.

    Args:
        backend: From the branches of the optics to the outputs of the task.
        captured: What it sees.
        gains: Gains of the sub-optics of each kernel, (K, 2); None: one.
    """
    backend.eval()
    features = captured.subtract(torch.ones(sum(captured.counts), 2) if gains is None else gains)
    batches = zip(*(one.split(fit_batch(features)) for one in features), strict=True)
    return torch.cat([backend(branches).float() for branches in batches])


def evaluate_ideal(task: Task, network: HybridNetwork, test: CapturePair) -> dict[str, Any]:
    """How good a network is with ideal optics on the very images of the test captures."""
    score = task.measure(predict(network, test.shown.images), test.shown.labels)[task.metric]
    return {"test_captures": len(test), f"ideal_{task.metric}": score}
