"""Diagnoses of patients: the images of each patient are pooled to one answer.

The rule: the probabilities of all images of a patient are averaged, and the class with the largest
mean is the patient's. A patient whose images are of several classes counts once for each, with the
images of that class.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hybridonn.tasks.diagnosis import Diagnosis, bootstrap


def pool_patients(
    scores: np.ndarray, labels: np.ndarray, patients: Sequence[str]
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """The mean scores of each patient's images.

    Args:
        scores: Probabilities of each image, (N, classes).
        labels: Classes, (N,).
        patients: Whom each image was taken of, N names.

    Returns:
        Mean probabilities (P, classes), classes (P,), and the patients' names, P of them.
    """
    names, owner = np.unique(np.array(patients), return_inverse=True)
    units, place = np.unique(np.stack([owner, labels], 1), axis=0, return_inverse=True)
    place = place.reshape(-1)
    sums = np.zeros((len(units), scores.shape[1]))
    np.add.at(sums, place, scores)
    counts = np.bincount(place, minlength=len(units))
    return sums / counts[:, None], units[:, 1], [str(names[index]) for index in units[:, 0]]


def diagnose_patients(
    scores: np.ndarray, labels: np.ndarray, patients: Sequence[str]
) -> dict[str, Any]:
    """Measures and confusions of pooled patients.

    Args:
        scores: Probabilities of each image, (N, classes).
        labels: Classes, (N,).
        patients: Whom each image was taken of, N names.

    Returns:
        ``patients`` (each counted once for each of its classes), ``accuracy``, the measures of
        :class:`~hybridonn.tasks.diagnosis.Diagnosis`, their 95 % ``intervals``, and ``confusion``,
        the number of patients of each true class (row) that are taken for each class (column).
    """
    pooled, truth, names = pool_patients(scores, labels, patients)
    predicted, classes = pooled.argmax(1), scores.shape[1]
    confusion = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(confusion, (truth, predicted), 1)
    diagnosis = Diagnosis(pooled, truth)
    return {
        "patients": len(truth),
        "accuracy": float((predicted == truth).mean()),
        **diagnosis.measure(np.ones(len(truth))),
        "intervals": bootstrap(diagnosis, len(truth), names),
        "confusion": confusion.tolist(),
    }
