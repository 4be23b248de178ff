"""Reading single artefacts, checked: errors name the file, what is wrong and who writes it."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np

from hybridonn.core.array_reading import ArrayFileError, read_archive
from hybridonn.core.errors import ArtefactError
from hybridonn.core.stage_record import check_artefact

T = TypeVar("T")
MOST_DEPTH = 50  # of a tree: results and records have five levels
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
    tree = _read(path, stage, lambda: _parse_json(path.read_text("utf-8")))
    if not isinstance(tree, dict):
        raise ArtefactError(refusal(path, stage, f"it holds {type(tree).__name__}, not a mapping"))
    return tree


def read_table(path: Path, stage: str, required: tuple[str, ...]) -> Table:
    """The columns of a CSV file of numbers; empty cells become NaN.

    Raises:
        ArtefactError: The file is missing, lacks a required column, has no row, or
            holds something that is not a finite number.
    """
    text = read_text(path, stage)
    rows = _read(path, stage, lambda: _parse_csv(text))
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
            value = _parse_cell(cell)
            if value is None:
                where = f"line {number + 2}, column {header[column][:40]}"
                raise ArtefactError(refusal(path, stage, f"{where}: {cell[:40]!r} is not a number"))
            table[number, column] = value
    return dict(zip(header, table.T, strict=True))


def read_arrays(
    path: Path,
    stage: str,
    shapes: Mapping[str, int],
    *,
    optional: Mapping[str, int] = MappingProxyType({}),
    texts: Mapping[str, int] = MappingProxyType({}),
    whole: Collection[str] = (),
) -> dict[str, np.ndarray]:
    """The arrays of an npz file that are asked for, in this machine's order of bytes.

    Args:
        path: The file.
        stage: The stage that writes it, for the message.
        shapes: The arrays of numbers that must be there, with their number of dimensions.
        optional: The arrays of numbers that may be there, likewise.
        texts: The arrays of texts that must be there, likewise.
        whole: Those among the numbers that are whole.

    Raises:
        ArtefactError: The file is missing or damaged, or an array is missing, has another number
            of dimensions or another kind of values, is empty or is not finite.
    """
    check_artefact(path)
    try:
        arrays = read_archive(path)
    except ArrayFileError as error:
        raise ArtefactError(refusal(path, stage, f"it {error.found}")) from None
    found = {}
    for name, dimensions in {**shapes, **texts, **optional}.items():
        if name not in arrays and name in optional:
            continue
        kinds = "U" if name in texts else "iu" if name in whole else "iuf"
        wrong = _find_fault(name, arrays.get(name), dimensions, kinds)
        if wrong:
            raise ArtefactError(refusal(path, stage, wrong))
        found[name] = arrays[name].astype(arrays[name].dtype.newbyteorder("="), copy=False)
    return found


def _find_fault(name: str, array: np.ndarray | None, dimensions: int, kinds: str) -> str | None:
    """What is wrong with an array; None: nothing."""
    if array is None:
        return f"it lacks the array {name}"
    if array.ndim != dimensions or not array.size:
        found = f"{name} has the shape {array.shape}"
        return f"{found}; {dimensions} dimensions are needed, none empty"
    if array.dtype.kind not in kinds or (array.dtype.itemsize > 8 and kinds != "U"):
        wanted = {"U": "texts", "iu": "whole numbers"}.get(kinds, "finite numbers")
        return f"{name} holds {array.dtype}, not {wanted}"
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        return f"{name} holds values that are not finite numbers"
    return None


def refusal(path: Path, stage: str, found: str) -> str:
    """The message about a file that must be written again.

    Args:
        path: The file.
        stage: What writes it; a stage of a run keeps its files in a folder of its own.
        found: What is wrong with it.
    """
    return f"{path} cannot be used: {found}; {stage} writes it: {_name_command(path, stage)}"


def _name_command(path: Path, stage: str) -> str:
    """The command that writes a file again."""
    if stage.startswith("hybridonn "):  # a command of its own, into the folder of the file
        return f"run the same `{stage}` command again"
    run = path.parent.parent if stage.endswith("stage") else path.parent
    spec = "SPEC" if path == run / "spec.yaml" else run / "spec.yaml"
    again = f"run `hybridonn run {spec} --out {run}`"
    return f"remove the folder {path.parent} and {again}" if stage.endswith("stage") else again


def _parse_json(text: str) -> Any:
    """What JSON says; half of a character (a lone surrogate) could be shown by nothing.

    Raises:
        ValueError: It is no JSON, or one that a report cannot show.
    """
    tree = json.loads(text)
    json.dumps(tree, ensure_ascii=False).encode()
    if not _is_shallow(tree, MOST_DEPTH):
        raise ValueError(f"it is nested more than {MOST_DEPTH} deep")
    return tree


def _is_shallow(tree: Any, depth: int) -> bool:
    inner = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ()
    return depth > 0 and all(_is_shallow(one, depth - 1) for one in inner)


def _parse_csv(text: str) -> list[list[str]]:
    """The rows of a table.

    Raises:
        ValueError: A cell is too long, or a quote is never closed.
    """
    try:
        return list(csv.reader(text.splitlines(), strict=True))
    except csv.Error as error:
        raise ValueError(str(error)) from None


def _parse_cell(cell: str) -> float | None:
    """A number, NaN of an empty cell; None: something else, or infinite."""
    try:
        value = float(cell) if cell.strip() else math.nan
    except ValueError:
        return None
    return None if math.isinf(value) else value


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
