"""The kernel of an estimate, computed in strips by the workers of a study."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hybridonn.core.progress import Progress, Silent
from hybridonn.data import load_dataset
from hybridonn.data.dataset import Dataset
from hybridonn.estimation.strips import KernelStrips, cut_kernel
from hybridonn.pipeline.preflight import refuse_early, refuse_unread
from hybridonn.pipeline.run import estimate
from hybridonn.pipeline.run_folder import open_folder
from hybridonn.pipeline.stage import begin_early, mark_of
from hybridonn.pipeline.stages.estimate import (
    ESTIMATE,
    TILES,
    gather_inputs,
    name_estimator,
    refuse_unestimated,
)
from hybridonn.spec import Spec
from hybridonn.studies.engine import map_runs
from hybridonn.studies.inputs import pack_inputs, unpack_root, unpack_spec
from hybridonn.studies.rows import name_row, open_rows
from hybridonn.studies.runs import Opened, Run, Work
from hybridonn.studies.workers import HERE, Workers

STUDY = "estimate"
OPEN = "hybridonn.studies.kernel_strips:open_strips"
DO = "hybridonn.studies.kernel_strips:finish_strip"


def estimate_on_workers(
    spec: Spec,
    folder: Path,
    data_root: Path | None = None,
    progress: Progress | None = None,
    replace: bool = False,
    workers: Workers = HERE,
) -> dict[str, Any]:
    """Estimate a design, the blocks of its exact kernel shared among workers.

    The numbers are those of :func:`hybridonn.pipeline.run.estimate`, which has no workers.
    Interrupted and called again, it goes on where it was.

    Args:
        spec: What the user states.
        folder: The run folder.
        data_root: Where named data sets lie.
        progress: Shows how far it is.
        replace: Let the folder of a spec of another name be replaced.
        workers: Who computes the blocks.

    Returns:
        The numbers of layout and estimate.

    Raises:
        HybridonnError: Something that the user can mend; finished blocks stay.
    """
    progress = progress or Silent()
    if workers != HERE:
        _share_kernel(spec, folder, data_root, progress, replace, workers)
    return estimate(spec, folder, data_root, progress, replace)


def _share_kernel(
    spec: Spec,
    folder: Path,
    data_root: Path | None,
    progress: Progress,
    replace: bool,
    workers: Workers,
) -> None:
    """Let workers compute the kernel of an estimate that is not there yet."""
    with open_folder(folder, spec, replace):
        refuse_unread(spec)
        refuse_unestimated(spec)
        dataset = load_dataset(spec.data, data_root, progress)
        refuse_early(spec, dataset)
        part = begin_early(ESTIMATE, spec, dataset, {}, folder / ESTIMATE.name)
        if part is None:
            return
        kernel = _cut(spec, dataset, part / TILES)
        if kernel is None:
            progress.say(
                "workers share the exact kernel of estimate.kernels: infinite, and this estimate "
                "has none; this process makes it"
            )
            return
        (part / TILES).mkdir(exist_ok=True)
        rows = open_rows(part / TILES, STUDY, _describe(spec, dataset))
        inputs = pack_inputs(spec, data_root)
        runs = [
            Run(
                name_row("strip", block, strip),
                f"block {block}, strip {strip}",
                {"block": block, "strip": strip},
            )
            for block, strip in kernel.list_strips()
        ]
        map_runs(Work(STUDY, OPEN, DO, inputs), runs, rows, kernel, progress, workers)


def _cut(spec: Spec, dataset: Dataset, tiles: Path) -> KernelStrips | None:
    """The exact kernel of the estimate; None: there is none."""
    if name_estimator(spec).estimate.kernels != "infinite":
        return None
    return cut_kernel(gather_inputs(spec, dataset, tiles, Silent()))


def _describe(spec: Spec, dataset: Dataset) -> dict[str, Any]:
    return {"fingerprint": mark_of(ESTIMATE, spec, dataset, {})}


def open_strips(inputs: dict[str, Any], folder: Path) -> Opened:
    """What a worker shares between strips.

    Args:
        inputs: Spec and data root.
        folder: Where finished tiles are kept.
    """
    spec = unpack_spec(inputs)
    dataset = load_dataset(spec.data, unpack_root(inputs), Silent())
    kernel = _cut(spec, dataset, folder)
    assert kernel is not None
    return kernel, _describe(spec, dataset)


def finish_strip(
    kernel: KernelStrips, arguments: dict[str, Any], progress: Progress
) -> dict[str, int]:
    """Compute the tiles of a strip: their number."""
    return {"tiles": kernel.finish(arguments["block"], arguments["strip"])}
