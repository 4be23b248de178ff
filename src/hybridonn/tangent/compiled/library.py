"""Builds the C sources of this folder for this machine, once, and loads them."""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
import warnings
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from hybridonn.files import cache_folder
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
        The library. Where the compiler fails, a `TangentWarning` says why.
    """
    compiler = shutil.which(os.environ.get("CC") or "cc")
    if compiler is None or os.environ.get("HYBRIDONN_COMPILED") == "0":
        return None
    mark = "\n".join([_SOURCE.read_text("utf-8"), compiler, _TYPES[dtype], _processor()])
    name = f"maxima-{hashlib.sha256(mark.encode()).hexdigest()[:16]}.so"
    path = cache_folder() / "compiled" / name
    try:
        if not path.exists():
            _build(compiler, _TYPES[dtype], path)
        return ctypes.CDLL(str(path))
    except (OSError, subprocess.SubprocessError) as error:
        detail = getattr(error, "stderr", None) or str(error)
        warnings.warn(
            f"{compiler} could not build the compiled tangent kernels in {path.parent} "
            f"({detail.strip().splitlines()[-1]}): they go through torch alone, at about half the "
            "speed. Name another compiler in CC or another folder in HYBRIDONN_CACHE, or set "
            "HYBRIDONN_COMPILED=0 to do without",
            TangentWarning,
            stacklevel=2,
        )
        return None


def _build(compiler: str, kind: str, path: Path) -> None:
    """Compile the source; the library takes its name once it is complete.

    Raises:
        OSError: the folder cannot be written.
        CalledProcessError: the compiler fails with each set of options.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        part = Path(folder) / path.name
        for options in _OPTIONS:
            command = [compiler, "-O3", *options, f"-DREAL={kind}", "-shared", "-fPIC"]
            done = subprocess.run(
                [*command, "-o", part, _SOURCE], capture_output=True, text=True, timeout=120
            )
            if done.returncode == 0:
                break
        done.check_returncode()
        part.replace(path)


def _processor() -> str:
    """What tells this machine's processor from others that may share the cache."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        lines = []
    found = [line for line in lines if line.startswith(("flags", "Features", "model name"))]
    return "\n".join([platform.machine(), platform.processor(), *sorted(set(found))])
