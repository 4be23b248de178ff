"""A backend for TensorFlow Lite Micro beside torch and beside onnxruntime."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hybridonn.core.errors import DeploymentError
from hybridonn.deployment.agreement import compare
from hybridonn.deployment.runtime import OnnxNetwork
from hybridonn.deployment.tflite.micro import TfliteFile, estimate_ethos, run_tflite
from hybridonn.tasks.task import Task

# Both runtimes round each layer in their own way; a wrong operation differs by a tenth and more.
ALLOWED = 0.02  # mean difference from onnxruntime, relative to the largest output


@torch.no_grad()
def check_tflite(
    code: TfliteFile,
    backend: nn.Module,
    quantised: Path,
    features: Sequence[Tensor],
    labels: Tensor,
    task: Task,
) -> dict[str, Any]:
    """Run a file in the interpreter for microcontrollers, and let Vela estimate its cost.

    Args:
        code: The file.
        backend: The same in torch.
        quantised: The same in 8-bit integers, ONNX.
        features: Features of some images, (N, K_b, H', W') a branch.
        labels: Their labels.
        task: What the network is for.

    Returns:
        Bytes of the file and of the arena, agreement with torch, metric of both on these images,
        and the estimate for an Ethos-U.

    Raises:
        DeploymentError: The file is refused, or gives something else than onnxruntime.
    """
    logits = backend(tuple(features))
    answers, arena = run_tflite(code, features)
    largest = logits.abs().max().clamp_min(torch.finfo(logits.dtype).tiny)
    other = float((answers - OnnxNetwork(quantised).predict(features)).abs().mean() / largest)
    if not other <= ALLOWED:
        raise DeploymentError(
            f"{code.path.name} differs from the ONNX file of the same integers by {other:.2g} of "
            f"the largest output on average; allowed is {ALLOWED:g}: deploy the backend with "
            "--target c"
        )
    return {
        "file_bytes": code.path.stat().st_size,
        **arena,
        "images": len(logits),
        **compare(task, logits, answers, labels).as_numbers(task.metric),
        f"torch_{task.metric}": compare(task, logits, logits, labels).metric,
        "ethos": asdict(estimate_ethos(code)),
    }
