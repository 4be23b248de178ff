"""Where distillation pays: training images x training budget x method, each tuned on its own.

A point of the map is a number of training images and of epochs. At each, students are trained on
the task alone, by KD, and by NTKD with each discrepancy, behind one teacher of all images. Each
method tries the same short list of values and keeps the one with the highest validation score at
that point; then it is trained from all seeds, the same for all methods, and measured on the test
images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from hybridonn.core.errors import SpecError
from hybridonn.core.files import write_json, write_table, write_text
from hybridonn.core.progress import Progress, Silent
from hybridonn.distillation.methods import BASELINE
from hybridonn.pipeline.run_folder import open_folder
from hybridonn.reports.figures.regimes import write_regimes
from hybridonn.reports.studies import write_study_report
from hybridonn.spec import Spec, dump_spec, validate
from hybridonn.spec.training import name_tuned
from hybridonn.studies.compare import flatten_row
from hybridonn.studies.counts import refuse_count
from hybridonn.studies.engine import map_runs
from hybridonn.studies.inputs import unpack_root, unpack_spec
from hybridonn.studies.regimes_earlier import (
    find_earlier,
    list_asked,
    list_fixed,
    say_tried,
    state_tried,
)
from hybridonn.studies.regimes_grid import ALL, Grid
from hybridonn.studies.regimes_summary import KD, NTKD, summarise, tabulate
from hybridonn.studies.rows import Rows, name_row, open_rows
from hybridonn.studies.runs import Opened, Run, Work
from hybridonn.studies.shared_teacher import (
    SharedTeacher,
    describe_shared_teacher,
    load_images,
    name_values,
    open_shared_teacher,
    pack_shared_teacher,
    state_method,
    train_shared_teacher,
)
from hybridonn.studies.trials import DIGITS, combine, refuse_unused
from hybridonn.studies.workers import HERE, Workers
from hybridonn.tasks.task import make_task

STUDY = "study regimes"
OPEN = "hybridonn.studies.regimes:open_regimes"
DO = "hybridonn.studies.regimes:train_student"
METHODS = (BASELINE, KD, NTKD)


@dataclass(frozen=True)
class Trial:
    """One method at one point of the map with some values.

    Attributes:
        images: Number of training images; None: all.
        epochs: Training budget.
        method: Name of the method.
        discrepancy: Name of the discrepancy of NTKD; empty: the method has none.
        values: Values of the grid, by key.
    """

    images: int | None
    epochs: int
    method: str
    discrepancy: str
    values: dict[str, Any]

    @property
    def variant(self) -> str:
        """The method, and the discrepancy of NTKD."""
        return f"{self.method} {self.discrepancy}".strip()

    @property
    def place(self) -> tuple[int | None, int, str]:
        """The point and the variant, for which one trial is chosen."""
        return self.images, self.epochs, self.variant

    def state(self, spec: Spec) -> Spec:
        """The spec of this trial.

        Raises:
            SpecError: A value is not allowed, or contradicts the rest of the spec.
        """
        tree = spec.model_dump()
        tree["data"]["train_images"] = self.images
        tree["tuned"][name_tuned(self.method)] |= self.values | {"epochs": self.epochs}
        if self.discrepancy:
            tree["distillation"]["tangent"]["discrepancy"] = self.discrepancy
        return state_method(validate(tree, "--grid"), self.method)


class RegimeTeachers:
    """The teacher and its targets for each number of training images, one at a time in memory.

    Args:
        spec: The spec of the study.
        folder: Folder of the study.
        data_root: Where named data sets lie.
    """

    def __init__(self, spec: Spec, folder: Path, data_root: Path | None) -> None:
        self.spec, self._folder, self._root = spec, folder, data_root
        self._open: tuple[int | None, SharedTeacher] | None = None

    def of(self, images: int | None) -> SharedTeacher:
        """The teacher's targets for so many training images, which the study has made.

        Raises:
            HybridonnError: They are not there, or damaged, or the images cannot be read.
        """
        if self._open is None or self._open[0] != images:
            self._open = None  # before the next: both may not fit
            spec = limit_images(self.spec, images)
            inputs = pack_shared_teacher(spec, METHODS, self._root)
            self._open = images, open_shared_teacher(inputs, self._folder / name_images(images))[0]
        return self._open[1]


def study_regimes(
    spec: Spec,
    grid: Grid,
    seeds: int,
    tuning_seeds: int,
    folder: Path,
    data_root: Path | None = None,
    progress: Progress | None = None,
    workers: Workers = HERE,
) -> dict[str, Any]:
    """Map where KD and NTKD pay over training images and training budget.

    Interrupted and called again, it goes on where it was. The table keeps the students of all calls
    with the same spec, and the map the points that earlier calls finished: at points of this call
    their other discrepancies too, where these tried the same values.

    Args:
        spec: The design; ``data.train_images`` and the epochs are those of the grid.
        grid: What is tried.
        seeds: Seeds 0 to ``seeds - 1`` of each method at each point, with its best values.
        tuning_seeds: Seeds 0 to ``tuning_seeds - 1`` by whose validation score they are the best.
        folder: Where students, tables and figure go.
        data_root: Where named data sets lie.
        progress: Shows how far it is.
        workers: Who trains.

    Returns:
        What ``regimes.json`` holds, see :func:`hybridonn.studies.regimes_summary.summarise`.

    Raises:
        SpecError: There is no seed, or a value of the grid is not allowed.
        DataError: The data set has fewer training images.
        ArtefactError: The folder holds students of another spec.
    """
    refuse_count("--seeds", seeds)
    refuse_count("--tuning-seeds", tuning_seeds, seeds)
    progress = progress or Silent()
    whole = limit_images(spec, None)
    trials = list_trials(grid)
    for one in trials:
        one.state(whole)
    dataset = load_images(whole, METHODS, data_root, progress)
    counts = _count_images(whole, grid.images, data_root)
    with open_folder(folder, whole):
        rows = open_rows(folder, STUDY, describe_shared_teacher(whole, dataset, METHODS))
        write_text(folder / "spec.yaml", dump_spec(whole))
        for images in grid.images:
            _prepare(whole, images, folder, data_root, progress)
        shared = RegimeTeachers(whole, folder, data_root)

        def write() -> None:
            write_table(folder / "students.csv", [flatten_row(row) for row in rows.values.values()])

        work = Work(STUDY, OPEN, DO, pack_shared_teacher(whole, METHODS, data_root))

        def do(some: Sequence[Trial], count: int) -> None:
            runs = [_list_run(whole, one, seed) for one in some for seed in range(count)]
            map_runs(work, runs, rows, shared, progress, workers, write)

        do([one for one in trials if _is_tuned(one, trials)], tuning_seeds)
        best = choose_best(whole, trials, rows, tuning_seeds)
        do(best, seeds)
        task = make_task(whole.task)
        found = [rows.values[_key(whole, one, seed)] for one in best for seed in range(seeds)]
        fixed = list_fixed(whole.tuned, METHODS, grid.values)
        tried = state_tried(grid.values, tuning_seeds, fixed)
        asked = list_asked([one.place for one in best], counts)
        earlier = find_earlier(folder / "regimes.json", rows, asked, tried, progress.say)
        table = summarise([*found, *earlier.students], earlier.counts | counts, task.metric)
        for point in table["points"]:
            place = point["images"], point["epochs"]
            point["tried"] = tried if place in asked else earlier.tried[place]
        table["sentences"] += say_tried(table["points"])
        table |= {"design": whole.name, "label": task.label, "tuning_seeds": tuning_seeds}
        table["passes_per_epoch"] = whole.training.passes_per_epoch
        write_json(folder / "regimes.json", table)
        write_table(folder / "regimes.csv", tabulate(table))
        write_regimes(folder)
        write_study_report(folder)
    return table


def list_trials(grid: Grid) -> list[Trial]:
    """Every method at every point with every combination of the values that it has a use for.

    Raises:
        SpecError: The values vary what the points already do, or what no method has a use for.
    """
    if "epochs" in grid.values:
        raise SpecError("--grid epochs: the training budget is swept; give it with --epochs")
    refuse_unused(grid.values, (BASELINE, KD, NTKD))
    variants = [(BASELINE, ""), (KD, ""), *((NTKD, name) for name in grid.discrepancies)]
    return [
        Trial(images, epochs, method, discrepancy, values)
        for images in grid.images
        for epochs in grid.epochs
        for method, discrepancy in variants
        for values in combine(grid.values, method)
    ]


def choose_best(spec: Spec, trials: Sequence[Trial], rows: Rows, seeds: int) -> list[Trial]:
    """The trial of each method at each point with the highest mean validation score.

    Of equals the first; a method with one trial has nothing to choose.

    Args:
        spec: The spec of the study.
        trials: All trials.
        rows: What was measured.
        seeds: Seeds 0 to ``seeds - 1`` count.
    """
    best: dict[tuple[int | None, int, str], tuple[float, Trial]] = {}
    for one in trials:
        score = 0.0
        if _is_tuned(one, trials):
            found = [rows.values[_key(spec, one, seed)]["validation"] for seed in range(seeds)]
            score = round(fmean(found), DIGITS)
        if one.place not in best or score > best[one.place][0]:
            best[one.place] = score, one
    return [one for _, one in best.values()]


def open_regimes(inputs: dict[str, Any], folder: Path) -> Opened:
    """What a worker shares between students: the teachers' targets that the study has made."""
    spec, root = unpack_spec(inputs), unpack_root(inputs)
    dataset = load_images(spec, METHODS, root, Silent())
    settings = describe_shared_teacher(spec, dataset, METHODS)
    return RegimeTeachers(spec, folder, root), settings


def train_student(
    shared: RegimeTeachers, arguments: Mapping[str, Any], progress: Progress
) -> dict[str, Any]:
    """Train the student of a trial from a ``seed``: its row."""
    trial, seed = Trial(**arguments["trial"]), arguments["seed"]
    spec = trial.state(shared.spec).with_seed(seed)
    tuned, metric = spec.tuned.of(trial.method), make_task(spec.task).metric
    values = name_values(trial.method, tuned)
    name = "-".join(filter(None, [trial.discrepancy, values, str(seed)]))
    found = shared.of(trial.images).train(spec, name, progress).results
    kept = (metric, "alignment", "best_epoch", "seconds")
    return {
        "train_images": trial.images,
        "epochs": trial.epochs,
        "variant": trial.variant,
        "seed": seed,
        "validation": found[f"validation_{metric}"],
        **{key: found[key] for key in kept},
        "tuned": tuned.model_dump(exclude_none=True),
    }


def limit_images(spec: Spec, images: int | None) -> Spec:
    """The spec with so many training images; None: all."""
    tree = spec.model_dump()
    tree["data"]["train_images"] = images
    return validate(tree, f"{spec.name} with {name_images(images)}")


def name_images(images: int | None) -> str:
    """The folder of what belongs to a number of training images."""
    return f"images-{ALL if images is None else images}"


def _count_images(
    spec: Spec, stated: Sequence[int | None], data_root: Path | None
) -> dict[int | None, int]:
    """How many images each number of the grid stands for, before the first teacher is trained.

    Raises:
        SpecError: Two of them stand for the same images.
        DataError: The data set has fewer, or one is less than one image a class.
    """
    counts: dict[int | None, int] = {}
    for images in stated:
        dataset = load_images(limit_images(spec, images), METHODS, data_root, Silent())
        count = len(dataset.student_train)
        if count in counts.values():
            raise SpecError(
                f"--images: {count} and {ALL} are the same training images; leave one of them out"
            )
        counts[images] = count
    return counts


def _prepare(
    spec: Spec, images: int | None, folder: Path, data_root: Path | None, progress: Progress
) -> None:
    """Make the teacher and its targets for some images."""
    limited = limit_images(spec, images)
    dataset = load_images(limited, METHODS, data_root, progress)
    place = folder / name_images(images)
    place.mkdir(exist_ok=True)
    train_shared_teacher(limited, dataset, place, progress)


def _is_tuned(one: Trial, trials: Sequence[Trial]) -> bool:
    """Whether there are other values to choose from."""
    return sum(other.place == one.place for other in trials) > 1


def _key(spec: Spec, trial: Trial, seed: int) -> str:
    tuned = trial.state(spec).tuned.of(trial.method).model_dump(exclude_none=True)
    return name_row(seed, trial.images, trial.variant, tuned)


def _list_run(spec: Spec, trial: Trial, seed: int) -> Run:
    values = "".join(f", {key} {value}" for key, value in trial.values.items())
    images = ALL if trial.images is None else f"{trial.images:,}"
    epochs = f"{trial.epochs} epoch{'s' * (trial.epochs > 1)}"
    name = f"{trial.variant}{values}, {images} images, {epochs}, seed {seed}"
    arguments = {"trial": asdict(trial), "seed": seed}
    return Run(_key(spec, trial, seed), name, arguments, name_images(trial.images))
