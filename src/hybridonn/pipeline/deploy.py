"""Deployment of a finished run: its network as files that run without torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hybridonn.core.errors import DeploymentError
from hybridonn.core.progress import Progress
from hybridonn.data import load_dataset
from hybridonn.deployment.extras import need_extra
from hybridonn.pipeline.run_folder import add_results, open_folder
from hybridonn.pipeline.run_record import read_own_spec, read_own_stage
from hybridonn.pipeline.stage import complete
from hybridonn.pipeline.stages.deployed import DEPLOYED
from hybridonn.reports.page import write_report

TARGETS = ("onnx", "c")


def deploy(
    run: Path,
    targets: tuple[str, ...],
    calibration: int,
    data_root: Path | None,
    progress: Progress,
) -> dict[str, Any]:
    """Write ``deployed/`` into the folder of a run.

    Args:
        run: A finished run.
        targets: What is written beside ONNX: ``c``.
        calibration: Training images for whose features the ranges of integers are set.
        data_root: Where named data sets lie.
        progress: Shows how far it is.

    Returns:
        The numbers of the stage.

    Raises:
        DeploymentError: A target is not known, a package is missing, or the network cannot be
            translated.
        ArtefactError: The folder is no finished run.
    """
    if unknown := [one for one in targets if one not in TARGETS]:
        raise DeploymentError(
            f"target {unknown[0]!r} is not known; allowed are {' and '.join(TARGETS)}"
        )
    need_extra("onnx", "onnxscript", "onnxruntime")
    if "c" in targets:
        need_extra("emx_onnx_cgen")
    spec = read_own_spec(run)
    wanted = [stage.name for stage in DEPLOYED.needs if stage.wanted(spec)]
    done = {name: read_own_stage(run, name) for name in wanted}
    stage = DEPLOYED.with_options(
        targets=tuple(sorted({"onnx", *targets})), calibration=calibration
    )
    with open_folder(run):
        dataset = load_dataset(spec.data, data_root, progress)
        found = complete(stage, spec, dataset, done, run / stage.name, progress)
        add_results(run, {stage.name: found.results})
        write_report(run)
    return found.results
