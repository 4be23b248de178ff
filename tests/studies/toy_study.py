"""A study whose runs take no time, for the tests of the engine; workers import it by its name."""

import os
import signal
import time
from pathlib import Path

from hybridonn.core.errors import ArtefactError, TrainingError

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
