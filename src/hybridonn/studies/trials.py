"""Settings that were tried for a training: their table, the best, and where it lies in the grid."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from statistics import fmean
from typing import Any

from hybridonn.core.errors import SpecError
from hybridonn.core.yaml_writing import dump_yaml
from hybridonn.distillation.methods import AUTO, list_unused, rank_method
from hybridonn.spec import Method, Spec, Tuned
from hybridonn.studies.rows import name_row

DIGITS = 6  # of a mean score: a metric is float32, whose last digits would decide between equals


@dataclass(frozen=True)
class Setting:
    """One method with one combination of a grid's values.

    Attributes:
        method: Name of the method.
        values: Values of the grid, by key.
        tuned: All that differs from the spec's training: the values, and what the spec tuned
            before.
        spec: The spec with this setting in it.
    """

    method: Method
    values: dict[str, Any]
    tuned: Tuned
    spec: Spec

    def key(self, place: int) -> str:
        """The key of its row on one seed or chip."""
        return name_row(place, self.method, self.tuned.model_dump(exclude_none=True))


@dataclass(frozen=True)
class Trial:
    """The scores of one setting.

    Attributes:
        method: Name of the method.
        tuned: What differs from the spec's training, by key.
        scores: The validation score by seed or chip.
        seconds: Mean time of a training.
    """

    method: str
    tuned: dict[str, Any]
    scores: dict[int, float]
    seconds: float

    def covers(self, places: Iterable[int]) -> bool:
        """Whether it was tried on each of these seeds or chips."""
        return set(places) <= set(self.scores)

    def mean(self, places: Iterable[int]) -> float:
        """Mean score on these seeds or chips, rounded so that equals are equal."""
        return round(fmean(self.scores[place] for place in places), DIGITS)


def list_settings(
    methods: Sequence[Method],
    grid: Mapping[str, list[Any]],
    lay_over: Callable[[Method, dict[str, Any]], Setting],
) -> list[Setting]:
    """Every combination of a grid's values for each method, checked; equal ones once.

    A method takes the grid less the keys that it has no use for.

    Args:
        methods: What to tune.
        grid: Values to try by key of a spec's ``tuned``.
        lay_over: Makes and checks the setting of a method with some values.

    Raises:
        SpecError: No method has a use for a key, or a value is not allowed.
    """
    refuse_unused(grid, methods, "leave it out, or add a method that has")
    settings: dict[str, Setting] = {}
    for method in methods:
        for values in combine(grid, method):
            one = lay_over(method, values)
            settings.setdefault(one.key(0), one)
    return list(settings.values())


def refuse_unused(
    grid: Mapping[str, list[Any]], methods: Sequence[Method], cure: str = "leave it out"
) -> None:
    """Refuse a grid with a key that none of these methods has a use for.

    Args:
        grid: Values to try by key.
        methods: What tries them.
        cure: What to do, for the message.

    Raises:
        SpecError: There is one.
    """
    for key in grid:
        if all(key in list_unused(method) for method in methods):
            raise SpecError(
                f"--grid {key}: no method of {', '.join(methods)} has a use for it; {cure}"
            )


def combine(grid: Mapping[str, list[Any]], method: Method) -> list[dict[str, Any]]:
    """Every combination of a grid's values, less the keys that a method has no use for."""
    keys = [key for key in grid if key not in list_unused(method)]
    return [dict(zip(keys, values, strict=True)) for values in product(*(grid[k] for k in keys))]


def read_trials(values: Mapping[str, Any]) -> list[Trial]:
    """All settings that were ever tried, in the order of the methods and of their first row.

    Args:
        values: Rows of the study by key.
    """
    found: dict[str, tuple[str, dict[str, Any], dict[int, dict[str, float]]]] = {}
    for key, value in values.items():
        place, method, tuned = json.loads(key)
        one = found.setdefault(name_row(method, tuned), (method, tuned, {}))
        one[2][place] = value
    trials = [
        Trial(
            method,
            tuned,
            {place: rows[place]["validation"] for place in sorted(rows)},
            round(fmean(row["seconds"] for row in rows.values()), 2),
        )
        for method, tuned, rows in found.values()
    ]
    return sorted(trials, key=lambda one: rank_method(one.method))


def tabulate(trials: Sequence[Trial], place: str) -> list[dict[str, Any]]:
    """A row a setting: values, mean score, the score on each seed or chip, mean seconds.

    Args:
        trials: What was tried.
        place: Name of a place, ``seed`` or ``chip``.
    """
    return [
        {"method": one.method}
        | {key: one.tuned[key] for key in Tuned.model_fields if key in one.tuned}
        | {"validation": one.mean(one.scores)}
        | {f"{place}_{number}": score for number, score in one.scores.items()}
        | {"seconds": one.seconds}
        for one in trials
    ]


def choose_best(trials: Sequence[Trial], method: str, places: Sequence[int]) -> Trial:
    """The setting of a method with the highest mean score; of equals the first.

    Args:
        trials: All that were tried; those without a score on each place take no part.
        method: At least one setting of it has a score on each place.
        places: The seeds or chips that are compared.
    """
    own = [one for one in trials if one.method == method and one.covers(places)]
    return max(own, key=lambda one: one.mean(places))


def find_edges(trials: Sequence[Trial], best: Trial) -> list[str]:
    """Sentences about values of the best setting that are the lowest or highest that were tried.

    Beyond an edge there may be better ones. A key with one value was not tuned, and nothing lies
    below 0.

    Args:
        trials: All that were tried.
        best: The best of its method.
    """
    said = []
    for key, value in best.tuned.items():
        tried = {one.tuned[key] for one in trials if one.method == best.method and key in one.tuned}
        tried.discard(AUTO)
        if value == AUTO:  # it lies beside the numbers, at no end of theirs
            continue
        if len(tried) < 2 or min(tried) < value < max(tried) or value == min(tried) == 0:
            continue
        which, side = ("lowest", "lower") if value == min(tried) else ("highest", "higher")
        said.append(
            f"{best.method}: {key} {value:g} is the {which} value tried, at the edge of its grid; "
            f"try {side} ones"
        )
    return said


def choose_all(
    trials: Sequence[Trial], methods: Sequence[Method], places: Sequence[int], place: str
) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """The best setting of each method, and what there is to say of it.

    Args:
        trials: All that were tried.
        methods: What was asked for.
        places: The seeds or chips that are compared.
        place: Name of a place, ``seed`` or ``chip``.

    Returns:
        What differs from the spec's training by method, and sentences.
    """
    best = {method: choose_best(trials, method, places) for method in methods}
    said = [line for one in best.values() for line in find_edges(trials, one)]
    few = sum(one.method in best and not one.covers(places) for one in trials)
    if few:
        said.append(f"settings of the table that lack a {place} asked for, left out: {few}")
    return {method: one.tuned for method, one in best.items()}, said


def write_best(tree: dict[str, Any], said: Sequence[str]) -> str:
    """The best settings as a part of a spec, with what there is to say as comments above it."""
    return "".join(f"# {line}\n" for line in said) + dump_yaml(tree)
