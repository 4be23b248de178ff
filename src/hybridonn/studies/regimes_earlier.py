"""Points of the map that earlier calls have finished: their students, from the study's rows."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from hybridonn.core.errors import ArtefactError
from hybridonn.core.files import read_json
from hybridonn.studies.rows import Rows, name_row


def list_earlier(
    path: Path, rows: Rows, places: Collection[tuple[int, int]]
) -> tuple[list[dict[str, Any]], dict[int | None, int]]:
    """The students of finished points that this call does not ask for.

    The numbers are those of the rows; ``regimes.json`` only tells which values were chosen. A point
    one of whose rows is gone is left out whole: its methods could not be compared.

    Args:
        path: ``regimes.json`` of the last call.
        rows: What was measured with the settings of this call.
        places: Numbers of images and of epochs that this call asks for.

    Returns:
        The rows, as :func:`hybridonn.studies.regimes_summary.summarise` takes them, and the number
        of training images by what was asked for.
    """
    found: list[dict[str, Any]] = []
    counts: dict[int | None, int] = {}
    for point in _read_points(path):
        try:
            place = point["images"], point["epochs"]
            students = None if place in places else [*_list_students(point, rows.values)]
        except (KeyError, TypeError, AttributeError):  # a row is gone, or the file was harmed
            continue
        if students:
            found += students
            counts[point["train_images"]] = point["images"]
    return found, counts


def _read_points(path: Path) -> list[Any]:
    try:
        points = read_json(path)["points"]
    except (ArtefactError, KeyError, TypeError):  # no call has ended yet, or the file was harmed
        return []
    return points if isinstance(points, list) else []


def _list_students(point: Mapping[str, Any], values: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The row of each seed of each variant.

    Raises:
        KeyError: A row is not there.
    """
    for variant, one in point["variants"].items():
        for seed in range(len(one["values"])):
            yield values[name_row(seed, point["train_images"], variant, one["tuned"])]
