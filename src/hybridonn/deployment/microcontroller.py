"""A backend in C beside torch: on this machine, and on an emulated Cortex-M4F."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from hybridonn.core.errors import DeploymentError
from hybridonn.deployment.c_code import CFile
from hybridonn.deployment.compilers import (
    count_memory,
    measure_footprint,
    run_on_cortex_m4,
    run_on_host,
    time_on_host,
)

ALLOWED = 1e-4  # of the largest output


@torch.no_grad()
def check_c(code: CFile, backend: nn.Module, features: Sequence[Tensor]) -> dict[str, Any]:
    """Run a C file where a compiler is, and compare it with torch.

    Args:
        code: The backend in C.
        backend: The same in torch.
        features: Features of some images, (N, K_b, H', W') a branch.

    Returns:
        Bytes of weights and working memory; where compilers are installed the largest relative
        differences and flash, RAM and stack of a Cortex-M4F.

    Raises:
        DeploymentError: It cannot be compiled, or gives something else than torch.
    """
    logits = backend(tuple(features)).flatten(1)
    flash, ram = count_memory(code)
    found: dict[str, Any] = {
        "flash_needed_bytes": flash,
        "ram_needed_bytes": ram,
        "weight_bytes": code.weight_bytes,
        "working_bytes": code.working_bytes,
        "images": len(logits),
    }
    runs = {"host": run_on_host(code, features), "cortex_m4": run_on_cortex_m4(code, features)}
    for name, outputs in runs.items():
        if outputs is None:
            continue
        difference = float((outputs - logits).abs().max() / logits.abs().max())
        if not difference <= ALLOWED:
            raise DeploymentError(
                f"backend.c differs from torch by {difference:.2g} of the largest output on "
                f"{len(logits)} images ({name}); allowed is {ALLOWED:g}"
            )
        found[f"{name}_largest_relative_difference"] = difference
        same = (outputs.view_as(logits).argmax(1) == logits.argmax(1)).float().mean()
        found[f"{name}_same_largest_output"] = float(same)
    duration = time_on_host(code, features)
    if duration is not None:
        found["host_us"] = duration
    footprint = measure_footprint(code)
    if footprint is not None:
        names = ("flash_bytes", "ram_bytes", "stack_bytes")
        found["footprint"] = {"target": footprint.target} | {
            name: getattr(footprint, name) for name in names
        }
    return found
