"""Builds the C sources of this folder for this machine, once, and loads them."""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
import warnings
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from hybridonn.tangent.empirical.compiled.ownership import find_exposure
from hybridonn.tangent.empirical.compiled.scratch import scratch_folder
from hybridonn.tangent.errors import TangentWarning

_SOURCE = Path(__file__).with_name("maxima.c")
_TYPES = {torch.float32: "float", torch.float64: "double"}
# The first that the compiler takes; not every compiler knows this machine or OpenMP.
_OPTIONS = (("-march=native", "-fopenmp"), ("-march=native",), ())


def is_available(like: Tensor) -> bool:
    """Whether there is compiled code for a tensor's type and device."""
    return like.device.type == "cpu" and like.dtype in _TYPES and library(like.dtype) is not None


@cache
def library(dtype: torch.dtype) -> ctypes.CDLL | None:
    """The compiled functions for a type; None where there is no C compiler or it is not wanted.

    Args:
        dtype: torch.float32 or torch.float64.

    Returns:
        The library. Where the compiler that CC names is missing or the compiler fails, a
        `TangentWarning` says why.
    """
    if os.environ.get("HYBRIDONN_COMPILED") == "0":
        return None
    named = os.environ.get("CC", "").strip()
    command = _command(named or "cc")
    if command is None:
        if named:
            _warn(f"CC={named} names no compiler that can be found")
        return None
    mark = "\n".join([_SOURCE.read_text("utf-8"), *command, _TYPES[dtype], _processor()])
    # Resolved: a symbolic link that another user can change must not lead elsewhere later.
    folder = (_cache_folder() / "compiled").resolve()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return _load(command, _TYPES[dtype], folder, f"maxima-{_digest(mark)}")
    except (OSError, subprocess.SubprocessError) as error:
        detail = getattr(error, "stderr", None) or str(error)
        _warn(
            f"{shlex.join(command)} could not build the compiled tangent kernels in {folder} "
            f"({detail.strip().splitlines()[-1]})"
        )
        return None


def _cache_folder() -> Path:
    """The user's cache, as for the other rooms: HYBRIDONN_CACHE, or ~/.cache/hybridonn."""
    return Path(os.environ.get("HYBRIDONN_CACHE") or Path.home() / ".cache" / "hybridonn")


def _command(words: str) -> list[str] | None:
    """A compiler and its options; None where there is no such program."""
    try:
        program, *options = shlex.split(words)
    except ValueError:  # a quotation mark that is not closed
        return None
    found = shutil.which(program)
    return [found, *options] if found else None


def _warn(what: str) -> None:
    """Say why there is no compiled code."""
    _say(
        f"{what}: tangent kernels go through torch alone, at about half the speed. Name another "
        "compiler in CC or another folder in HYBRIDONN_CACHE, or set HYBRIDONN_COMPILED=0 to do "
        "without"
    )


def _say(sentence: str) -> None:
    """Warn; the same sentence of libraries for several types is shown once."""
    warnings.warn(sentence, TangentWarning, stacklevel=2)


def _load(command: list[str], kind: str, folder: Path, name: str) -> ctypes.CDLL:
    """Load the library of some sources, built if it is not there whole.

    What another user could have changed is never loaded. In a folder that others can change the
    library is not even built, but in a temporary one, for this process alone.

    Raises:
        OSError: No folder is safe, or it cannot be written.
    """
    exposure = find_exposure(folder)
    if exposure is None:
        return ctypes.CDLL(str(_find(folder, name) or _build(command, kind, folder, name)))
    with tempfile.TemporaryDirectory(prefix="hybridonn-") as scratch:
        private = Path(scratch).resolve()
        if also := find_exposure(private):
            raise OSError(f"{exposure}, and {also}")
        _say(
            f"{exposure}, so no compiled code is taken from {folder}: tangent kernels are "
            "compiled for this process alone, which takes a second or two each time. Make the "
            "folder your own and writable by nobody else (chmod go-w), or name another one in "
            "HYBRIDONN_CACHE"
        )
        return ctypes.CDLL(str(_build(command, kind, private, name)))


def _find(folder: Path, name: str) -> Path | None:
    """A whole library of these sources in a folder, which nobody else could have changed.

    Its name holds the digest of its content: a damaged one would not fail but end the process.
    """
    for path in folder.glob(f"{name}-*.so"):
        exposure = find_exposure(path)
        if exposure:
            _say(f"{exposure}, so this compiled code is not loaded but built again")
        elif path.stem == f"{name}-{_digest(path.read_bytes())}":
            return path
        path.unlink(missing_ok=True)
    return None


def _build(command: list[str], kind: str, folder: Path, name: str) -> Path:
    """Compile the source; the library takes its name once it is complete.

    Raises:
        OSError: the folder cannot be written.
        CalledProcessError: the compiler fails with each set of options.
    """
    with scratch_folder(folder) as scratch:
        part = scratch / "maxima.so"
        fixed = [f"-DREAL={kind}", "-shared", "-fPIC", "-o", str(part), str(_SOURCE)]
        for options in _OPTIONS:
            whole = [*command, "-O3", *options, *fixed]
            done = subprocess.run(whole, capture_output=True, text=True, timeout=120)
            if done.returncode == 0:
                break
        done.check_returncode()
        part.chmod(0o700)
        return part.replace(folder / f"{name}-{_digest(part.read_bytes())}.so")


def _digest(content: str | bytes) -> str:
    """What tells a content from others."""
    data = content.encode() if isinstance(content, str) else content
    return hashlib.sha256(data).hexdigest()[:16]


def _processor() -> str:
    """What tells this machine's processor from others that may share the cache."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        lines = []
    found = [line for line in lines if line.startswith(("flags", "Features", "model name"))]
    return "\n".join([platform.machine(), platform.processor(), *sorted(set(found))])
