"""Stage ``compensated`` on imported captures: the backend of a real chip, set anew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor

from hybridonn.compensation.acquisition.capture_dataset import name_set
from hybridonn.compensation.acquisition.captured_design import name_origin
from hybridonn.compensation.compensate import compensate
from hybridonn.compensation.evaluation import evaluate_ideal
from hybridonn.compensation.measured_captures import read_measured_captures
from hybridonn.compensation.settings import stated_compensation
from hybridonn.core.files import write_arrays, write_json
from hybridonn.networks.frontends.measured import MeasuredFrontend
from hybridonn.networks.hybrid import HybridNetwork
from hybridonn.pipeline.chip_overlays import keep_chip_overlays
from hybridonn.pipeline.compensation_artefacts import keep_compensation
from hybridonn.pipeline.stage import Context, Stage
from hybridonn.pipeline.stages.fabricated import take_backend
from hybridonn.pipeline.stages.metasurface import METASURFACE, load_student
from hybridonn.pipeline.stages.student import STUDENT, narrow_student
from hybridonn.pipeline.stages.teacher import TEACHER, load_teacher
from hybridonn.spec import Spec
from hybridonn.tasks.task import make_task


def _inputs(spec: Spec) -> Spec:
    return narrow_student(spec, "compensation")


def _run(context: Context) -> dict[str, Any]:
    """Calibrate and fine-tune a run's backend on captures of its chip.

    Raises:
        DataError: The captures do not fit the run, or none is left to learn from or to judge by.
    """
    spec, dataset, part = context.spec, context.dataset, context.part
    trained, metasurface = context.need(STUDENT), context.find(METASURFACE)
    student, task = load_student(spec, dataset, trained), make_task(spec.task)
    if metasurface is not None:
        take_backend(student, metasurface)
    folder: Path = context.options["captures"]
    designed = None if metasurface is None else metasurface.fingerprint
    origin = name_origin(dataset, trained.fingerprint, designed, spec.optics.frontend)
    captures = read_measured_captures(folder, dataset, origin, student.frontend)
    settings, test = stated_compensation(spec), captures.test
    teacher = load_teacher(spec, dataset, context.need(TEACHER).folder)
    found = compensate(
        spec, settings, student, teacher, captures.draw_data, test, part, context.progress
    )
    _keep_optics(part, student, captures.psfs)
    write_json(part / "origin.json", {"student": trained.fingerprint, "captures": name_set(folder)})
    write_arrays(part / "test_images.npz", positions=captures.test_positions.numpy())
    logits = found.evaluations[0].logits, found.kept.logits
    keep_chip_overlays(part, dataset, trained, captures.test_positions, *logits)
    numbers = keep_compensation(part, task, settings, student, found, test)
    ideal = evaluate_ideal(task, load_student(spec, dataset, trained), test)
    return numbers | {"source": "captures", "same_images": ideal}


def _keep_optics(part: Path, student: HybridNetwork, psfs: Tensor | None) -> None:
    """Keep what was measured of the optics, in the files of the stage ``fabricated``."""
    if psfs is None:
        return
    chip = MeasuredFrontend(psfs)
    designed = student.frontend.sensor_kernels().detach().numpy()
    write_arrays(part / "kernels.npz", designed=designed, built=chip.signed_kernels().numpy())
    write_arrays(part / "psf.npz", psf=psfs.numpy(), gains=chip.gains.numpy())


# Made by a command of its own, in place of the stage ``compensated`` of a simulated chip.
COMPENSATED_ON_CAPTURES = Stage(
    "compensated on captures", _inputs, _run, needs=(TEACHER, STUDENT, METASURFACE)
)
