"""The files of a deployed network, and each of them beside torch on test images."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import torch
from torch import Tensor, nn

from hybridonn.core.errors import DeploymentError
from hybridonn.core.files import write_text
from hybridonn.deployment.agreement import Agreement, compare
from hybridonn.deployment.export import export_backend, export_hybrid
from hybridonn.deployment.quantise import quantise
from hybridonn.deployment.runtime import OnnxNetwork
from hybridonn.deployment.samples import Samples
from hybridonn.networks.hybrid import HybridNetwork
from hybridonn.tasks.task import Task

BACKEND, INT8, HYBRID, RUNNER = "backend.onnx", "backend.int8.onnx", "hybrid.onnx", "run.py"
KEYS = {BACKEND: "onnx", INT8: "int8", HYBRID: "hybrid"}  # in results.json, which is read by dots
# Rounding of single precision in sums of thousands of products; a wrong operation is far above.
ALLOWED = 1e-4


def write_network(
    network: HybridNetwork,
    branch_shapes: Sequence[tuple[int, int, int]],
    image_shape: tuple[int, int, int] | None,
    calibration: Samples,
    folder: Path,
) -> None:
    """Write backend, backend in 8-bit integers, whole network and runner.

    Args:
        network: Optics and backend, in inference mode on the CPU.
        branch_shapes: (K_b, H', W') of each branch, from fine to coarse.
        image_shape: (C, H, W) of a scene; None: the optics are not known, so that the whole
            network is left out.
        calibration: Samples whose features set the ranges of integers.
        folder: Where to write.

    Raises:
        DeploymentError: A package is missing, or the network cannot be translated.
    """
    export_backend(network.backend, branch_shapes, folder / BACKEND)
    quantise(folder / BACKEND, folder / INT8, calibration.features())
    if image_shape is not None:
        twin = nn.Sequential(network.frontend.digital(image_shape).float(), network.backend)
        export_hybrid(twin, image_shape, folder / HYBRID)
    write_text(folder / RUNNER, files("hybridonn.deployment").joinpath("runner.py").read_text())


@torch.no_grad()
def run_beside_torch(
    folder: Path, backend: nn.Module, test: Samples, task: Task
) -> dict[str, Agreement]:
    """Run each file on test samples and compare it with torch.

    Returns:
        The agreement of each file by name, and that of torch with itself as ``torch``, which tells
        its metric.

    Raises:
        DeploymentError: A file in single precision gives something else than torch.
    """
    names = [name for name in (BACKEND, INT8, HYBRID) if (folder / name).is_file()]
    running = {name: OnnxNetwork(folder / name) for name in names}
    answers: dict[str, list[Tensor]] = {name: [] for name in ("torch", *running)}
    for scene, features in test.batches():
        answers["torch"].append(backend(features))
        for name, one in running.items():
            given = (scene,) if name == HYBRID and scene is not None else features
            answers[name].append(one(given))
    logits = {name: torch.cat(parts) for name, parts in answers.items()}
    found = {
        name: compare(task, logits["torch"], some, test.labels) for name, some in logits.items()
    }
    for name in names:
        if name != INT8 and not found[name].difference <= ALLOWED:
            raise DeploymentError(
                f"{name} differs from torch by {found[name].difference:.2g} of the largest output "
                f"on {len(test)} test images; allowed is {ALLOWED:g}: the backend does something "
                "that ONNX does in another way"
            )
    return found
