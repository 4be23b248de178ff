"""t-SNE maps of test features, read and checked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hybridonn.core.errors import ArtefactError
from hybridonn.reports.artefacts.reading import read_arrays, refusal


@dataclass(frozen=True)
class Embedding:
    """Test features laid out in the plane.

    Attributes:
        positions: t-SNE coordinates, (M, 2).
        labels: True classes, (M,).
    """

    positions: np.ndarray
    labels: np.ndarray


def read_embeddings(
    path: Path, stage: str, classes: int, names: tuple[str, ...] = ("positions",)
) -> dict[str, Embedding]:
    """Read t-SNE maps of the same images.

    Args:
        path: The file.
        stage: What writes it.
        classes: Number of classes.
        names: Names of the arrays of positions.

    Raises:
        ArtefactError: The file is missing or damaged, or does not fit the classes.
    """
    arrays = read_arrays(path, stage, {"labels": 1} | dict.fromkeys(names, 2), whole=("labels",))
    labels = arrays["labels"]
    if labels.min() < 0 or labels.max() >= classes:
        found = f"labels go from {labels.min()} to {labels.max()}"
        raise ArtefactError(refusal(path, stage, f"{found}; there are {classes} classes"))
    for name in names:
        if arrays[name].shape != (len(labels), 2):
            shape = f"{name} {arrays[name].shape} for {len(labels)} labels"
            raise ArtefactError(refusal(path, stage, shape))
    return {name: Embedding(arrays[name], labels) for name in names}
