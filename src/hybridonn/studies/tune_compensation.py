"""Each method's own fine-tuning behind chips, found on captures that it does not learn from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

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
from hybridonn.core.journal import Journal
from hybridonn.core.parts import scratch_folder
from hybridonn.core.progress import Progress, Silent
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
from hybridonn.studies.few_captures import refuse_few_captures
from hybridonn.studies.rows import open_rows
from hybridonn.studies.settings import describe_settings
from hybridonn.studies.trials import (
    Setting,
    choose_all,
    list_settings,
    read_trials,
    tabulate,
    write_best,
)
from hybridonn.tasks.task import make_task

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
        told = describe_settings((TRIAL,), spec, trained.dataset, (), trained.done)
        with open_rows(folder, "tune-compensation", told) as journal:
            write_text(folder / "spec.yaml", dump_spec(spec))
            _try_all(spec, trained, settings, seeds, journal, folder / "tuning.csv", progress)
            trials = read_trials(journal)
        write_table(folder / "tuning.csv", tabulate(trials, "chip"))
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
    settings = spec.compensation or Compensation()
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


def _try_all(
    spec: Spec,
    trained: Trained,
    settings: list[Setting],
    seeds: list[int],
    journal: Journal,
    table: Path,
    progress: Progress,
) -> None:
    """Try what the journal lacks, and write the table after each."""
    missing = {
        seed: [one for one in settings if one.key(seed) not in journal.values] for seed in seeds
    }
    total = len(seeds) * len(settings)
    done = total - sum(map(len, missing.values()))
    with progress.bar("tuning behind chips", total, done) as advance:
        for seed, fine_tuning, judged in _make_chips(spec, trained, missing, progress):
            for one in missing[seed]:
                found = _score(fine_tuning, judged, one, table.parent)
                journal.add(one.key(seed), found)
                write_table(table, tabulate(read_trials(journal), "chip"))
                said = " ".join(f"{key}={value}" for key, value in one.values.items())
                advance(1, f"chip {seed}, {one.method} {said}: {found['validation']:.4f}")


def _make_chips(
    spec: Spec, trained: Trained, missing: dict[int, list[Setting]], progress: Progress
) -> Iterator[tuple[int, FineTuning, CapturePair]]:
    """Each chip that is not finished, calibrated, with the captures that judge.

    The same images are shown to every chip, so the teacher is asked once.
    """
    settings, dataset = stated_compensation(spec), trained.dataset
    images, targets, classes, task = dataset.student_train, None, dataset.classes, dataset.task
    chosen = choose_captures(task.cover(images.labels, classes), settings)
    strata = task.stratify(dataset.validation.labels, classes)
    judging = thin(dataset.validation, strata, MOST_JUDGED, settings.seed)
    for seed in (seed for seed, some in missing.items() if some):
        errors = stated(spec).with_seed(seed)
        chip = make_chip(spec, dataset, trained.student, trained.metasurface, errors, progress)
        capture = partial(chip.capture, part="student_train")
        data = draw_fine_tuning_data(images, chosen, capture, settings)
        if targets is None:
            teacher = load_teacher(spec, dataset, trained.teacher.folder)
            targets = compute_targets(spec, settings, chip.student, teacher, data.shown, progress)
        calibration = recalibrate(settings, chip.student, data.captured)
        features = compute_features(settings, chip.student, calibration, data)
        fine_tuning = FineTuning(settings, chip.student, calibration, data, features, targets)
        yield seed, fine_tuning, chip.capture(judging, "validation")


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
