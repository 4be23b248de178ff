"""Stage ``mask_overlays``: the test images that a report shows with their masks or boxes."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from hybridonn.core.files import write_arrays
from hybridonn.core.random import generator_of
from hybridonn.pipeline.chip_overlays import read_student_scores
from hybridonn.pipeline.stage import Context, Stage
from hybridonn.pipeline.stages.student import STUDENT
from hybridonn.reports.artefacts.mask_overlays import shows_overlays
from hybridonn.spec import Spec, narrow
from hybridonn.tasks.task import make_task

AT_RANDOM = 3  # images beside the best, the median and the worst


def _inputs(spec: Spec) -> Spec:
    return narrow(spec, "seed")


def _run(context: Context) -> dict[str, Any]:
    """Keep the student's best, median and worst test image, and some drawn by the run's seed."""
    dataset = context.dataset
    scores = read_student_scores(context.need(STUDENT), dataset)
    chosen = choose_images(scores, context.spec.seed)
    positions = torch.tensor(list(chosen))
    write_arrays(
        context.part / "overlays.npz",
        scenes=dataset.test.take(positions).images.numpy(),
        positions=positions.numpy(),
        reasons=np.array(list(chosen.values())),
    )
    return {}


def choose_images(scores: Tensor, seed: int) -> dict[int, str]:
    """Positions of the images to be shown, each with the reason.

    Args:
        scores: The metric of each image, (N,).
        seed: Of those at random.
    """
    order = scores.argsort(stable=True).tolist()
    named = {order[-1]: "best", order[len(order) // 2]: "median", order[0]: "worst"}
    drawn = torch.randperm(len(order), generator=generator_of("overlays", seed)).tolist()
    others = [position for position in drawn if position not in named][:AT_RANDOM]
    return named | dict.fromkeys(others, "at random")


MASK_OVERLAYS = Stage(
    "mask_overlays",
    _inputs,
    _run,
    needs=(STUDENT,),
    wanted=lambda spec: shows_overlays(make_task(spec.task)),
)
