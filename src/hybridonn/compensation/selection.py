"""Which treatment a chip keeps: the one that is best on captures that no candidate has seen.

A part of the captures is held out. Each candidate (the chip as it is, calibrated, fine-tuned by
each method) is made of the other captures alone: calibration, digital twin, epochs and all. On the
captures held out all are judged alike. The best way is then gone again with all captures.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hybridonn.compensation.capture_pair import CapturePair
from hybridonn.compensation.comparison import compare_methods
from hybridonn.compensation.evaluation import measure
from hybridonn.compensation.fine_tuning_data import FineTuningData
from hybridonn.compensation.teacher_targets import CompensationTargets
from hybridonn.core.files import read_json, write_json
from hybridonn.core.progress import Progress
from hybridonn.core.random import generator_of
from hybridonn.data.dataset import ImageSet
from hybridonn.data.splits import draw_positions
from hybridonn.networks.hybrid import HybridNetwork
from hybridonn.spec import Compensation, Spec
from hybridonn.tasks.strata import Strata
from hybridonn.tasks.task import Task, make_task

PLACE = "checkpoint_choice"  # of what only serves to go on after an interruption


@dataclass(frozen=True)
class Selection:
    """The treatment that is kept, and why.

    Attributes:
        method: ``uncompensated``, ``calibrated`` or the method of a fine-tuning.
        scores: The metric of each candidate on the captures held out, in the order of treatments;
            empty: none were held out.
        held_out: Captures held out.
        trained_on: Captures that the candidates were made of.
        seconds: What it took.
    """

    method: str
    scores: dict[str, float]
    held_out: int
    trained_on: int
    seconds: float

    def describe(self) -> str:
        """Why the method is kept, as a sentence without its end."""
        if not self.scores:
            return (
                f"candidate {self.method} is kept as stated: no captures were held out to choose by"
            )
        best = [name for name, score in self.scores.items() if score == self.scores[self.method]]
        best.remove(self.method)
        equal = f"; {', '.join(best)} reach the same with no smaller loss" if best else ""
        return (
            f"candidate {self.method} is kept: of {len(self.scores)} made of {self.trained_on} "
            f"captures it is best on the {self.held_out} held out{equal}"
        )

    def as_numbers(self) -> dict[str, Any]:
        """What results.json holds of it."""
        counts = {"captures": self.held_out, "trained_on": self.trained_on, "seconds": self.seconds}
        return {"kept_because": self.describe(), "held_out": counts | self.scores}


def select(
    spec: Spec,
    settings: Compensation,
    student: HybridNetwork,
    targets: CompensationTargets,
    data: FineTuningData,
    part: Path,
    progress: Progress,
) -> Selection:
    """Judge all candidates on captures that they have not seen.

    Args:
        spec: The task, and the student's spec.
        settings: The candidates, and how many captures are held out.
        student: With the optics as designed.
        targets: The teacher's targets to all images that are learnt from.
        data: What may be learnt from.
        part: Where it can be gone on from after an interruption.
        progress: Shows how far it is.

    Returns:
        The choice; of equals the treatment with the smallest loss, since few captures leave many
        equal, and the one that changes least where that is the same, too. Without captures to
        hold out the stated method.
    """
    began = perf_counter()
    task = make_task(spec.task)
    rest, held = hold_out(data.captured.shown.labels, task, settings)
    if not len(held) or not len(rest):
        return Selection(settings.distillation.method, {}, 0, len(data.captured), 0.0)
    known = part / PLACE / "selection.json"
    if known.is_file():
        return Selection(**read_json(known))
    captured, before = data.captured, len(data.others)
    some = FineTuningData(captured.take(rest), data.others)
    own = targets.take(torch.cat([torch.arange(before), before + rest]))
    judged = captured.take(held)
    if not settings.labelled:
        judged = _label(judged, task, targets, before + held)
    candidates = compare_methods(spec, settings, student, own, some, judged, part / PLACE, progress)
    scores = {one.method: measure(task, one, judged) for one in candidates}
    seconds = round(perf_counter() - began, 2)
    losses = {one.method: float(task.loss(one.logits, judged.shown.labels)) for one in candidates}
    found = Selection(_best(scores, losses), scores, len(held), len(rest), seconds)
    write_json(known, asdict(found))
    return found


def hold_out(labels: Tensor, task: Task, settings: Compensation) -> tuple[Tensor, Tensor]:
    """Positions of images that are learnt from, and of those that are held out.

    Every group that a choice of captures covers is held out in proportion, and each at least
    once, where there are enough images.

    Args:
        labels: Of the images that were captured, (N, ...).
        task: What the network is for.
        settings: Which part of them is held out, and the seed.
    """
    number = round(settings.judged_fraction * len(labels))
    positions = torch.arange(len(labels))
    strata = _present(task.cover(labels, ()))
    if number < len(strata.names):
        generator = generator_of("captures held out", settings.seed)
        held = torch.randperm(len(labels), generator=generator)[:number].sort().values
    else:
        held = draw_positions(strata, number, settings.seed) if number else positions[:0]
    left = torch.ones(len(labels), dtype=torch.bool)
    left[held] = False
    return positions[left], held


def _present(strata: Strata) -> Strata:
    """The same groups without those of which there is no image."""
    kept, groups = np.unique(strata.groups, return_inverse=True)
    return replace(strata, groups=groups, names=tuple(map(str, kept)))


def _best(scores: dict[str, float], losses: dict[str, float]) -> str:
    """The first of the best: those that change less come first."""
    return max(scores, key=lambda method: (scores[method], -losses[method]))


def _label(
    captured: CapturePair, task: Task, targets: CompensationTargets, indices: Tensor
) -> CapturePair:
    """Captures whose labels are what the teacher says of their images."""
    said = targets.predict_labels(task, indices)
    return replace(captured, shown=ImageSet(captured.shown.images, said))
