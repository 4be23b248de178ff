"""What a finished run's networks cost, deployed or not."""

from __future__ import annotations

from typing import Any

from hybridonn.deployment.cost import NetworkCost, count_costs
from hybridonn.pipeline.loaded_run import LoadedRun


def cost_run(run: LoadedRun) -> list[NetworkCost]:
    """Costs of an image: teacher, the same network all digital, backend behind the optics.

    Args:
        run: A finished run.

    Raises:
        ArtefactError: A stage is not finished or was changed.
    """
    bits = run.spec.optics.sensor.bit_depth
    return count_costs(run.teacher(), run.student(), run.image_shape, bits)


def read_latency(run: LoadedRun) -> dict[str, Any]:
    """Microseconds of an image by runtime, as they were measured when the run was deployed."""
    return run.results.get("deployed", {}).get("latency_us", {})
