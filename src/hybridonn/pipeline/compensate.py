"""Compensation of a finished run's student on imported captures of its chip."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hybridonn.compensation.acquisition.capture_dataset import refuse_absent
from hybridonn.compensation.settings import stated_compensation
from hybridonn.core.progress import Progress
from hybridonn.data import load_dataset
from hybridonn.data.dataset import Dataset
from hybridonn.pipeline.deployment_state import take_deployed
from hybridonn.pipeline.from_spec import refuse_digital
from hybridonn.pipeline.run_folder import add_results, open_folder, write_results
from hybridonn.pipeline.run_record import read_own_stage, refuse_other_networks
from hybridonn.pipeline.stage import complete
from hybridonn.pipeline.stage_folder import Finished
from hybridonn.pipeline.stages.compensated_on_captures import COMPENSATED_ON_CAPTURES
from hybridonn.pipeline.stages.metasurface import METASURFACE
from hybridonn.pipeline.stages.student import STUDENT
from hybridonn.pipeline.stages.teacher import TEACHER
from hybridonn.reports.page import write_report
from hybridonn.spec import Spec


@dataclass(frozen=True)
class Trained:
    """What a finished run holds.

    Attributes:
        dataset: The images.
        done: The stages that are needed behind a chip, by name.
    """

    dataset: Dataset
    done: dict[str, Finished]

    @property
    def teacher(self) -> Finished:
        """The finished stage ``teacher``."""
        return self.done[TEACHER.name]

    @property
    def student(self) -> Finished:
        """The finished stage ``student``."""
        return self.done[STUDENT.name]

    @property
    def metasurface(self) -> Finished | None:
        """The finished stage ``metasurface``; None: the spec has none."""
        return self.done.get(METASURFACE.name)


def open_trained(spec: Spec, run: Path, data_root: Path | None, progress: Progress) -> Trained:
    """The stages of a run that are needed behind a chip.

    Raises:
        ArtefactError: The run or a stage is not finished, a file is damaged, or the stage is not
            of this run and its spec.
        SpecError: The spec describes other networks than those of the run.
    """
    refuse_other_networks(spec, run)
    wanted = [stage.name for stage in (TEACHER, STUDENT, METASURFACE) if stage.wanted(spec)]
    done = {name: read_own_stage(run, name) for name in wanted}
    return Trained(load_dataset(spec.data, data_root, progress), done)


def compensate_captures(
    spec: Spec,
    run: Path,
    folder: Path,
    data_root: Path | None,
    progress: Progress,
    fraction: float | None = None,
) -> dict[str, Any]:
    """Calibrate and fine-tune a run's backend on imported captures; test captures only judge.

    Args:
        spec: Of the run, with ``compensation``, whose fraction says how many captures of a
            simulated chip are taken: of a real one they are there, and all are used.
        run: The run folder; the stage ``compensated`` is written into it.
        folder: A capture set, from ``hybridonn captures import``.
        data_root: Where named data sets lie.
        progress: Shows how far it is.
        fraction: Of the captures that may be learnt from; None: all.

    Returns:
        The numbers of the stage; a report of the run shows them, too.

    Raises:
        ArtefactError: The folder holds no captures.
        DataError: The captures do not fit the run, or none is left to learn from or to judge by.
    """
    refuse_digital(spec, "be compensated")
    refuse_absent(folder)
    settings = spec.compensation_or_default()
    settings = settings.model_copy(update={"fraction": 1.0 if fraction is None else fraction})
    spec = spec.model_copy(update={"compensation": settings})
    stated_compensation(spec)
    stage = COMPENSATED_ON_CAPTURES.with_options(captures=folder)
    with open_folder(run):
        trained = open_trained(spec, run, data_root, progress)
        place = run / "compensated"
        found = complete(stage, spec, trained.dataset, trained.done, place, progress)
        results = add_results(run, {"compensated": found.results})
        results.pop("deployed", None)
        write_results(run, results | take_deployed(run, progress))
        if (run / "report.html").is_file():  # of a run that was cut short there is none
            write_report(run)
    return found.results
