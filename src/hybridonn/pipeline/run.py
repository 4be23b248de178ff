"""The main job: from a spec to a distilled, reported hybrid network."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hybridonn.core.errors import SpecError
from hybridonn.core.files import write_text
from hybridonn.core.progress import Progress, Silent
from hybridonn.core.stage_record import say_stage
from hybridonn.data import load_dataset
from hybridonn.pipeline.dataset_checks import say_unseen
from hybridonn.pipeline.deployment_state import take_deployed
from hybridonn.pipeline.errors import translate_tangent_errors
from hybridonn.pipeline.preflight import refuse_early, refuse_unread
from hybridonn.pipeline.record import describe_run
from hybridonn.pipeline.run_folder import add_results, open_folder, sweep_stages, write_results
from hybridonn.pipeline.run_record import write_run_record
from hybridonn.pipeline.stage_folder import Finished
from hybridonn.pipeline.stage_table import make_stages
from hybridonn.pipeline.stages.estimate import ESTIMATE, refuse_unestimated
from hybridonn.pipeline.stages.layout import LAYOUT
from hybridonn.reports.page import write_report
from hybridonn.spec import Spec, dump_spec
from hybridonn.tasks.task import make_task


@translate_tangent_errors()
def run(
    spec: Spec,
    folder: str | Path,
    data_root: str | Path | None = None,
    progress: Progress | None = None,
    replace: bool = False,
) -> dict[str, Any]:
    """Run all stages that the spec asks for, from layout to report.

    Interrupted and called again, it goes on where it was; with a changed spec
    it redoes only the stages that the change touches.

    Args:
        spec: What the user states, from :func:`~hybridonn.spec.read_spec`.
        folder: The run folder, made if need be.
        data_root: Where named data sets lie or are downloaded to.
        progress: Shows how far it is.
        replace: Let the folder of a spec of another name be replaced.

    Returns:
        All numbers by stage, as in ``results.json``.

    Raises:
        SpecError: A path is given in place of a spec.
        HybridonnError: Something else that the user can mend; earlier results stay.
    """
    _refuse_no_spec(spec)
    folder, progress = Path(folder), progress or Silent()
    started = _now()
    with open_folder(folder, spec, replace):
        refuse_unread(spec)
        dataset = load_dataset(spec.data, Path(data_root) if data_root else None, progress)
        refuse_early(spec, dataset)
        say_unseen(dataset, progress)
        stages = make_stages(spec, dataset, folder, progress)
        _say_reused(stages, progress)
        write_text(folder / "spec.yaml", dump_spec(spec))
        record = describe_run(spec, dataset, stages, started, _now())
        write_run_record(folder, record)
        results = {name: stage.results for name, stage in stages.items() if stage.results}
        results |= _judge_teacher(spec, stages) | take_deployed(folder, progress)
        results = write_results(folder, results)
        write_report(folder)
        sweep_stages(folder)
    return results


def _refuse_no_spec(spec: object) -> None:
    if not isinstance(spec, Spec):
        raise SpecError(
            f"the spec is a {type(spec).__name__}; give what hybridonn.read_spec returns for a file"
        )


def _judge_teacher(spec: Spec, stages: dict[str, Finished]) -> dict[str, Any]:
    """How far the teacher is above the student trained without it; below zero it is bad."""
    if "baseline" not in stages:
        return {}
    metric = make_task(spec.task).metric
    baseline = stages["baseline"].results
    margin = stages["teacher"].results[metric] - baseline[metric]
    return {"baseline": baseline | {"teacher_margin": margin}}


@translate_tangent_errors()
def estimate(
    spec: Spec,
    folder: str | Path,
    data_root: str | Path | None = None,
    progress: Progress | None = None,
    replace: bool = False,
) -> dict[str, Any]:
    """Run the stages before any training: layout and estimate.

    Args:
        spec: What the user states, from :func:`~hybridonn.spec.read_spec`.
        folder: The run folder; a later :func:`run` goes on in it.
        data_root: Where named data sets lie or are downloaded to.
        progress: Shows how far it is.
        replace: Let the folder of a spec of another name be replaced.

    Returns:
        The numbers of the two stages.

    Raises:
        SpecError: A path is given in place of a spec.
        HybridonnError: Something that the user can mend; earlier results stay.
    """
    _refuse_no_spec(spec)
    folder, progress = Path(folder), progress or Silent()
    with open_folder(folder, spec, replace):
        refuse_unread(spec)
        refuse_unestimated(spec)
        dataset = load_dataset(spec.data, Path(data_root) if data_root else None, progress)
        refuse_early(spec, dataset)
        stages = make_stages(spec, dataset, folder, progress, (LAYOUT, ESTIMATE))
        results = {name: stage.results for name, stage in stages.items()}
        add_results(folder, results)
    return results


def _say_reused(stages: dict[str, Finished], progress: Progress) -> None:
    kept = [say_stage(name) for name, stage in stages.items() if stage.reused and stage.results]
    if kept:
        progress.say(f"kept from before: {', '.join(kept)}")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
