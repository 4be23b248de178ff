"""Writes files whole or not at all, and never as pickle."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from hybridonn.errors import ArtefactError


def cache_folder() -> Path:
    """Where what several runs can use is kept: HYBRIDONN_CACHE, or ~/.cache/hybridonn."""
    return Path(os.environ.get("HYBRIDONN_CACHE") or Path.home() / ".cache" / "hybridonn")


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file under its final name only once it is complete.

    Raises:
        ArtefactError: The disk is full or the folder cannot be written.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(content)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True) if part.parent.is_dir() else None
        raise ArtefactError(
            f"cannot write {path}: {error.strerror or error}; earlier results are untouched. "
            "Free some space or choose another folder with --out, then run the same command again"
        ) from None


def write_text(path: Path, text: str) -> None:
    """Write text as UTF-8, whole or not at all."""
    write_bytes(path, text.encode())


def write_json(path: Path, tree: Any) -> None:
    """Write a tree as readable JSON; numbers that are not finite become null."""
    write_text(path, json.dumps(_finite(tree), indent=2, default=str) + "\n")


def read_json(path: Path) -> Any:
    """Read JSON.

    Raises:
        ArtefactError: The file is missing or damaged.
    """
    return _read(path, lambda: json.loads(path.read_text("utf-8")))


def write_arrays(path: Path, **arrays: Any) -> None:
    """Write named arrays as a compressed npz."""
    import numpy as np

    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    write_bytes(path, buffer.getvalue())


def read_arrays(path: Path) -> dict[str, Any]:
    """Read an npz; refuses anything pickled, and what would not fit the memory.

    Raises:
        ArtefactError: The file is missing or damaged.
    """
    from hybridonn.core.array_reading import ArrayFileError, read_archive

    def load() -> dict[str, Any]:
        try:
            return read_archive(path)
        except ArrayFileError as error:
            raise ValueError(error.found) from None

    return _read(path, load)


def write_table(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows as CSV; the columns are all keys in order of their first appearance."""
    rows = list(rows)
    columns = list(dict.fromkeys(key for row in rows for key in row))
    text = io.StringIO(newline="")
    table = csv.DictWriter(text, columns, lineterminator="\n", restval="")
    table.writeheader()
    table.writerows(rows)
    write_text(path, text.getvalue())


def write_tensors(
    path: Path, tensors: Mapping[str, Any], notes: Mapping[str, Any] | None = None
) -> None:
    """Write tensors as safetensors, with notes (JSON) in the same file.

    Args:
        path: The file.
        tensors: Tensors by name.
        notes: What must never be apart from the tensors, such as the epoch.
    """
    from safetensors.torch import save

    kept = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_bytes(path, save(kept, {"notes": json.dumps(dict(notes or {}))}))


def read_tensors(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read what :func:`write_tensors` wrote: the tensors and the notes.

    Raises:
        ArtefactError: The file is missing or damaged.
    """
    from safetensors import safe_open

    def load() -> tuple[dict[str, Any], dict[str, Any]]:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return tensors, json.loads((file.metadata() or {}).get("notes", "{}"))

    return _read(path, load)


def _read(path: Path, load: Callable[[], Any]) -> Any:
    if not path.exists():
        raise ArtefactError(f"{path} is missing; run the command that makes it again")
    try:
        return load()
    except Exception as error:  # every library has its own error for a damaged file
        raise ArtefactError(
            f"{path} is damaged ({type(error).__name__}: {error}); "
            "delete it and run the same command again"
        ) from None


def _finite(tree: Any) -> Any:
    if isinstance(tree, Mapping):
        return {str(key): _finite(value) for key, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        return [_finite(value) for value in tree]
    if isinstance(tree, float) and (tree != tree or tree in (float("inf"), float("-inf"))):
        return None
    return tree
