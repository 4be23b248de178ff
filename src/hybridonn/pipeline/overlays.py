"""Stage ``overlays``: the test images that a report of segmentation shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hybridonn.core.random import generator_of
from hybridonn.data.dataset import Dataset
from hybridonn.files import read_arrays, write_arrays
from hybridonn.pipeline.stage import Finished, fingerprint, finish
from hybridonn.reports.masks import MaskPredictions
from hybridonn.spec import Spec

AT_RANDOM = 3  # images beside the best, the median and the worst


def keep_overlays(spec: Spec, dataset: Dataset, student: Finished, folder: Path) -> Finished:
    """Keep the student's best, median and worst test image, and some drawn by the run's seed.

    Args:
        spec: Its seed draws.
        dataset: The test images.
        student: The finished stage ``student``.
        folder: Where the artefact belongs.
    """
    mark = fingerprint(stage="overlays", student=student.fingerprint, seed=spec.seed)

    def work(part: Path) -> dict[str, Any]:
        answers = read_arrays(student.folder / "predictions.npz")
        masks = MaskPredictions(answers["labels"], answers["predicted"], len(dataset.classes))
        chosen = choose_images(torch.from_numpy(masks.scores), spec.seed)
        positions = torch.tensor(list(chosen))
        write_arrays(
            part / "overlays.npz",
            scenes=dataset.test.take(positions).images.numpy(),
            positions=positions.numpy(),
            reasons=np.array(list(chosen.values())),
        )
        return {}

    return finish(folder, mark, work)


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
