"""The main job: from a spec to a distilled, reported hybrid network."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hybridonn.data import load_dataset
from hybridonn.files import write_json, write_text
from hybridonn.optics.layout import lay_out
from hybridonn.pipeline.estimate import estimate_stage
from hybridonn.pipeline.folder import add_results, open_folder
from hybridonn.pipeline.knowledge import gather_knowledge
from hybridonn.pipeline.record import describe_run
from hybridonn.pipeline.stage import Finished, fingerprint, finish
from hybridonn.pipeline.student import distil
from hybridonn.pipeline.teacher import teach
from hybridonn.progress import Progress, Silent
from hybridonn.reports import write_report
from hybridonn.spec import Spec, dump_spec


def run(
    spec: Spec, folder: Path, data_root: Path | None = None, progress: Progress | None = None
) -> dict[str, Any]:
    """Run all stages: layout, estimate, teacher, student, report.

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
        layout = lay_out_stage(spec, folder / "layout")
        dataset = load_dataset(spec.data, data_root, progress)
        estimated = estimate_stage(spec, dataset, folder / "estimate", progress)
        teacher = teach(spec, dataset, folder / "teacher", progress)
        knowledge = gather_knowledge(spec, dataset, teacher, folder / "knowledge", progress)
        student = distil(spec, dataset, teacher, knowledge, folder / "student", progress)
        stages = {
            "layout": layout,
            "estimate": estimated,
            "teacher": teacher,
            "knowledge": knowledge,
            "student": student,
        }
        _say_reused(stages, progress)
        write_text(folder / "spec.yaml", dump_spec(spec))
        write_json(folder / "record.json", describe_run(spec, dataset, stages, started, _now()))
        results = add_results(folder, {name: stage.results for name, stage in stages.items()})
        write_report(folder)
    return results


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
        layout = lay_out_stage(spec, folder / "layout")
        dataset = load_dataset(spec.data, data_root, progress)
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
