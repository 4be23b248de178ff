"""Compensation of a run's student on captures that a camera took behind the real chip."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from hybridonn.compensation.acquisition.capture_set import (
    CaptureSet,
    check_origin,
    find_positions,
    look_up,
    read_captures,
)
from hybridonn.compensation.capture_pair import Captured
from hybridonn.core.errors import DataError
from hybridonn.core.files import write_arrays, write_json
from hybridonn.core.progress import Progress
from hybridonn.data import load_dataset
from hybridonn.data.dataset import Dataset
from hybridonn.distillation.training import predict
from hybridonn.networks.frontends.measured import MeasuredFrontend
from hybridonn.networks.hybrid import HybridNetwork
from hybridonn.pipeline.lessons import Lessons, draw_others
from hybridonn.pipeline.run_folder import add_results, open_folder
from hybridonn.pipeline.stage import Context, Stage, complete
from hybridonn.pipeline.stage_folder import Finished, read_stage
from hybridonn.pipeline.stages.compensated import choose_captures, stated_compensation, win_back
from hybridonn.pipeline.stages.fabricated import take_backend
from hybridonn.pipeline.stages.metasurface import METASURFACE, load_student
from hybridonn.pipeline.stages.student import STUDENT, narrow_student
from hybridonn.pipeline.stages.teacher import TEACHER, load_teacher
from hybridonn.reports.page import write_report
from hybridonn.spec import Compensation, Spec
from hybridonn.tasks.task import make_task

# Parts of the data set whose captures may be learnt from, and that which only judges.
PARTS = (("student_train", "validation"), ("test",))


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
        ArtefactError: A stage is not finished, or a file of it is damaged.
    """
    wanted = [stage.name for stage in (TEACHER, STUDENT, METASURFACE) if stage.wanted(spec)]
    done = {name: read_stage(run / name) for name in wanted}
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
        DataError: The captures do not fit the run, or none is left to learn from or to judge by.
    """
    settings = spec.compensation or Compensation()
    settings = settings.model_copy(update={"fraction": 1.0 if fraction is None else fraction})
    spec = spec.model_copy(update={"compensation": settings})
    stated_compensation(spec)
    stage = MEASURED.with_options(captures=folder)
    with open_folder(run):
        trained = open_trained(spec, run, data_root, progress)
        place = run / "compensated"
        found = complete(stage, spec, trained.dataset, trained.done, place, progress)
        add_results(run, {"compensated": found.results})
        if (run / "report.html").is_file():  # of a run that was cut short there is none
            write_report(run)
    return found.results


def _inputs(spec: Spec) -> Spec:
    return narrow_student(spec, "compensation")


def _run(context: Context) -> dict[str, Any]:
    """Calibrate and fine-tune a run's backend on captures of its chip.

    Raises:
        DataError: The captures do not fit the run, or none is left to learn from or to judge by.
    """
    spec, dataset, part = context.spec, context.dataset, context.part
    folder: Path = context.options["captures"]
    captures = read_captures(folder)
    trained, metasurface = context.need(STUDENT), context.find(METASURFACE)
    check_captures(captures, dataset, trained, metasurface, folder)
    student = load_student(spec, dataset, trained)
    if metasurface is not None:
        take_backend(student, metasurface)
    _check(captures, student.frontend.kernels, folder)
    taken, judging = (captures.of_part(*parts) for parts in PARTS)
    learnt, test = (_as_captured(some, dataset) for some in (taken, judging))
    classes, settings = len(dataset.classes), stated_compensation(spec)
    teacher = load_teacher(spec, dataset, context.need(TEACHER).folder)

    def learn(some: Compensation) -> Lessons:
        chosen = choose_captures(learnt.shown, classes, some)
        known = find_positions(taken.image_ids[chosen.numpy()], "student_train")
        others = draw_others(dataset.student_train, known, some)
        return Lessons(learnt.take(chosen), others)

    _keep_optics(part, student, captures)
    found = win_back(spec, settings, student, teacher, learn, test, part, context.progress)
    write_json(part / "origin.json", {"student": trained.fingerprint})
    positions = find_positions(judging.image_ids, PARTS[1][0])
    write_arrays(part / "test_images.npz", positions=positions.numpy())
    ideal = judge_ideal(spec, load_student(spec, dataset, trained), test)
    return found | {"source": "captures", "same_images": ideal}


def judge_ideal(spec: Spec, network: HybridNetwork, test: Captured) -> dict[str, Any]:
    """How good a network is with ideal optics on the very images of the test captures."""
    task = make_task(spec.task)
    score = task.measure(predict(network, test.shown.images), test.shown.labels)[task.metric]
    return {"test_captures": len(test), f"ideal_{task.metric}": score}


def check_captures(
    captures: CaptureSet,
    dataset: Dataset,
    student: Finished,
    metasurface: Finished | None,
    folder: Path,
) -> None:
    """Refuse captures of another student's chip, or of images of another data set.

    Raises:
        DataError: They are; both are named.
    """
    wanted = {
        "dataset": dataset.checksum,
        "student": student.fingerprint,
        "metasurface": None if metasurface is None else metasurface.fingerprint,
    }
    cure = "compensate the run that it was imported for, or import captures of this run's chip"
    check_origin(captures.notes, wanted, f"{folder} was imported", cure)


def _as_captured(captures: CaptureSet, dataset: Dataset) -> Captured:
    positive, negative = (torch.from_numpy(a) for a in (captures.positive, captures.negative))
    measured = None if captures.measured is None else torch.from_numpy(captures.measured)
    shown = look_up(captures.image_ids, dataset)
    return Captured(positive.float(), negative.float(), shown, measured)


def _keep_optics(part: Path, student: HybridNetwork, captures: CaptureSet) -> None:
    """Keep what was measured of the optics, in the files of the stage ``as_built``."""
    if captures.psfs is None:
        return
    chip = MeasuredFrontend(torch.from_numpy(captures.psfs))
    designed = student.frontend.signed_kernels().detach().numpy()
    write_arrays(part / "kernels.npz", designed=designed, built=chip.signed_kernels().numpy())
    write_arrays(part / "psf.npz", psf=captures.psfs, gains=chip.gains.numpy())


def _check(captures: CaptureSet, kernels: int, folder: Path) -> None:
    if captures.kernels != kernels:
        raise DataError(
            f"{folder} holds pictures of {captures.kernels} kernels, but the student has "
            f"{kernels}; import captures of the chip of this run"
        )
    for parts, what in zip(PARTS, ("to learn from", "to judge by"), strict=True):
        if not len(captures.of_part(*parts)):
            raise DataError(
                f"{folder} holds no capture {what}: none of the {len(captures)} is of "
                f"{' or '.join(parts)}; display some of them, see `hybridonn captures template`"
            )


# Made by a command of its own, in place of the stage ``compensated`` of a simulated chip.
MEASURED = Stage("compensated on captures", _inputs, _run, needs=(TEACHER, STUDENT, METASURFACE))
