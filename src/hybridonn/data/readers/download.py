"""Files of the named sets: found, or downloaded, and always verified."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hybridonn.core.errors import DataError
from hybridonn.core.parts import scratch_folder
from hybridonn.core.progress import Advance, Progress
from hybridonn.data.readers.sources import RemoteFile, Source

ROOT_VARIABLE = "HYBRIDONN_DATA"
_TIMEOUT_S = 30
_CHUNK_BYTES = 1 << 16


def data_root(root: Path | None = None) -> Path:
    """The folder that holds a folder for each named set.

    The argument if given, else the environment variable ``HYBRIDONN_DATA``, else
    ``hybridonn/data`` in the user's cache (``XDG_CACHE_HOME`` or ``~/.cache``).
    """
    if root is None and (named := os.environ.get(ROOT_VARIABLE)):
        root = Path(named)
    if root is not None:
        return root.expanduser()
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "hybridonn" / "data"


def fetch(source: Source, root: Path, progress: Progress) -> tuple[Path, ...]:
    """Find a named set's files under ``root/NAME``, download what is missing.

    A copy that is no longer gzipped (the same name without ``.gz``) is as good.

    Returns:
        The paths, in the order of ``source.files``, each verified by its MD5.

    Raises:
        DataError: A file is damaged, or is missing and cannot be downloaded.
    """
    folder = root / source.name
    return tuple(
        _find(folder, file) or _download(source, file, folder, progress) for file in source.files
    )


def _find(folder: Path, file: RemoteFile) -> Path | None:
    for name, expected in ((file.name, file.md5), (file.plain_name, file.content_md5)):
        if expected is None:
            continue
        path = folder / name
        try:
            _verify(path, expected)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise DataError(f"cannot read {path}: {error.strerror or error}") from None
        return path
    return None


def _verify(path: Path, expected: str) -> None:
    found = _md5(path)
    if found != expected:
        raise DataError(
            f"{path} is damaged or another file: its MD5 is {found}, expected {expected}; "
            "delete it and run again, or read a set of your own by data.folder"
        )


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        # Against damage, not against an attack: MD5 is what the sets' publishers state.
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _download(source: Source, file: RemoteFile, folder: Path, progress: Progress) -> Path:
    failures: list[str] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for mirror in source.mirrors:
            failure = _try_mirror(mirror.rstrip("/") + "/" + file.name, file, folder, progress)
            if failure is None:
                return folder / file.name
            failures.append(failure)
    except OSError as error:
        failures.append(f"cannot write to {folder}: {error.strerror or error}")
    raise DataError(_how_to_get(source, file, folder, failures))


def _try_mirror(address: str, file: RemoteFile, folder: Path, progress: Progress) -> str | None:
    """Download one file under its final name, whole and verified; or say why not."""
    with scratch_folder(folder / file.name) as scratch:
        part = scratch / file.name
        failure = _get(address, part, file, progress)
        if failure is not None:
            return failure
        found = _md5(part)
        if found != file.md5:
            return f"{address} gives a file with MD5 {found}, expected {file.md5}"
        part.replace(folder / file.name)  # atomic: the same file system
    return None


def _get(address: str, path: Path, file: RemoteFile, progress: Progress) -> str | None:
    import pooch
    import requests

    with progress.bar(f"download {file.name}", total=file.size) as advance:
        bar: Any = _Bar(advance, file.size)  # pooch takes any object with these methods
        downloader = pooch.HTTPDownloader(
            progressbar=bar,
            chunk_size=_CHUNK_BYTES,
            timeout=_TIMEOUT_S,
            # A server that unpacks .gz on the way would change the checksum.
            headers={"Accept-Encoding": "identity"},
        )
        try:
            downloader(address, str(path), None)
        except requests.HTTPError as error:
            return str(error)  # status, reason and address
        except requests.Timeout:
            return f"{address} does not answer within {_TIMEOUT_S} s"
        except requests.RequestException as error:
            return f"no connection to {address} ({type(error).__name__})"
    return None


@dataclass
class _Bar:
    """The downloaded bytes that pooch reports, as steps of a progress bar."""

    advance: Advance
    size: int
    total: int = 0
    done: int = 0

    def update(self, count: int) -> None:
        # pooch counts whole chunks, and counts the total again at the end.
        step = min(count, self.size - self.done)
        self.done += step
        self.advance(step)

    def reset(self) -> None:
        """Nothing: the steps that were made stay made."""

    def close(self) -> None:
        """Nothing: the progress bar closes with its context."""


def _how_to_get(source: Source, file: RemoteFile, folder: Path, failures: list[str]) -> str:
    names = ", ".join(each.name for each in source.files)
    return (
        f"{file.name} of data.name: {source.name} is not in {folder} and could not be downloaded: "
        f"{'; '.join(failures)}; put {names} into {folder}, or name the folder that holds "
        f"{source.name}/ by --data-root or {ROOT_VARIABLE}"
    )
