"""Curves of a training for TensorBoard, beside the history that every stage writes as a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

FOLDER = "tensorboard"


def write_curves(checkpoint: Path, epoch: int) -> Callable[[Mapping[str, Any]], None]:
    """Open the event files of a training.

    Args:
        checkpoint: The checkpoint of the training, ``RUN/.STAGE.part/NAME``. The events lie in
            ``RUN/tensorboard/STAGE``, outside of the stage: they are no artefact of it.
        epoch: Number of epochs that are done; what an interrupted or an earlier training wrote
            beyond them is hidden.

    Returns:
        Writes the numbers of a row of the history, at its epoch.
    """
    # Imported here: it takes a second, and few trainings ask for it.
    from torch.utils.tensorboard import SummaryWriter

    stage = checkpoint.parent.name.removeprefix(".").removesuffix(".part")
    folder = checkpoint.parent.parent / FOLDER / stage
    writer = SummaryWriter(str(folder), purge_step=epoch + 1)

    def write(row: Mapping[str, Any]) -> None:
        for name, value in row.items():
            if name != "epoch" and isinstance(value, int | float):
                writer.add_scalar(name, value, row["epoch"])
        writer.flush()

    return write
