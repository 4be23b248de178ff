"""The main job: from a spec to a distilled, reported hybrid network."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hybridonn.data import load_dataset
from hybridonn.data.dataset import Dataset
from hybridonn.distillation.tasks import TASKS
from hybridonn.files import write_json, write_text
from hybridonn.optics.layout import lay_out
from hybridonn.pipeline.as_built import build_as_built
from hybridonn.pipeline.compensated import compensate
from hybridonn.pipeline.early import refuse_early, refuse_unread
from hybridonn.pipeline.errors import translate_tangent_errors
from hybridonn.pipeline.estimate import estimate_stage
from hybridonn.pipeline.folder import add_results, open_folder
from hybridonn.pipeline.knowledge import gather_knowledge
from hybridonn.pipeline.metasurface import make_metasurface
from hybridonn.pipeline.overlays import keep_overlays
from hybridonn.pipeline.record import describe_run
from hybridonn.pipeline.stage import Finished, fingerprint, finish
from hybridonn.pipeline.student import distil
from hybridonn.pipeline.teacher import teach
from hybridonn.progress import Progress, Silent
from hybridonn.reports import write_report
from hybridonn.spec import Spec, dump_spec


@translate_tangent_errors()
def run(
    spec: Spec, folder: Path, data_root: Path | None = None, progress: Progress | None = None
) -> dict[str, Any]:
    """Run all stages that the spec asks for, from layout to report.

    Interrupted and called again, it goes on where it was; with a changed spec
    it redoes only the stages that the change touches.

    Args:
        spec: What the user states.
        folder: The run folder, made if need be.
        data_root: Where named data sets lie or are downloaded to.
        progress: Shows how far it is.

    Returns:
        All numbers by stage, as in ``results.json``.

    Raises:
        HybridonnError: Something that the user can mend; earlier results stay.
    """
    progress = progress or Silent()
    started = _now()
    with open_folder(folder):
        refuse_unread(spec)
        dataset = load_dataset(spec.data, data_root, progress)
        refuse_early(spec, dataset)
        stages = _run_stages(spec, dataset, folder, progress)
        _say_reused(stages, progress)
        write_text(folder / "spec.yaml", dump_spec(spec))
        record = describe_run(spec, dataset, stages, started, _now())
        write_json(folder / "record.json", record)
        results = {name: stage.results for name, stage in stages.items()}
        results = add_results(folder, results | _judge_teacher(spec, stages))
        if spec.task == "segmentation":
            keep_overlays(spec, dataset, stages["student"], folder / "overlays")
        write_report(folder)
    return results


def _distil(spec: Spec, dataset: Dataset, folder: Path, progress: Progress) -> dict[str, Finished]:
    """Teacher, its knowledge, the student, and its twin without transfer where it is asked for."""
    teacher = teach(spec, dataset, folder / "teacher", progress)
    knowledge = gather_knowledge(spec, dataset, teacher, folder / "knowledge", progress)
    student = distil(spec, dataset, teacher, knowledge, folder / "student", progress)
    stages = {"teacher": teacher, "knowledge": knowledge, "student": student}
    if spec.distillation.baseline and spec.distillation.method != "none":
        alone = spec.for_method("none")
        place = folder / "untaught"
        stages["untaught"] = distil(alone, dataset, teacher, knowledge, place, progress, False)
    return stages


def _judge_teacher(spec: Spec, stages: dict[str, Finished]) -> dict[str, Any]:
    """How far the teacher is above the student that learnt without it; below zero it is bad."""
    if "untaught" not in stages:
        return {}
    metric = TASKS[spec.task].metric
    untaught = stages["untaught"].results
    margin = stages["teacher"].results[metric] - untaught[metric]
    return {"untaught": untaught | {"teacher_margin": margin}}


def _run_stages(
    spec: Spec, dataset: Dataset, folder: Path, progress: Progress
) -> dict[str, Finished]:
    """The stages in order, each reading what those before it wrote."""
    stages = {"layout": lay_out_stage(spec, folder / "layout")}
    stages["estimate"] = estimate_stage(spec, dataset, folder / "estimate", progress)
    stages |= _distil(spec, dataset, folder, progress)
    teacher, knowledge, student = (stages[name] for name in ("teacher", "knowledge", "student"))
    metasurface = None
    if spec.optics.metasurface is not None:
        place = folder / "metasurface"
        metasurface = make_metasurface(spec, dataset, teacher, knowledge, student, place, progress)
        stages["metasurface"] = metasurface
    if spec.fabrication is not None:
        place = folder / "as_built"
        stages["as_built"] = build_as_built(spec, dataset, student, metasurface, place, progress)
    if spec.fabrication is not None and spec.compensation is not None:
        place = folder / "compensated"
        stages["compensated"] = compensate(
            spec, dataset, teacher, student, metasurface, place, progress
        )
    return stages


@translate_tangent_errors()
def estimate(
    spec: Spec, folder: Path, data_root: Path | None = None, progress: Progress | None = None
) -> dict[str, Any]:
    """Run the stages before any training: layout and estimate.

    Args:
        spec: What the user states.
        folder: The run folder; a later :func:`run` goes on in it.
        data_root: Where named data sets lie or are downloaded to.
        progress: Shows how far it is.

    Returns:
        The numbers of the two stages.

    Raises:
        HybridonnError: Something that the user can mend; earlier results stay.
    """
    progress = progress or Silent()
    with open_folder(folder):
        refuse_unread(spec)
        dataset = load_dataset(spec.data, data_root, progress)
        refuse_early(spec, dataset)
        layout = lay_out_stage(spec, folder / "layout")
        found = estimate_stage(spec, dataset, folder / "estimate", progress)
        results = {"layout": layout.results, "estimate": found.results}
        add_results(folder, results)
    return results


def lay_out_stage(spec: Spec, folder: Path) -> Finished:
    """Stage ``layout``: the kernels' sites on the metasurface.

    Raises:
        SpecError: The kernels do not fit.
    """
    layout = lay_out(spec.optics, spec.student.kernels)

    def work(part: Path) -> dict[str, Any]:
        write_json(part / "layout.json", layout.to_dict())
        return {
            "kernels": layout.usable_kernels,
            "kernels_used": spec.student.kernels,
            "sites": len(layout.sites),
            "rows": layout.rows,
            "columns": layout.columns,
        }

    return finish(folder, fingerprint(stage="layout", layout=layout.to_dict()), work)


def _say_reused(stages: dict[str, Finished], progress: Progress) -> None:
    kept = [name for name, stage in stages.items() if stage.reused]
    if kept:
        progress.say(f"kept from before: {', '.join(kept)}")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
