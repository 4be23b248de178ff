"""The network behind a compensated chip: its optics, and the backend that was kept."""

from __future__ import annotations

from pathlib import Path

from hybridonn.core.errors import ArtefactError
from hybridonn.networks.hybrid import HybridNetwork
from hybridonn.pipeline.deployable import REAL, SIMULATED, assemble
from hybridonn.pipeline.deployment_state import find_real_chip
from hybridonn.pipeline.run_record import read_own_stage
from hybridonn.pipeline.stages.compensated import COMPENSATED
from hybridonn.pipeline.stages.compensated_on_captures import COMPENSATED_ON_CAPTURES
from hybridonn.pipeline.stages.metasurface import ImageFormat
from hybridonn.spec import Spec


def load_compensated(spec: Spec, run: Path, images: ImageFormat) -> HybridNetwork:
    """The network that a compensation of a run ended with, in inference mode.

    Args:
        spec: The spec of the run.
        run: The run folder.
        images: What the network takes.

    Raises:
        ArtefactError: No chip of the run was compensated, or a stage is not finished.
        DeploymentError: Nothing but captures is known of a real chip.
    """
    real = find_real_chip(run)
    if real is None and not COMPENSATED.wanted(spec):
        raise ArtefactError(
            f"no chip of {run} was compensated; state fabrication and compensation in its spec and "
            f"run it again, or use `hybridonn compensate {run} --captures CAPTURES`"
        )
    sources = SIMULATED if real is None else REAL
    kept = {
        stage.name: read_own_stage(run, stage.name)
        for stage in sources
        if stage.wanted(spec) and stage is not COMPENSATED_ON_CAPTURES
    }
    if real is not None:
        kept[COMPENSATED_ON_CAPTURES.name] = real
    return assemble(spec, images, kept, captured=False).network
