"""How far errors of the kernels move the tangent kernel, against their number and their size.

Xiang et al. 2025 claim that the kernel moves less with more kernels m, in the order of
``||delta|| / m``; here it is measured and laid beside that law and ``1 / sqrt(m)``. Errors
independent from kernel to kernel have ``||delta||`` in proportion to ``sqrt(m)``, so for them
the two laws are one; for an error of a fixed total norm they differ.
"""

from __future__ import annotations

import math
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from torch import Tensor, nn

from hybridonn.core.random import generator_of, seeded
from hybridonn.data import load_dataset
from hybridonn.data.batches import to_scene
from hybridonn.errors import SpecError
from hybridonn.files import write_json, write_table
from hybridonn.networks.backends import DenseBackend
from hybridonn.networks.frontends import IdealConvolution
from hybridonn.networks.hybrid import HybridNetwork
from hybridonn.pipeline.folder import open_folder
from hybridonn.progress import Progress
from hybridonn.reports.perturbation import write_perturbation
from hybridonn.spec import Spec
from hybridonn.tangent import centred_alignment, record

IMAGES = 96  # of the test part, on which kernels are compared


def perturb(
    spec: Spec,
    counts: list[int],
    errors: list[float],
    draws: int,
    folder: Path,
    data_root: Path | None,
    progress: Progress,
) -> dict[str, Any]:
    """Measure ``||Theta' - Theta|| / ||Theta||`` of random networks whose kernels have errors.

    The kernel is that of the backend's weights, which are what compensation can train; one
    dense layer follows the pooling, so that the number of kernels is the only width.

    Args:
        spec: Of the images, the kernel's size and the pooling.
        counts: Numbers of kernels.
        errors: Root mean square of delta over that of a kernel.
        draws: Of kernels and errors.
        folder: Where table and figure go.
        data_root: Where named data sets lie.
        progress: Shows how far it is.

    Returns:
        What ``perturbation.json`` holds.
    """
    with open_folder(folder):
        dataset = load_dataset(spec.data, data_root, progress)
        scene = to_scene(dataset.test.images[:IMAGES])
        rows = []
        with progress.bar("perturbed kernels", len(counts) * draws) as advance:
            for kernels in counts:
                for draw in range(draws):
                    rows += _measure(spec, scene, len(dataset.classes), kernels, draw, errors)
                    advance(1)
        found = {"name": spec.name, "draws": draws, "rows": _average(rows)}
        found |= {"slopes": fit_slopes(found["rows"])}
        found |= {"sentences": [_say(error, slope) for error, slope in found["slopes"].items()]}
        write_table(folder / "perturbation.csv", rows)
        write_json(folder / "perturbation.json", found)
        write_perturbation(folder)
    return found


def parse_numbers(text: str) -> list[float]:
    """Positive numbers separated by commas.

    Raises:
        SpecError: Something else is there.
    """
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = [-1.0]
    if min(values) <= 0:
        raise SpecError(f"{text!r}: write positive numbers with commas, such as 4,8,16")
    return values


def fit_slopes(rows: list[dict[str, Any]]) -> dict[str, float]:
    """The exponent of m of each error: the slope of log change over log kernels."""
    slopes = {}
    for error in dict.fromkeys(row["error"] for row in rows):
        some = [row for row in rows if row["error"] == error]
        x = torch.tensor([math.log(row["kernels"]) for row in some])
        y = torch.tensor([math.log(row["change"]) for row in some])
        slope = ((x - x.mean()) * (y - y.mean())).sum() / (x - x.mean()).square().sum()
        slopes[f"{error:g}"] = float(slope)
    return slopes


def _measure(
    spec: Spec, scene: Tensor, classes: int, kernels: int, draw: int, errors: list[float]
) -> list[dict[str, Any]]:
    student = spec.student
    with seeded("perturbation", kernels, draw):
        network = HybridNetwork(
            IdealConvolution(kernels, student.kernel_size, scene.shape[1], student.stride),
            DenseBackend(kernels, student.pooled_size, (), classes, student.pooling),
        ).eval()
    weight = network.frontend.signed_kernels().detach().clone()
    delta = torch.randn(weight.shape, generator=generator_of("delta", kernels, draw))
    # The sum over kernels grows with their number: per kernel it converges.
    before, rows = _kernel(network, scene) / kernels, []
    for error in errors:
        with torch.no_grad():
            network.frontend.signed_kernels().copy_(weight + error * delta * weight.std())
        after = _kernel(network, scene) / kernels
        change = torch.linalg.norm(after - before) / torch.linalg.norm(before)
        moved = 1 - centred_alignment(after, before)
        rows.append(
            {"kernels": kernels, "error": error, "draw": draw}
            | {"change": float(change), "misalignment": float(moved)}
        )
    return rows


def _kernel(network: nn.Module, scene: Tensor) -> Tensor:
    with record(network, "last") as trace:
        logits = network(scene)
    return trace.kernel(logits).detach()


def _average(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    keys = dict.fromkeys((row["kernels"], row["error"]) for row in rows)
    return [
        {"kernels": kernels, "error": error}
        | {
            name: fmean(
                row[name] for row in rows if (row["kernels"], row["error"]) == (kernels, error)
            )
            for name in ("change", "misalignment")
        }
        for kernels, error in keys
    ]


def _say(error: str, slope: float) -> str:
    return (
        f"error {error}: the kernel's relative change goes as m^{slope:.2f}; independent errors "
        "of a fixed size a kernel would give -0.50 by both laws, of a fixed total norm -1 by "
        "||delta||/m"
    )
