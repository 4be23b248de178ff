"""Each method's own fine-tuning behind chips, found on captures that it does not learn from."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from hybridonn.compensation.calibration import recalibrate
from hybridonn.compensation.capture_pair import CapturePair
from hybridonn.compensation.capture_sampling import choose_captures
from hybridonn.compensation.evaluation import evaluate, measure
from hybridonn.compensation.fine_tuning import FineTuning
from hybridonn.compensation.fine_tuning_data import compute_features, draw_fine_tuning_data
from hybridonn.compensation.settings import settings_for, stated_compensation
from hybridonn.compensation.teacher_targets import compute_targets
from hybridonn.core.errors import SpecError
from hybridonn.core.files import write_table, write_text
from hybridonn.core.parts import scratch_folder
from hybridonn.core.progress import Progress, Silent
from hybridonn.data.dataset import Dataset, ImageSet
from hybridonn.data.splits import thin
from hybridonn.distillation.methods import find_stored_for, needs_labels
from hybridonn.pipeline.compensate import Trained, open_trained
from hybridonn.pipeline.run_folder import open_folder
from hybridonn.pipeline.stages.compensated import COMPENSATED
from hybridonn.pipeline.stages.fabricated import make_chip, stated
from hybridonn.pipeline.stages.teacher import load_teacher
from hybridonn.spec import (
    Compensation,
    Fabrication,
    Method,
    Spec,
    Tuning,
    dump_spec,
    validate,
)
from hybridonn.spec.training import name_tuned
from hybridonn.studies.counts import refuse_count
from hybridonn.studies.engine import map_runs
from hybridonn.studies.few_captures import refuse_few_captures
from hybridonn.studies.inputs import pack_inputs, unpack_root, unpack_spec
from hybridonn.studies.rows import open_rows
from hybridonn.studies.runs import Opened, Run, Work
from hybridonn.studies.settings import describe_settings
from hybridonn.studies.trials import (
    Setting,
    choose_all,
    list_settings,
    read_trials,
    tabulate,
    write_best,
)
from hybridonn.studies.workers import HERE, Workers
from hybridonn.tasks.task import make_task

if TYPE_CHECKING:
    from torch import Tensor

STUDY = "tune-compensation"
OPEN = "hybridonn.studies.tune_compensation:open_workbench"
DO = "hybridonn.studies.tune_compensation:try_setting"
# `tolerance` reports chips 0 to N - 1. Settings chosen on the very chips that are reported would
# have seen their errors, so these are other chips of the same process.
FIRST_CHIP = 1000
MOST_JUDGED = 2000  # validation images captured behind each chip


def tune_compensation(
    spec: Spec,
    run: Path,
    methods: tuple[Method, ...],
    grid: dict[str, list[Any]],
    chips: int,
    folder: Path,
    data_root: Path | None,
    progress: Progress,
    workers: Workers = HERE,
) -> str:
    """Try every combination of a grid for each method behind some chips, and find the best.

    The best has the highest metric, mean over the chips, on captures of validation images; the
    test images are not looked at. Every method gets the same grid (less the keys that it has
    no use for), chips and captures. The whole grid is checked before the first chip. Interrupted
    and called again, it goes on where it was. The table keeps what all calls with the same spec
    have tried, and the best is the best of it.

    Args:
        spec: Spec of the run, with ``fabrication``; ``compensation`` has its defaults.
        run: A run whose student is trained.
        methods: What to tune.
        grid: Values to try, by key of ``compensation.tuned``.
        chips: How many chips; none of them is one that ``tolerance`` or the run reports.
        folder: Where ``tuning.csv`` and ``tuned.yaml`` go.
        data_root: Where named data sets lie.
        progress: Shows how far it is.
        workers: Who tries.

    Returns:
        The best as YAML, ready for a spec; comments say where a value lies at the edge of what
        was tried.

    Raises:
        SpecError: There is no chip, a value is not allowed, or no method has a use for a key.
        ArtefactError: The folder holds what was tried with another spec or run.
    """
    refuse_count("--chips", chips)
    spec = _state(spec, methods)
    settings = list_settings(methods, grid, lambda m, values: _lay_over(spec, m, values))
    seeds = choose_chips(stated(spec), chips)
    with open_folder(folder, spec):
        trained = open_trained(spec, run, data_root, progress)
        refuse_few_captures(spec, trained)
        rows = open_rows(folder, STUDY, _tell(spec, trained))
        write_text(folder / "spec.yaml", dump_spec(spec))

        def write() -> None:
            write_table(folder / "tuning.csv", tabulate(read_trials(rows.values), "chip"))

        inputs = pack_inputs(spec, data_root, run=str(run.absolute()))
        runs = [_list_run(one, seed) for seed in seeds for one in settings]
        shared = Workbench(spec, trained, folder)
        map_runs(Work(STUDY, OPEN, DO, inputs), runs, rows, shared, progress, workers, write)
        write()
        trials = read_trials(rows.values)
        # What the spec tuned before took part, so it goes with the best.
        best, said = choose_all(trials, methods, seeds, "chip")
        text = write_best({"compensation": {"tuned": best}}, said)
        write_text(folder / "tuned.yaml", text)
    return text


def choose_chips(errors: Fabrication, chips: int) -> list[int]:
    """Seeds of chips to tune on: from 1000 on, without the chip of the run itself.

    Args:
        errors: Errors of the run.
        chips: Number of chips.
    """
    seeds = range(FIRST_CHIP, FIRST_CHIP + chips + 1)
    return [seed for seed in seeds if seed != errors.seed][:chips]


def _state(spec: Spec, methods: tuple[Method, ...]) -> Spec:
    """The spec with these methods, at its one fraction.

    Raises:
        SpecError: A method cannot learn as the spec states.
    """
    settings = spec.compensation_or_default()
    alone = list(filter(needs_labels, methods))
    if not settings.labelled and alone:
        raise SpecError(
            f"--methods {','.join(methods)}: compensation.labelled is false, but method {alone[0]} "
            f"learns from labels alone; leave {alone[0]} out"
        )
    distillation = settings.distillation.model_copy(update={"method": methods[0]})
    changes = {"methods": methods, "distillation": distillation, "fractions": ()}
    spec = spec.model_copy(update={"compensation": settings.model_copy(update=changes)})
    stated_compensation(spec)
    return spec


def _lay_over(spec: Spec, method: Method, values: dict[str, Any]) -> Setting:
    tree = spec.model_dump()
    tree["compensation"]["tuned"][name_tuned(method)] |= values
    settings = stated_compensation(validate(tree, "--grid"))
    tuned = settings.tuned.of(method)
    return Setting(method, values, tuned, settings_for(spec, settings, method))


def _leave_out_keys(spec: Spec) -> Spec:
    """All that a result depends on beside its key: what the key tells has its default."""
    settings = stated_compensation(spec)
    richest = find_stored_for(kernel=True)
    any_method = settings.distillation.model_copy(update={"method": richest})
    same = {"tuned": Tuning(), "methods": (richest,), "distillation": any_method}
    changed = {
        "fabrication": stated(spec).with_seed(0),
        "compensation": settings.model_copy(update=same),
    }
    return COMPENSATED.inputs(spec.model_copy(update=changed))


# Only for its inputs: a trial depends on what the compensation of a chip depends on.
TRIAL = replace(COMPENSATED, name="tune-compensation", inputs=_leave_out_keys)


def _tell(spec: Spec, trained: Trained) -> dict[str, Any]:
    return describe_settings((TRIAL,), spec, trained.dataset, (), trained.done)


def _list_run(setting: Setting, seed: int) -> Run:
    """The trial of one setting behind one chip; those of a chip share it."""
    said = " ".join(f"{key}={value}" for key, value in setting.values.items())
    arguments = {"method": setting.method, "values": setting.values, "chip": seed}
    name = f"chip {seed}, {setting.method} {said}"
    return Run(setting.key(seed), name, arguments, group=f"chip {seed}")


class Workbench:
    """What all trials share, and the chip that the last one was behind.

    Args:
        spec: Spec of the study.
        trained: The run whose optics are made.
        folder: Folder of the study.
    """

    def __init__(self, spec: Spec, trained: Trained, folder: Path) -> None:
        self.spec, self.folder = spec, folder
        self._trained, self._targets = trained, None
        self._seed, self._chip = -1, None

    def make_chip(self, seed: int, progress: Progress) -> tuple[FineTuning, CapturePair]:
        """A chip, calibrated, with the captures that judge; it is kept until another one is made.

        The same images are shown to every chip, so the teacher is asked once.
        """
        if self._chip is None or self._seed != seed:
            self._seed, self._chip = seed, None
            self._chip = self._make(seed, progress)
        return self._chip

    def _make(self, seed: int, progress: Progress) -> tuple[FineTuning, CapturePair]:
        spec, trained, dataset = self.spec, self._trained, self._trained.dataset
        settings, errors = stated_compensation(spec), stated(spec).with_seed(seed)
        chosen, judging = _choose_images(settings, dataset)
        chip = make_chip(spec, dataset, trained.student, trained.metasurface, errors, progress)
        capture = partial(chip.capture, part="student_train")
        data = draw_fine_tuning_data(dataset.student_train, chosen, capture, settings)
        if self._targets is None:
            teacher = load_teacher(spec, dataset, trained.teacher.folder)
            self._targets = compute_targets(
                spec, settings, chip.student, teacher, data.shown, progress
            )
        calibration = recalibrate(settings, chip.student, data.captured)
        features = compute_features(settings, chip.student, calibration, data)
        parts = (settings, chip.student, calibration, data, features, self._targets)
        return FineTuning(*parts), chip.capture(judging, "validation")


def _choose_images(settings: Compensation, dataset: Dataset) -> tuple[Tensor, ImageSet]:
    """Which training images are captured, and the images whose captures judge."""
    images, classes, task = dataset.student_train, dataset.classes, dataset.task
    chosen = choose_captures(task.cover(images.labels, classes), settings)
    strata = task.stratify(dataset.validation.labels, classes)
    return chosen, thin(dataset.validation, strata, MOST_JUDGED, settings.seed)


def open_workbench(inputs: dict[str, Any], folder: Path) -> Opened:
    """What a worker shares between trials."""
    spec = unpack_spec(inputs)
    trained = open_trained(spec, Path(inputs["run"]), unpack_root(inputs), Silent())
    return Workbench(spec, trained, folder), _tell(spec, trained)


def try_setting(
    shared: Workbench, arguments: dict[str, Any], progress: Progress
) -> dict[str, float]:
    """Fine-tune by a ``method`` with ``values`` behind a ``chip``: score and seconds."""
    fine_tuning, judged = shared.make_chip(arguments["chip"], progress)
    one = _lay_over(shared.spec, arguments["method"], arguments["values"])
    return _score(fine_tuning, judged, one, shared.folder)


def _score(
    fine_tuning: FineTuning, judged: CapturePair, one: Setting, folder: Path
) -> dict[str, float]:
    """The metric on the captures that judge, and the seconds of the fine-tuning."""
    began = perf_counter()
    with scratch_folder(folder / "setting") as place:  # the next command begins a setting anew
        backend, _ = fine_tuning.fine_tune(one.spec, place, Silent())
    seconds = round(perf_counter() - began, 2)
    treated = evaluate(one.method, backend, fine_tuning.calibration, judged)
    return {"validation": measure(make_task(one.spec.task), treated, judged), "seconds": seconds}
