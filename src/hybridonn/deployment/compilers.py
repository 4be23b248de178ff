"""Compiles and runs the C file of a backend, on this machine and on an emulated Cortex-M4F."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hybridonn.core.errors import DeploymentError
from hybridonn.deployment.boards import EMULATED, LIBRARY_BYTES
from hybridonn.deployment.c_code import FLOAT_BYTES, NAME, CFile

ARM, EMULATOR = "arm-none-eabi-gcc", "qemu-system-arm"
M4F = ("-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16")
PARTS = ("check.c", "start_m4.c", "mps2.ld")
WAIT_S = 600


@dataclass(frozen=True)
class Footprint:
    """What a compiled backend takes.

    Attributes:
        target: Processor and compiler.
        flash_bytes: Code and constants.
        ram_bytes: Static memory, without inputs and outputs.
        stack_bytes: Largest stack of one function.
    """

    target: str
    flash_bytes: int
    ram_bytes: int
    stack_bytes: int


def find_host_compiler() -> str | None:
    """The C compiler of this machine; None: there is none."""
    return next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)


def measure_footprint(code: CFile) -> Footprint | None:
    """Flash, RAM and stack on a Cortex-M4F; None: its compiler is not installed.

    Raises:
        DeploymentError: The file cannot be compiled.
    """
    compiler, size = shutil.which(ARM), shutil.which("arm-none-eabi-size")
    if compiler is None or size is None:
        return None
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        compiled = folder / f"{NAME}.o"
        _call(
            [compiler, *M4F, "-O2", "-fstack-usage", "-c", code.source.resolve(), "-o", compiled],
            folder,
        )
        text, data, bss = _call([size, compiled], folder).splitlines()[1].split()[:3]
        stacks = (folder / f"{NAME}.su").read_text().splitlines()
    stack = max(int(line.split("\t")[1]) for line in stacks)
    return Footprint("Cortex-M4F, gcc -O2", int(text) + int(data), int(data) + int(bss), stack)


def run_on_host(code: CFile, branches: Sequence[Tensor]) -> Tensor | None:
    """Outputs of the C file, compiled for this machine; None: there is no compiler.

    Args:
        code: The backend.
        branches: Features of some images, (N, K_b, H', W') a branch.

    Returns:
        (N, outputs), flat.

    Raises:
        DeploymentError: The file cannot be compiled or run.
    """
    with _compiled_for_host(code, branches) as program:
        if program is None:
            return None
        _call([program], program.parent)
        return _read(program.parent, code)


def time_on_host(code: CFile, branches: Sequence[Tensor], repeats: int = 20) -> float | None:
    """Microseconds of processor time for an image on this machine; None: there is no compiler.

    Raises:
        DeploymentError: The file cannot be compiled or run.
    """
    with _compiled_for_host(code, [one[:1] for one in branches]) as program:
        if program is None:
            return None
        first = float(_call([program, str(repeats)], program.parent))
        enough = max(repeats, round(2e4 / max(first, 0.1)))  # 20 ms a round
        return float(_call([program, str(enough)], program.parent))


@contextmanager
def _compiled_for_host(code: CFile, branches: Sequence[Tensor]) -> Iterator[Path | None]:
    """The program that runs a backend on this machine, in a folder that is removed afterwards.

    Raises:
        DeploymentError: The file cannot be compiled.
    """
    compiler = find_host_compiler()
    if compiler is None:
        yield None
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _lay_out(folder, code, branches)
        program = folder / "check"
        _call([compiler, "-O2", "check.c", f"{NAME}.c", "-lm", "-o", program], folder)
        yield program


def run_on_cortex_m4(code: CFile, branches: Sequence[Tensor]) -> Tensor | None:
    """The same on an emulated Cortex-M4F (MPS2+ board).

    None: compiler or emulator is missing, or the backend is larger than the memory of the board.

    Raises:
        DeploymentError: The file cannot be compiled or run.
    """
    compiler, emulator = shutil.which(ARM), shutil.which(EMULATOR)
    if compiler is None or emulator is None or not fits_board(code):
        return None
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _lay_out(folder, code, branches)
        sources = ["start_m4.c", "check.c", f"{NAME}.c"]
        options = [*M4F, "-O2", "--specs=rdimon.specs", "-T", "mps2.ld", "-lm", "-o", "check.elf"]
        _call([compiler, *sources, *options], folder)
        machine = ["-machine", "mps2-an386", "-cpu", "cortex-m4", "-display", "none"]
        semihosting = ["-semihosting-config", "enable=on,target=native", "-kernel", "check.elf"]
        _call([emulator, *machine, *semihosting], folder)
        return _read(folder, code)


def count_memory(code: CFile) -> tuple[int, int]:
    """Bytes of flash and of RAM that a backend needs with its inputs, outputs and a program."""
    data = code.working_bytes + FLOAT_BYTES * (code.input_floats + code.output_floats)
    return code.weight_bytes + LIBRARY_BYTES, data + LIBRARY_BYTES


def fits_board(code: CFile) -> bool:
    """Whether the emulated board has room for a backend."""
    flash, ram = count_memory(code)
    return flash <= EMULATED.flash_bytes and ram <= EMULATED.ram_bytes


def _lay_out(folder: Path, code: CFile, branches: Sequence[Tensor]) -> None:
    """Put the backend, what calls it, and the features of all images into a folder."""
    for part in PARTS:
        (folder / part).write_text(files("hybridonn.deployment").joinpath("c", part).read_text())
    for suffix in (".c", ".h"):
        shutil.copy(code.source.with_suffix(suffix), folder)
    flat = torch.cat([one.flatten(1) for one in branches], 1)
    flat.numpy().astype("<f4").tofile(folder / "inputs.bin")


def _read(folder: Path, code: CFile) -> Tensor:
    found = np.fromfile(folder / "outputs.bin", "<f4")
    return torch.from_numpy(found).view(-1, code.output_floats)


def _call(command: Sequence[str | Path], folder: Path) -> str:
    """Run a program; what it prints.

    Raises:
        DeploymentError: It fails, or does not end.
    """
    words = list(map(str, command))
    try:
        found = subprocess.run(
            words, cwd=folder, capture_output=True, text=True, check=False, timeout=WAIT_S
        )
    except subprocess.TimeoutExpired:
        raise DeploymentError(f"{words[0]} did not end in {WAIT_S} s") from None
    if found.returncode:
        said = (found.stderr or found.stdout).strip().splitlines()
        raise DeploymentError(
            f"{Path(words[0]).name} failed ({said[0] if said else found.returncode})"
        )
    return found.stdout
