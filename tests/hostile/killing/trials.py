"""Disturbs a command, runs it again to its end, and looks at what it ends with."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from random import Random

from killing.commands import KILLED, Ended, execute
from killing.events import Full, Kill
from killing.outcome import compare, take_stock
from killing.scenarios import Scenario

EARLY = 12  # the second kill comes within so many events: while the first one is being mended


@dataclass(frozen=True)
class Reference:
    """What a command that nobody kills does.

    Attributes:
        events: Number of its file events.
        stock: What it leaves.
    """

    events: int
    stock: dict[str, str]


@dataclass(frozen=True)
class Trial:
    """What came of a command that was disturbed and run again.

    Attributes:
        disturbances: Where it was killed, in order, or met a full disk.
        faults: What was wrong; empty: nothing.
    """

    disturbances: tuple[Kill | Full, ...]
    faults: tuple[str, ...]


def run_undisturbed(scenario: Scenario, home: Path) -> Reference:
    """Run a command to its end."""
    home.mkdir(parents=True)
    scenario.prepare(home)
    ended = execute(home, scenario.command)
    if ended.status:
        raise RuntimeError(f"{scenario.name} failed though nobody killed it:\n{ended.said}")
    reference = Reference(ended.events, take_stock(home))
    shutil.rmtree(home)
    return reference


def plan(events: int, kills: int, seed: str) -> list[tuple[Kill, ...]]:
    """Where to kill: the first kills lie evenly over all events, every second one has a sequel."""
    dice, firsts = Random(seed), max(1, round(kills * 2 / 3))
    places = [1 + (2 * number + 1) * events // (2 * firsts) for number in range(firsts)]
    plans = [[Kill(min(place, events), torn=dice.random() < 0.5)] for place in places]
    for number in range(kills - firsts):
        plans[2 * number % firsts].append(Kill(dice.randint(1, EARLY), torn=dice.random() < 0.5))
    return [tuple(each) for each in plans]


def plan_full_disks(events: int, count: int) -> list[tuple[Full, ...]]:
    """From which events on the disk is full, evenly over all of them."""
    return [(Full(1 + (2 * number + 1) * events // (2 * count)),) for number in range(count)]


def disturb(
    scenario: Scenario,
    reference: Reference,
    disturbances: tuple[Kill | Full, ...],
    home: Path,
) -> Trial:
    """Disturb a command at each place in turn, run it to its end and compare."""
    home.mkdir(parents=True)
    scenario.prepare(home)
    met: list[Kill | Full] = []
    faults: list[str] = []
    for each in disturbances:
        ended = execute(home, scenario.command, each)
        if ended.status == 0:  # it had less to do than the place says
            break
        met.append(each)
        faults += _judge_end(ended, each)
    faults += _judge(execute(home, scenario.command), reference, home)
    if not faults:
        shutil.rmtree(home)
    return Trial(tuple(met), tuple(faults))


def _judge_end(ended: Ended, disturbance: Kill | Full) -> list[str]:
    """A killed command says nothing; one whose disk is full ends with a sentence."""
    if isinstance(disturbance, Kill):
        wanted = ended.status == KILLED
    else:
        wanted = ended.status == 1 and "error: " in ended.said and "Traceback" not in ended.said
    return [] if wanted else [f"it ended with status {ended.status}: {ended.said[-500:]}"]


def _judge(ended: Ended, reference: Reference, home: Path) -> list[str]:
    if ended.status:
        return [f"run again, it ended with status {ended.status}: {ended.said[-500:]}"]
    differences = compare(take_stock(home), reference.stock)
    return [f"{kind}: {', '.join(names[:5])}" for kind, names in differences.items() if names]
