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
    folder = _cache_folder() / "compiled"
    try:
        return ctypes.CDLL(str(_built(command, _TYPES[dtype], folder, f"maxima-{_digest(mark)}")))
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
    warnings.warn(
        f"{what}: tangent kernels go through torch alone, at about half the speed. Name another "
        "compiler in CC or another folder in HYBRIDONN_CACHE, or set HYBRIDONN_COMPILED=0 to do "
        "without",
        TangentWarning,
        stacklevel=3,
    )


def _built(command: list[str], kind: str, folder: Path, name: str) -> Path:
    """The library of some sources, built if it is not there whole.

    Its name holds the digest of its content: a damaged one would not fail but end the process.
    """
    for path in folder.glob(f"{name}-*.so"):
        if path.stem == f"{name}-{_digest(path.read_bytes())}":
            return path
        path.unlink(missing_ok=True)
    return _build(command, kind, folder, name)


def _build(command: list[str], kind: str, folder: Path, name: str) -> Path:
    """Compile the source; the library takes its name once it is complete.

    Raises:
        OSError: the folder cannot be written.
        CalledProcessError: the compiler fails with each set of options.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        part = Path(scratch) / "maxima.so"
        fixed = [f"-DREAL={kind}", "-shared", "-fPIC", "-o", str(part), str(_SOURCE)]
        for options in _OPTIONS:
            whole = [*command, "-O3", *options, *fixed]
            done = subprocess.run(whole, capture_output=True, text=True, timeout=120)
            if done.returncode == 0:
                break
        done.check_returncode()
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
