"""Each method's own training, found by its validation score."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hybridonn.core.files import write_table, write_text
from hybridonn.core.progress import Progress, Silent
from hybridonn.pipeline.run_folder import open_folder
from hybridonn.spec import Method, Spec, dump_spec, validate
from hybridonn.spec.training import name_tuned
from hybridonn.studies.counts import refuse_count
from hybridonn.studies.engine import map_runs
from hybridonn.studies.rows import open_rows
from hybridonn.studies.runs import Run, Work
from hybridonn.studies.shared_teacher import (
    SharedTeacher,
    describe_shared_teacher,
    load_images,
    name_values,
    pack_shared_teacher,
    state_method,
    train_shared_teacher,
)
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

STUDY = "tune"
OPEN = "hybridonn.studies.shared_teacher:open_shared_teacher"
DO = "hybridonn.studies.tune:try_setting"


def tune(
    spec: Spec,
    methods: tuple[Method, ...],
    grid: dict[str, list[Any]],
    seeds: int,
    folder: Path,
    data_root: Path | None = None,
    progress: Progress | None = None,
    workers: Workers = HERE,
) -> str:
    """Try every combination of a grid for each method and find the best.

    The best has the highest mean validation score; the test images are not
    looked at. Every method gets the same grid (less the keys that it has no
    use for) and the same seeds. The whole grid is checked before anything is
    trained. The table keeps what all calls with the same spec have tried, and
    the best is the best of it.

    Args:
        spec: The design.
        methods: What to tune.
        grid: Values to try, by key of the spec's ``tuned``.
        seeds: Seeds 0 to ``seeds - 1`` for each combination.
        folder: Where students and ``tuning.csv`` go.
        data_root: Where named data sets lie.
        progress: Shows how far it is.
        workers: Who trains the students.

    Returns:
        The best as YAML, ready for a spec; comments say where a value lies at the edge of what
        was tried.

    Raises:
        SpecError: There is no seed, a value is not allowed, or no method has a use for a key.
        ArtefactError: The folder holds what was tried with another spec.
    """
    refuse_count("--seeds", seeds)
    progress = progress or Silent()
    settings = list_settings(methods, grid, lambda m, values: _lay_over(spec, m, values))
    with open_folder(folder, spec):
        dataset = load_images(spec, methods, data_root, progress)
        rows = open_rows(folder, STUDY, describe_shared_teacher(spec, dataset, methods))
        write_text(folder / "spec.yaml", dump_spec(spec))
        runs = [_list_run(one, seed) for one in settings for seed in range(seeds)]

        def write() -> None:
            write_table(folder / "tuning.csv", tabulate(read_trials(rows.values), "seed"))

        if any(run.key not in rows.values for run in runs):
            shared = train_shared_teacher(spec, dataset, folder, progress)
            work = Work(STUDY, OPEN, DO, pack_shared_teacher(spec, methods, data_root))
            map_runs(work, runs, rows, shared, progress, workers, write)
        write()
        trials = read_trials(rows.values)
        best, said = choose_all(trials, methods, range(seeds), "seed")
        text = write_best({"tuned": best}, said)
        write_text(folder / "tuned.yaml", text)
    return text


def _lay_over(spec: Spec, method: Method, values: dict[str, Any]) -> Setting:
    tree = spec.model_dump()
    tree["tuned"][name_tuned(method)] |= values
    tried = state_method(validate(tree, "--grid"), method)
    return Setting(method, values, tried.tuned.of(method), tried)


def _list_run(setting: Setting, seed: int) -> Run:
    """The training of a student with one setting."""
    arguments = {"method": setting.method, "values": setting.values, "seed": seed}
    return Run(setting.key(seed), _name(setting, seed), arguments)


def try_setting(
    shared: SharedTeacher, arguments: dict[str, Any], progress: Progress
) -> dict[str, Any]:
    """Train a student by ``method`` with ``values`` from ``seed``: validation score and seconds."""
    one = _lay_over(shared.spec, arguments["method"], arguments["values"])
    spec = one.spec.with_seed(arguments["seed"])
    results = shared.train(spec, _name(one, spec.seed), progress).results
    metric = make_task(spec.task).metric
    return {"validation": results[f"validation_{metric}"], "seconds": results["seconds"]}


def _name(setting: Setting, seed: int) -> str:
    """Folder of a student."""
    return f"{name_values(setting.method, setting.tuned)}-{seed}"
