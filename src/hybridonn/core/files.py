"""Writes files whole or not at all, and never as pickle."""

from __future__ import annotations

import csv
import io
import json
import os
import zlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from hybridonn.core.errors import ArtefactError
from hybridonn.core.parts import part_of, sweep

_PIECE_BYTES = 1 << 22


def cache_folder() -> Path:
    """Where what several runs can use is kept: HYBRIDONN_CACHE, or ~/.cache/hybridonn."""
    return Path(os.environ.get("HYBRIDONN_CACHE") or Path.home() / ".cache" / "hybridonn")


def checksum(path: Path) -> str:
    """CRC-32 and size of a file, as ``crc32:1c291ca3:42``.

    It is for damage, not for attacks: CRC-32 takes a third of the time of SHA-256, the quickest
    of the other sums in the standard library.

    Raises:
        OSError: The file cannot be read.
    """
    value = size = 0
    with path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            value, size = zlib.crc32(piece, value), size + len(piece)
    return f"crc32:{value:08x}:{size}"


def checksum_of(tree: Any) -> str:
    """CRC-32 of what JSON makes of a tree, eight hexadecimal digits."""
    plain = json.loads(format_json(tree))
    return f"{zlib.crc32(json.dumps(plain, sort_keys=True).encode()):08x}"


def sync(path: Path) -> None:
    """Wait until the disk holds a file, or the names in a folder.

    Raises:
        OSError: The disk fails.
    """
    if path.is_dir() and os.name != "posix":
        return  # other systems cannot open folders, and write names through
    handle = os.open(path, os.O_RDONLY if os.name == "posix" else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_bytes(path: Path, content: bytes, durable: bool = False) -> None:
    """Write a file under its final name only once it is complete.

    What a killed process left of the same file is removed.

    Args:
        path: The file.
        content: What it holds.
        durable: Wait until the disk holds it, so that a power cut leaves the old file or the new.

    Raises:
        ArtefactError: The disk is full or the folder cannot be written.
    """
    part = part_of(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep(path.parent, path.name)
        part.write_bytes(content)
        if durable:
            sync(part)
        part.replace(path)
        if durable:
            sync(path.parent)
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
    write_text(path, format_json(tree))


def format_json(tree: Any) -> str:
    """A tree as :func:`write_json` writes it."""
    return json.dumps(_finite(tree), indent=2, default=str) + "\n"


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
    path: Path,
    tensors: Mapping[str, Any],
    notes: Mapping[str, Any] | None = None,
    durable: bool = False,
) -> None:
    """Write tensors as safetensors, with notes (JSON) in the same file.

    A tensor that goes by several names is written once; the file says which name stands for
    which, as ``safetensors.torch.save_model`` does.

    Args:
        path: The file.
        tensors: Tensors by name.
        notes: What must never be apart from the tensors, such as the epoch.
        durable: As in :func:`write_bytes`.
    """
    from safetensors.torch import save

    shared = find_shared(tensors)
    kept = {name: tensor for name, tensor in tensors.items() if name not in shared}
    content = save(_lay_apart(kept), shared | {"notes": json.dumps(dict(notes or {}))})
    write_bytes(path, content, durable)


def find_shared(tensors: Mapping[str, Any]) -> dict[str, str]:
    """The names of tensors that are the very same numbers in memory as an earlier one.

    Returns:
        The name of the earlier one by that of the later one.
    """
    first: dict[Any, str] = {}
    shared: dict[str, str] = {}
    for name, one in tensors.items():
        place = (one.device, one.data_ptr(), one.dtype, one.shape, one.stride())
        known = first.setdefault(place, name) if one.numel() else name
        if known != name:
            shared[name] = known
    return shared


def _lay_apart(tensors: Mapping[str, Any]) -> dict[str, Any]:
    """Tensors on the CPU, each in memory of its own and row after row, as safetensors asks for."""
    laid: dict[str, Any] = {}
    taken: set[int] = set()
    for name, tensor in tensors.items():
        one = tensor.detach().cpu().contiguous()
        memory = one.untyped_storage()
        if memory.data_ptr() in taken or memory.nbytes() != one.numel() * one.element_size():
            one = one.clone()  # a part of another tensor, or the same numbers in another shape
        taken.add(one.untyped_storage().data_ptr())
        laid[name] = one
    return laid


def read_tensors(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read what :func:`write_tensors` wrote: the tensors and the notes.

    Names that stand for one tensor in the file stand for one in memory.

    Raises:
        ArtefactError: The file is missing or damaged.
    """
    from safetensors import safe_open

    def load() -> tuple[dict[str, Any], dict[str, Any]]:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            said = file.metadata() or {}
        shared = {name: known for name, known in said.items() if known in tensors}
        tensors |= {name: tensors[known] for name, known in shared.items() if name not in tensors}
        return tensors, json.loads(said.get("notes", "{}"))

    return _read(path, load)


def _read(path: Path, load: Callable[[], Any]) -> Any:
    try:
        if not path.exists():
            raise ArtefactError(f"{path} is missing; run the command that makes it again")
        return load()
    except ArtefactError:
        raise
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
