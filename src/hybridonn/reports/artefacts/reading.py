"""Reading single artefacts, checked: errors name the file, what is wrong and who writes it."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from hybridonn.core.array_reading import ArrayFileError, read_archive
from hybridonn.core.errors import ArtefactError
from hybridonn.core.stage_record import check_artefact

T = TypeVar("T")
Table = dict[str, np.ndarray]  # column name -> (rows,) float64, NaN where a cell is empty


def read_text(path: Path, stage: str) -> str:
    """The text of a file, UTF-8.

    Raises:
        ArtefactError: The file is missing or is not text.
    """
    return _read(path, stage, lambda: path.read_text("utf-8"))


def read_json(path: Path, stage: str) -> dict[str, Any]:
    """The mapping that a JSON file holds.

    Raises:
        ArtefactError: The file is missing, is not JSON or is no mapping.
    """
    tree = _read(path, stage, lambda: json.loads(path.read_text("utf-8")))
    if not isinstance(tree, dict):
        raise ArtefactError(refusal(path, stage, f"it holds {type(tree).__name__}, not a mapping"))
    return tree


def read_table(path: Path, stage: str, required: tuple[str, ...]) -> Table:
    """The columns of a CSV file of numbers; empty cells become NaN.

    Raises:
        ArtefactError: The file is missing, lacks a required column, has no row, or
            holds something that is not a number.
    """
    rows = list(csv.reader(read_text(path, stage).splitlines()))
    header, cells = (rows[0], rows[1:]) if rows else ([], [])
    if missing := [name for name in required if name not in header]:
        raise ArtefactError(refusal(path, stage, f"it lacks the column {', '.join(missing)}"))
    if not cells:
        raise ArtefactError(refusal(path, stage, "it holds no row"))
    table = np.empty((len(cells), len(header)))
    for number, row in enumerate(cells):
        if len(row) != len(header):
            counts = f"{len(row)} cells; the header has {len(header)}"
            raise ArtefactError(refusal(path, stage, f"line {number + 2} has {counts}"))
        for column, cell in enumerate(row):
            try:
                table[number, column] = float(cell) if cell.strip() else np.nan
            except ValueError:
                where = f"line {number + 2}, column {header[column]}"
                raise ArtefactError(
                    refusal(path, stage, f"{where}: {cell!r} is not a number")
                ) from None
    return dict(zip(header, table.T, strict=True))


def read_arrays(path: Path, stage: str, shapes: dict[str, int]) -> dict[str, np.ndarray]:
    """The arrays of an npz file.

    Args:
        path: The file.
        stage: The stage that writes it, for the message.
        shapes: The arrays that must be there, with their number of dimensions.

    Raises:
        ArtefactError: The file is missing or damaged, or an array is missing, has
            another number of dimensions, is empty or is not finite.
    """
    check_artefact(path)
    try:
        arrays = read_archive(path)
    except ArrayFileError as error:
        raise ArtefactError(refusal(path, stage, f"it {error.found}")) from None
    for name, dimensions in shapes.items():
        if name not in arrays:
            raise ArtefactError(refusal(path, stage, f"it lacks the array {name}"))
        array = arrays[name]
        if array.ndim != dimensions or not array.size:
            found = f"{name} has the shape {array.shape}"
            raise ArtefactError(
                refusal(path, stage, f"{found}; {dimensions} dimensions are needed, none empty")
            )
        if not np.issubdtype(array.dtype, np.number) or not np.isfinite(array).all():
            raise ArtefactError(
                refusal(path, stage, f"{name} holds values that are not finite numbers")
            )
    return arrays


def refusal(path: Path, stage: str, found: str) -> str:
    """The message about a file that must be written again.

    Args:
        path: The file.
        stage: What writes it; a stage of a run keeps its files in a folder of its own.
        found: What is wrong with it.
    """
    again = "run the same command again"
    if stage.endswith("stage"):
        again = f"remove the folder {path.parent} and {again}"
    return f"{path} cannot be used: {found}; {stage} writes it: {again}"


def _read(path: Path, stage: str, read: Callable[[], T]) -> T:
    check_artefact(path)
    try:
        return read()
    except FileNotFoundError:
        raise ArtefactError(refusal(path, stage, "it is missing")) from None
    except OSError as error:
        raise ArtefactError(refusal(path, stage, error.strerror or str(error))) from None
    except (ValueError, RecursionError) as error:
        raise ArtefactError(
            refusal(path, stage, f"it is damaged ({' '.join(str(error).split())})")
        ) from None
