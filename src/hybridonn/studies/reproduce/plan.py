"""What a reproduction will do, what it costs, and what it leaves out: known before any run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from hybridonn.data.readers.table import DATA_SETS
from hybridonn.spec import Spec, read_spec
from hybridonn.spec.examples import find_example
from hybridonn.studies.engine import say_time
from hybridonn.studies.reproduce.kinds import KINDS
from hybridonn.studies.reproduce.record import Part, Row, Size, Table


@dataclass(frozen=True)
class Planned:
    """A part with the size at which it is measured.

    Attributes:
        part: The part, on the paper's own data where these are there.
        size: How much of it is measured; None: nothing.
        why: What is left out, and why; empty: nothing is.
    """

    part: Part
    size: Size | None
    why: str = ""

    @property
    def rows(self) -> list[Row]:
        """The rows that are measured."""
        if self.size is None:
            return []
        chosen = self.size.rows
        return [row for row in self.part.rows if not chosen or row.key in chosen]

    @property
    def left_out(self) -> str:
        """What is not as in the whole measurement on the paper's own data; empty: all is."""
        smaller = "" if self.size is None else self.size.left_out
        return "; ".join(text for text in (self.why, smaller) if text)

    def read_spec(self) -> Spec:
        """The spec with the settings of the size laid over it."""
        settings = () if self.size is None else self.size.settings
        return read_packaged_spec(self.part.spec, settings)


@dataclass(frozen=True)
class Estimate:
    """What a reproduction costs.

    Attributes:
        runs: Number of its runs.
        before_s: Seconds of teachers, their targets and finished runs, of one core.
        longest_s: The longest of these, which workers cannot share.
        runs_s: Seconds of all runs, of one core.
    """

    runs: int
    before_s: float
    longest_s: float
    runs_s: float

    def take(self, workers: int = 1) -> float:
        """Seconds that it takes so many workers, of one core each."""
        return max(self.longest_s, self.before_s / workers) + self.runs_s / workers


def read_packaged_spec(name: str, settings: Sequence[str] = ()) -> Spec:
    """A spec of this package: one of its own, or an example.

    Args:
        name: Name of its file.
        settings: Settings over it, ``key.path=value``.

    Raises:
        SpecError: There is none of this name, or a setting is not allowed.
    """
    own = Path(str(files("hybridonn.studies.reproduce") / "specs" / f"{name}.yaml"))
    return read_spec(own if own.is_file() else find_example(name), tuple(settings))


def make_plan(
    tables: Iterable[Table], quick: bool, data_root: Path | None
) -> dict[str, list[Planned]]:
    """What is measured of each table.

    Args:
        tables: The tables.
        quick: Whether the quick sizes are taken.
        data_root: Where named data sets lie.

    Returns:
        Planned parts by name of the table.
    """
    return {one.name: [_plan(part, quick, data_root) for part in one.parts] for one in tables}


def estimate_cost(plan: Mapping[str, list[Planned]]) -> Estimate:
    """What a plan costs; parts and teachers that several tables name count once.

    Args:
        plan: From :func:`make_plan`.
    """
    before: dict[str, float] = {}
    runs: dict[tuple[str, str], tuple[int, float]] = {}  # number and time by part and row
    for one in list_measured(plan):
        assert one.size is not None
        before |= one.size.cost.before_s
        for row, count in KINDS[one.part.study].count_runs(one.rows, one.size).items():
            key, seconds = (one.part.name, row), count * _time_run(one.size, row)
            runs[key] = max(runs.get(key, (0, 0.0)), (count, seconds))
    return Estimate(
        sum(count for count, _ in runs.values()),
        sum(before.values()),
        max(before.values(), default=0.0),
        sum(seconds for _, seconds in runs.values()),
    )


def say_cost(plan: Mapping[str, list[Planned]], workers: int) -> list[str]:
    """What a plan costs, and what it leaves out, a sentence each.

    Args:
        plan: From :func:`make_plan`.
        workers: Number of workers that share the runs.
    """
    cost = estimate_cost(plan)
    times = f"about {say_time(cost.take())} of one core"
    if workers > 1:
        times += f", about {say_time(cost.take(workers))} with {workers} workers"
    said = [
        f"{cost.runs} runs: {times} (teachers and their targets {say_time(cost.before_s)}, runs "
        f"{say_time(cost.runs_s)}; estimated from measurements on one machine; what is finished is "
        "not done again)"
    ]
    for name, parts in plan.items():
        said += [
            f"{name}, {one.part.system}: left out or smaller: {one.left_out}"
            for one in parts
            if one.left_out
        ]
    return said


def list_measured(plan: Mapping[str, list[Planned]]) -> list[Planned]:
    """Parts that are measured; one that several tables name appears as often.

    Args:
        plan: From :func:`make_plan`.
    """
    return [one for parts in plan.values() for one in parts if one.size is not None]


def _time_run(size: Size, row: str) -> float:
    seconds = size.cost.run_s
    return seconds if isinstance(seconds, int | float) else seconds[row]


def _plan(part: Part, quick: bool, data_root: Path | None) -> Planned:
    original = part.instead
    if original is not None and not quick and _has_data(part.original, data_root):
        return Planned(original, original.full)
    why = ""
    if part.data and part.original:
        where = f"{data_root or 'DATA'}/{part.original}"
        taken = "--quick takes the stand-in" if quick else f"the original is not in {where}"
        why = f"{part.data}: {taken}"
    if quick and part.quick is None:
        return Planned(part, None, f"all of it: --quick has no time for it{why and f'; {why}'}")
    return Planned(part, part.quick if quick else part.full, why)


def _has_data(name: str, data_root: Path | None) -> bool:
    """Whether a data set lies in the data root."""
    if data_root is None:
        return False
    return any((data_root / folder).is_dir() for folder in (name, *DATA_SETS[name].other_names))
