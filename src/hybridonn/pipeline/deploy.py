"""Deployment of a finished run: its network as files that run without torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hybridonn.core.errors import DeploymentError
from hybridonn.core.progress import Progress
from hybridonn.data import load_dataset
from hybridonn.deployment.extras import need_extra
from hybridonn.pipeline.deployment_state import find_real_chip, refuse_other_captures
from hybridonn.pipeline.run_folder import add_results, open_folder
from hybridonn.pipeline.run_record import read_own_spec, read_own_stage
from hybridonn.pipeline.stage import Stage, complete
from hybridonn.pipeline.stage_folder import Finished
from hybridonn.pipeline.stages.compensated_on_captures import COMPENSATED_ON_CAPTURES
from hybridonn.pipeline.stages.deployed import DEPLOYED, DEPLOYED_ON_CAPTURES
from hybridonn.reports.page import write_report
from hybridonn.spec import Spec

USUAL_LOSS = 0.003  # of the metric, from 0 to 1, by 8-bit integers
TARGETS = {  # and the packages that each needs
    "onnx": ("onnx", "onnxscript", "onnxruntime"),
    "c": ("emx_onnx_cgen",),
    "tflite-micro": ("tflite_micro", "flatbuffers", "ethosu"),
}


def deploy(
    run: Path,
    targets: tuple[str, ...],
    calibration: int,
    data_root: Path | None,
    progress: Progress,
    captures: Path | None = None,
) -> dict[str, Any]:
    """Write ``deployed/`` into the folder of a run.

    Args:
        run: A finished run.
        targets: What is written beside ONNX: ``c``, ``tflite-micro``.
        calibration: Training images, or captures, that set the ranges of integers.
        data_root: Where named data sets lie.
        progress: Shows how far it is.
        captures: The capture set that the run's backend was compensated on; its features take the
            place of simulated ones.

    Returns:
        The numbers of the stage.

    Raises:
        DeploymentError: A target is not known, a package is missing, the network cannot be
            translated, or captures are named for a backend that was not compensated on them.
        ArtefactError: The folder is no finished run.
    """
    if unknown := [one for one in targets if one not in TARGETS]:
        raise DeploymentError(
            f"target {unknown[0]!r} is not known; allowed are {', '.join(TARGETS)}"
        )
    for target in dict.fromkeys(("onnx", *targets)):
        need_extra(*TARGETS[target])
    spec = read_own_spec(run)
    stage, done = _find_stages(spec, run)
    if captures is not None and stage is DEPLOYED:
        raise DeploymentError(
            f"{run} was not compensated on captures of a real chip, so {captures} says nothing "
            f"of it; run `hybridonn compensate {run} --captures {captures}` first"
        )
    if captures is not None:
        refuse_other_captures(run, captures)
    wanted = {"targets": tuple(sorted({"onnx", *targets})), "captures": captures}
    stage = stage.with_options(calibration=calibration, **wanted)
    with open_folder(run):
        dataset = load_dataset(spec.data, data_root, progress)
        found = complete(stage, spec, dataset, done, run / stage.name, progress)
        add_results(run, {stage.name: found.results})
        if (run / "report.html").is_file():  # of a run that was cut short there is none
            write_report(run)
    return found.results


def _find_stages(spec: Spec, run: Path) -> tuple[Stage, dict[str, Finished]]:
    """The stage to do, and the stages that it needs."""
    real = find_real_chip(run)
    stage = DEPLOYED if real is None else DEPLOYED_ON_CAPTURES
    needs = [one for one in stage.needs if one.wanted(spec) and one is not COMPENSATED_ON_CAPTURES]
    done = {one.name: read_own_stage(run, one.name) for one in needs}
    if real is not None:
        done[COMPENSATED_ON_CAPTURES.name] = real
    return stage, done


def explain_losses(results: dict[str, Any]) -> list[str]:
    """A sentence for each file in 8-bit integers that loses more of the metric than is usual.

    Args:
        results: Numbers of the stage ``deployed``.
    """
    lines = []
    for key, file in (("int8", "backend.int8.onnx"), ("tflite_micro", "backend.tflite")):
        for name, own in results.get(key, {}).items():
            whole = results.get(key, {}).get(f"torch_{name}", results.get(name))
            if isinstance(own, float) and isinstance(whole, float) and whole - own > USUAL_LOSS:
                lines.append(
                    f"{file} has {100 * own:.2f} % where torch has {100 * whole:.2f} %: 8-bit "
                    "integers lose more here than the 0.3 points that are usual; try another "
                    "number of images with --calibration, or use backend.onnx"
                )
    return lines
