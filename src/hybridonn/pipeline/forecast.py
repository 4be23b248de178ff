"""What a run would do, and about how long it would take, before anything is done."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hybridonn.core.errors import HybridonnError
from hybridonn.core.progress import Progress, Silent
from hybridonn.data import load_dataset
from hybridonn.data.dataset import Dataset
from hybridonn.pipeline.from_spec import lay_out_kernels
from hybridonn.pipeline.preflight import refuse_early, refuse_unread
from hybridonn.pipeline.record import describe_data, describe_machine
from hybridonn.pipeline.run_folder import read_run_spec
from hybridonn.pipeline.run_record import read_run_record
from hybridonn.pipeline.stage import mark_of
from hybridonn.pipeline.stage_folder import Finished, State, find_state
from hybridonn.pipeline.stage_table import STAGES
from hybridonn.spec import Spec, Training


@dataclass(frozen=True)
class ForecastStage:
    """A stage of a run that was not started.

    Attributes:
        name: Name of the stage.
        state: What the run would do with it.
        seconds: What it is expected to take; None: no earlier run tells.
        source: The run that tells.
    """

    name: str
    state: State
    seconds: float | None
    source: Path | None


def forecast(
    spec: Spec,
    folder: str | Path,
    data_root: str | Path | None = None,
    progress: Progress | None = None,
) -> list[ForecastStage]:
    """Say which stages of a run would be done, and about how long each would take.

    The data set is read, and downloaded where it is missing, since the stages depend on it; nothing
    is written into the run folder. Times are those of the latest run of the same images and
    networks on such a machine, in this folder or beside it, scaled by epochs and images where a
    network is trained. Of a stage that was interrupted the time of the whole is given.

    Args:
        spec: What the user states.
        folder: The run folder, which need not exist.
        data_root: Where named data sets lie or are downloaded to.
        progress: Shows how far the reading of the data is.

    Returns:
        The stages in their order.

    Raises:
        HybridonnError: The run would be refused.
    """
    folder, progress = Path(folder).absolute(), progress or Silent()
    refuse_unread(spec)
    dataset = load_dataset(spec.data, Path(data_root) if data_root else None, progress)
    refuse_early(spec, dataset)
    lay_out_kernels(spec.optics, spec.student.kernels)
    earlier = [*_list_earlier(spec, dataset, folder)]
    stages: list[ForecastStage] = []
    done: dict[str, Finished] = {}
    for stage in STAGES:
        if not stage.wanted(spec):
            continue
        mark = mark_of(stage, spec, dataset, done)
        done[stage.name] = Finished(folder / stage.name, mark, {}, 0.0, reused=True)
        state = find_state(folder / stage.name, mark, stage.shared, progress.say)
        seconds, source = (0.0, None)
        if state in ("continued", "new"):
            seconds, source = _expect(stage.name, spec, dataset, earlier)
        stages.append(ForecastStage(stage.name, state, seconds, source))
    return stages


@dataclass(frozen=True)
class _EarlierRun:
    folder: Path
    spec: Spec
    record: dict[str, Any]


def _list_earlier(spec: Spec, dataset: Dataset, folder: Path) -> Iterator[_EarlierRun]:
    """Runs here of images of the same set, size and classes: this folder's, then the latest."""
    here = _name_machine(describe_machine())
    beside = [path for path in folder.parent.glob("*/record.json") if path.is_file()]
    for path in sorted(beside, key=lambda one: (one.parent != folder, -one.stat().st_mtime)):
        with suppress(HybridonnError):  # of another version, unfinished, changed
            run = _EarlierRun(path.parent, read_run_spec(path.parent), read_run_record(path.parent))
            known, own = run.record["data"], describe_data(dataset)
            same = all(known[key] == own[key] for key in ("name", "image_shape", "classes"))
            if same and _name_machine(run.record["machine"]) == here:
                yield run


def _name_machine(machine: dict[str, Any]) -> list[Any]:
    """What must be equal for times to be of a machine as fast."""
    return [machine.get(key) for key in ("processor", "cores", "accelerator")]


def _expect(
    name: str, spec: Spec, dataset: Dataset, earlier: list[_EarlierRun]
) -> tuple[float | None, Path | None]:
    sizes = describe_data(dataset)
    for run in earlier:
        seconds = run.record.get("seconds", {}).get(name)
        before = _measure_work(name, run.spec, run.record["data"])
        if seconds and _networks_of(name, run.spec) == _networks_of(name, spec) and before:
            return seconds * _measure_work(name, spec, sizes) / before, run.folder
    return None, None


def _networks_of(name: str, spec: Spec) -> list[Any]:
    """What must be equal for the time of a stage to tell that of another."""
    if name == "teacher":
        return [spec.teacher.name, spec.teacher.arguments, spec.teacher.training.device]
    optics = [spec.optics.frontend, spec.optics.metasurface, spec.optics.strategy]
    trained = [spec.distillation.method, spec.training.device]
    return [spec.student, spec.teacher.name, *trained, *optics]


def _measure_work(name: str, spec: Spec, sizes: dict[str, Any]) -> float:
    """What the time of a stage is proportional to."""
    if name == "teacher":
        return _count_passes(spec.teacher.training) * sizes["train"]
    if name in ("student", "baseline"):
        return _count_passes(spec.training) * sizes["student_train"]
    if name == "teacher_targets":
        return (spec.training.views or 1) * sizes["student_train"]
    return 1.0


def _count_passes(training: Training) -> int:
    return training.epochs * training.passes_per_epoch
