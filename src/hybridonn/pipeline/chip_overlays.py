"""The test images whose masks a report shows side by side, by what the chip lost on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hybridonn.core.files import write_arrays
from hybridonn.data.dataset import Dataset
from hybridonn.pipeline.stage_folder import Finished
from hybridonn.reports.artefacts.predictions import read_predictions


def keep_chip_overlays(
    part: Path,
    dataset: Dataset,
    student: Finished,
    numbers: Tensor,
    built: Tensor,
    compensated: Tensor | None = None,
) -> None:
    """Write the images on which the chip loses most, as much as most do, and least.

    Nothing is written for a task whose reports show none.

    Args:
        part: The folder of the stage.
        dataset: The images of the run.
        student: The finished stage ``student``, which has the predictions with ideal optics.
        numbers: Positions in the test set of the N images that were captured, (N,) int64.
        built: What the network says of them behind the chip as fabricated, (N, ...).
        compensated: The same after compensation; None: nothing was compensated.
    """
    task, shown = dataset.task, dataset.test.take(numbers)
    if "chip_overlays" not in task.sections:
        return
    ideal = read_student_scores(student, dataset)[numbers]
    logits = [built] if compensated is None else [built, compensated]
    losses = [ideal - task.score(one, shown.labels).double() for one in logits]
    chosen = choose_losses(*losses)
    positions = torch.tensor(list(chosen))
    write_arrays(
        part / "overlays.npz",
        scenes=shown.take(positions).images.numpy(),
        positions=positions.numpy(),
        numbers=numbers[positions].numpy(),
        reasons=np.array(list(chosen.values())),
    )


def read_student_scores(student: Finished, dataset: Dataset) -> Tensor:
    """The metric of each test image with ideal optics, (N,) float64.

    Args:
        student: The finished stage ``student``.
        dataset: The images of the run.

    Raises:
        ArtefactError: The student's predictions are missing or damaged.
    """
    path = student.folder / "predictions.npz"
    found = read_predictions(path, "the student stage", len(dataset.classes), dataset.task)
    return torch.from_numpy(found.scores)


def choose_losses(built: Tensor, compensated: Tensor | None = None) -> dict[int, str]:
    """Positions of the images to be shown, each with the reason.

    Args:
        built: The loss of each image behind the chip as fabricated, (N,).
        compensated: What is left of it after compensation, (N,); None: nothing was compensated.
    """
    order = built.argsort(stable=True).tolist()
    chosen = {order[-1]: "largest loss"}
    chosen.setdefault(order[len(order) // 2], "median loss")
    chosen.setdefault(order[0], "smallest loss")
    if compensated is None:
        return chosen
    most = int(compensated.argmax())
    already = f"{chosen[most]},\n" if most in chosen else ""
    return chosen | {most: f"{already}largest loss\ncompensated"}
