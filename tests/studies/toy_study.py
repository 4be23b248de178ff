"""A study whose runs take no time, for the tests of the engine; workers import it by its name."""

import os
import signal
import time
from contextlib import contextmanager
from pathlib import Path

from hybridonn.core.errors import ArtefactError, TrainingError
from hybridonn.core.progress import Silent
from hybridonn.studies.engine import map_runs
from hybridonn.studies.rows import name_row, open_rows
from hybridonn.studies.runs import Run, Work
from hybridonn.studies.workers import HERE

WORK = {"open": "toy_study:open_toy", "do": "toy_study:do_toy"}


def open_toy(inputs, folder):
    note(folder, "opened")
    if inputs.get("missing"):
        raise ArtefactError("no data here")
    return folder, {"factor": inputs["factor"], **inputs.get("found", {})}


def do_toy(folder, arguments, progress):
    number = arguments["number"]
    note(folder, f"begun {number}")
    if arguments.get("seconds"):
        time.sleep(arguments["seconds"])
    match arguments.get("harm"):
        case "training":
            raise TrainingError("the loss is not finite")
        case "disk":
            raise ArtefactError("the disk is full")
        case "bug":
            raise KeyError("bug")
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "kill once":
            if not (folder / "killed").exists():
                (folder / "killed").touch()
                os.kill(os.getpid(), signal.SIGKILL)
        case "talk":
            print("what a library says")  # noqa: T201
    note(folder, f"done {number}")
    return {"square": number**2, "tenth": number / 10, "process": os.getpid()}


def note(folder, text):
    with (Path(folder) / "log.txt").open("a") as file:
        file.write(f"{os.getpid()} {text}\n")


def make_runs(count, **harms):
    """Runs 0 to N - 1; ``harm_3="disk"`` says what befalls run 3."""
    return [
        Run(name_row(k), f"run {k}", {"number": k, "harm": harms.get(f"harm_{k}")})
        for k in range(count)
    ]


class Watched(Silent):
    """A progress that remembers what it was told."""

    def __init__(self):
        self.said, self.bars, self.steps = [], [], []

    @contextmanager
    def bar(self, label, total, done=0):
        self.bars.append((label, total, done))
        yield lambda steps=1, note="": self.steps.append(note)

    def say(self, line):
        self.said.append(line)


def study(folder, runs, workers=HERE, settings=None, progress=None, changed=list, **inputs):
    folder.mkdir(exist_ok=True)
    rows = open_rows(folder, "toy", {"factor": 1} | (settings or {}))
    work = Work("toy", **WORK, inputs={"factor": 1} | inputs)
    map_runs(work, runs, rows, folder, progress or Silent(), workers, changed)
    return rows.values


def read_log(folder, what):
    lines = (folder / "log.txt").read_text().splitlines()
    return sorted(line.partition(" ")[2] for line in lines if line.split()[1] == what)


def squares(values):
    return {key: value["square"] for key, value in values.items()}


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)
