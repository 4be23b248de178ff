"""Each method's own training, found by its validation score."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from statistics import fmean
from typing import Any

from hybridonn.core.yaml_writing import dump_yaml
from hybridonn.distillation.tasks import TASKS
from hybridonn.errors import SpecError
from hybridonn.files import write_table, write_text
from hybridonn.pipeline.folder import open_folder
from hybridonn.progress import Progress, Silent
from hybridonn.spec import Method, Spec, dump_spec, validate
from hybridonn.studies.school import School, open_school

# What a method without distillation has no use for.
IDLE: dict[str, tuple[str, ...]] = {
    "none": ("temperature", "kd_weight", "ntk_weight"),
    "kd": ("ntk_weight",),
    "ntkd": (),
}


def tune(
    spec: Spec,
    methods: tuple[Method, ...],
    grid: dict[str, list[Any]],
    seeds: int,
    folder: Path,
    data_root: Path | None = None,
    progress: Progress | None = None,
) -> str:
    """Try every combination of a grid for each method and keep the best.

    The best has the highest mean validation score; the test images are not
    looked at. Every method gets the same grid (less the keys that it has no
    use for) and the same seeds.

    Args:
        spec: The design.
        methods: What to tune.
        grid: Values to try, by key of the spec's ``tuned``.
        seeds: Seeds 0 to ``seeds - 1`` for each combination.
        folder: Where students and ``tuning.csv`` go.
        data_root: Where named data sets lie.
        progress: Shows how far it is.

    Returns:
        The best as YAML, ready for a spec.

    Raises:
        SpecError: There is no seed, or a value is not allowed.
    """
    if seeds < 1:
        raise SpecError(f"--seeds {seeds}: allowed is 1 or more")
    progress = progress or Silent()
    with open_folder(folder, spec):
        write_text(folder / "spec.yaml", dump_spec(spec))
        school = open_school(spec, folder, data_root, progress)
        rows: list[dict[str, Any]] = []
        for method in methods:
            for values in combine(grid, method):
                rows.append(_try(spec, method, values, seeds, school))
                write_table(folder / "tuning.csv", rows)
        best = {method: best_of(rows, method, grid) for method in methods}
        text = dump_yaml({"tuned": best})
        write_text(folder / "tuned.yaml", text)
    return text


def combine(grid: dict[str, list[Any]], method: Method) -> list[dict[str, Any]]:
    """Every combination of a grid's values, less the keys that a method has no use for."""
    keys = [key for key in grid if key not in IDLE[method]]
    return [dict(zip(keys, values, strict=True)) for values in product(*(grid[k] for k in keys))]


def _try(
    spec: Spec, method: Method, values: dict[str, Any], seeds: int, school: School
) -> dict[str, Any]:
    tree = spec.model_dump(mode="json")
    tree["tuned"][method] |= values
    tried = validate(tree, "--grid").for_method(method)
    name = "-".join([method, *(f"{key}={value}" for key, value in values.items())])
    students = [school.train(tried.with_seed(k), f"{name}-{k}").results for k in range(seeds)]
    scores = [student[f"validation_{TASKS[spec.task].metric}"] for student in students]
    seconds = fmean(student["seconds"] for student in students)
    return {"method": method, **values, "validation": fmean(scores), "seconds": seconds}


def best_of(
    rows: list[dict[str, Any]], method: Method, grid: dict[str, list[Any]]
) -> dict[str, Any]:
    """The values of a method's row with the highest ``validation``; of equals the first.

    Args:
        rows: A setting each: ``method``, values by key of the grid, ``validation``.
        method: At least one row is of it.
        grid: The keys that are values.
    """
    best = max((row for row in rows if row["method"] == method), key=lambda row: row["validation"])
    return {key: best[key] for key in grid if key in best}
