"""A TensorFlow Lite file of 8-bit integers: its answers, its arena, and its cost on an Ethos-U."""

from __future__ import annotations

import csv
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hybridonn.core.errors import DeploymentError
from hybridonn.core.files import write_bytes
from hybridonn.deployment.extras import need_extra
from hybridonn.deployment.tflite.graph import read_graph
from hybridonn.deployment.tflite.model import Range
from hybridonn.deployment.tflite.translate import translate

NAME = "backend.tflite"
WAIT_S = 600
ACCELERATOR = "ethos-u55-128"  # 128 multiply-accumulates a cycle: that of Arm's Corstone-300
ARENA = re.compile(r"Arena allocation (total|head|tail) (\d+) bytes")


@dataclass(frozen=True)
class TfliteFile:
    """A backend for TensorFlow Lite Micro.

    Attributes:
        path: The file.
        inputs: How each branch is held in 8 bits.
        output: How the answer is held.
    """

    path: Path
    inputs: tuple[Range, ...]
    output: Range


@dataclass(frozen=True)
class Estimate:
    """What an Ethos-U takes for an image, as Vela computes it.

    Attributes:
        accelerator: The accelerator.
        latency_us: Microseconds.
        cycles: Cycles of the accelerator.
        sram_bytes: Working memory.
        flash_bytes: Weights and commands.
        on_processor: Operations that the accelerator leaves to the processor beside it.
    """

    accelerator: str
    latency_us: float
    cycles: int
    sram_bytes: int
    flash_bytes: int
    on_processor: int


def write_tflite(network: Path, quantised: Path, folder: Path) -> TfliteFile:
    """Write ``backend.tflite``.

    Args:
        network: The backend in float32, ONNX.
        quantised: The same in 8-bit integers, whose ranges are taken.
        folder: Where to write.

    Raises:
        DeploymentError: A package is missing, or an operation is not translated.
    """
    need_extra("onnx", "onnxruntime", "tflite_micro", "flatbuffers")
    graph = read_graph(network, quantised)
    content, ranges = translate(graph)
    path = folder / NAME
    write_bytes(path, content)
    return TfliteFile(path, tuple(ranges[one] for one in graph.inputs), ranges[graph.output])


def run_tflite(code: TfliteFile, branches: Sequence[Tensor]) -> tuple[Tensor, dict[str, int]]:
    """Answers of the interpreter, and the bytes of its arena.

    Args:
        code: The backend.
        branches: Features of some images, (N, K_b, H', W') a branch.

    Returns:
        Outputs as torch lays them out, float32; ``arena_bytes``, of which
        ``arena_working_bytes`` hold what flows between the operations, on this 64-bit machine.

    Raises:
        DeploymentError: The interpreter refuses the file.
    """
    pairs = zip(branches, code.inputs, strict=True)
    integers = {f"branch_{k}": _to_integers(one, held) for k, (one, held) in enumerate(pairs)}
    with tempfile.TemporaryDirectory() as name:
        inputs, outputs = Path(name) / "inputs.npz", Path(name) / "outputs.npy"
        np.savez(inputs, **integers)  # pyright: ignore[reportArgumentType]
        script = Path(__file__).with_name("interpret.py")
        said = _call([sys.executable, script, code.path.resolve(), inputs, outputs], Path(name))
        found = np.load(outputs)
    sizes = {kind: int(size) for kind, size in ARENA.findall(said)}
    answers = torch.from_numpy((found.astype(np.float32) - code.output.zero) * code.output.scale)
    answers = answers.permute(0, 3, 1, 2) if answers.ndim == 4 else answers
    return answers.float(), {"arena_bytes": sizes["total"], "arena_working_bytes": sizes["head"]}


def _to_integers(features: Tensor, held: Range) -> np.ndarray:
    """Features of a branch as the file takes them, (N, H', W', K_b) int8."""
    values = features.permute(0, 2, 3, 1).numpy() / held.scale
    return np.rint(values + held.zero).clip(-128, 127).astype(np.int8)


def estimate_ethos(code: TfliteFile, accelerator: str = ACCELERATOR) -> Estimate:
    """Cost of an image on an Ethos-U, by Arm's compiler Vela.

    Raises:
        DeploymentError: Vela is not installed, or refuses the file.
    """
    need_extra("ethosu")
    with tempfile.TemporaryDirectory() as name:
        options = ["--accelerator-config", accelerator, "--output-dir", name]
        said = _call(
            [sys.executable, "-m", "ethosu.vela", *options, code.path.resolve()], Path(name)
        )
        (summary,) = Path(name).glob("*_summary_*.csv")
        with summary.open(newline="") as lines:
            (row,) = csv.DictReader(lines)
    left = re.search(r"CPU operators = (\d+)", said)
    return Estimate(
        accelerator,
        1e6 * float(row["inference_time"]),
        round(float(row["cycles_total"])),
        round(1024 * float(row["sram_memory_used"])),
        round(1024 * float(row["off_chip_flash_memory_used"])),
        int(left[1]) if left else 0,
    )


def _call(command: Sequence[str | Path], folder: Path) -> str:
    """Run a program; all that it says.

    Raises:
        DeploymentError: It fails, or does not end.
    """
    words = list(map(str, command))
    out, same = subprocess.PIPE, subprocess.STDOUT
    try:
        done = subprocess.run(
            words, cwd=folder, stdout=out, stderr=same, text=True, check=False, timeout=WAIT_S
        )
    except subprocess.TimeoutExpired:
        raise DeploymentError(f"{NAME} did not end in {WAIT_S} s ({words[1]})") from None
    if done.returncode:
        lines = [line for line in done.stdout.splitlines() if line.strip()]
        raise DeploymentError(
            f"{NAME} was refused: {lines[-1] if lines else 'no reason is given'}; deploy the "
            "backend with --target c"
        )
    return done.stdout
