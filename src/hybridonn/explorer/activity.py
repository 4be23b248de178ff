"""Whether a command is at work in a folder, and how far it has come.

Nothing is locked to find out, so that looking never keeps a command from starting: Linux tells
which files are locked; on other systems a folder counts as active if something in it was written
in the last two minutes.
"""

from __future__ import annotations

import re
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hybridonn.core.errors import HybridonnError
from hybridonn.core.stage_record import RECORD, say_stage
from hybridonn.core.yaml_reading import read_yaml
from hybridonn.pipeline.run_folder import LOCK, SPEC
from hybridonn.reports.artefacts.numbers import is_count, is_number

LOCKS = Path("/proc/locks")
RECENT_S = 120.0
PART = re.compile(r"\.(?P<stage>[A-Za-z0-9_]+)\.part")
CHECKPOINT = "checkpoint.safetensors"
MOST_ROWS = 10_000  # epochs of a history that are shown


def find_locked() -> frozenset[int] | None:
    """Inodes of the files that some process has locked; None: the system does not tell."""
    try:
        lines = LOCKS.read_text("ascii").splitlines()
    except (OSError, ValueError):
        return None
    fields = (line.split() for line in lines if "->" not in line)
    return frozenset(int(one[5].rsplit(":", 1)[-1]) for one in fields if len(one) > 5)


def is_active(folder: Path, locked: frozenset[int] | None) -> bool:
    """Whether a command holds a folder.

    Args:
        folder: A run or a study.
        locked: What :func:`find_locked` gave.
    """
    try:
        if locked is not None:
            return (folder / LOCK).stat().st_ino in locked
        newest = max((one.stat().st_mtime for one in folder.glob(".*.part/*")), default=0.0)
    except OSError:
        return False
    return time.time() - newest < RECENT_S


def name_stage(folder: Path) -> str:
    """Which stage is unfinished, in words; of a study, how many of its runs are finished."""
    part = find_part(folder)
    if part is not None:
        return f"in the stage {say_stage(_name(part))}"
    if not (folder / "rows").is_dir():
        return "before its next stage"
    done = sum(1 for _ in (folder / "rows").glob("*/*.json"))
    return f"after {done:,} run{'s' * (done != 1)} of the study"


@dataclass(frozen=True)
class Progress:
    """How far a run has come.

    Attributes:
        done: Stages that are complete, with the seconds they took.
        stage: The stage under way; empty: none is.
        epoch: Epochs of its training that its last checkpoint holds; None: it trains nothing.
        epochs: Epochs that the spec asks for; None: not known.
        history: Rows of the training by epoch, numbers alone.
        rows: Finished rows of a study; None: it is no study.
    """

    done: dict[str, float]
    stage: str = ""
    epoch: int | None = None
    epochs: int | None = None
    history: tuple[dict[str, float], ...] = ()
    rows: int | None = None


def read_progress(folder: Path) -> Progress:
    """How far a run or a study has come, from its stages, its checkpoint and its rows.

    Args:
        folder: The run; what is missing or half written in it is left out.
    """
    done = {path.parent.name: _read_seconds(path) for path in sorted(folder.glob(f"*/{RECORD}"))}
    rows = None
    if (folder / "rows").is_dir():
        rows = sum(1 for _ in (folder / "rows").glob("*/*.json"))
    part = find_part(folder)
    if part is None:
        return Progress(done, rows=rows)
    history = _read_history(part / CHECKPOINT)
    epoch = len(history) if (part / CHECKPOINT).exists() else None
    epochs = _read_epochs(folder, _name(part))
    return Progress(done, _name(part), epoch, epochs, history, rows)


def find_part(folder: Path) -> Path | None:
    """The hidden folder of the stage that was worked on last."""
    with suppress(OSError):
        parts = [one for one in folder.iterdir() if PART.fullmatch(one.name) and one.is_dir()]
        return max(parts, key=lambda one: one.stat().st_mtime, default=None)
    return None


def _name(part: Path) -> str:
    found = PART.fullmatch(part.name)
    return found["stage"] if found else part.name


def _read_seconds(path: Path) -> float:
    import json

    with suppress(OSError, ValueError, RecursionError):
        tree = json.loads(path.read_bytes())
        seconds: Any = tree.get("seconds") if isinstance(tree, dict) else None
        return float(seconds) if is_number(seconds) else 0.0
    return 0.0


def _read_history(path: Path) -> tuple[dict[str, float], ...]:
    """Rows of the training that a checkpoint holds; its tensors are not read."""
    import json

    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            notes = json.loads((file.metadata() or {}).get("notes", "{}"))
        history = notes["state"]["history"][:MOST_ROWS]
        return tuple({k: float(v) for k, v in row.items() if is_number(v)} for row in history)
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, AttributeError):
        return ()


def _read_epochs(folder: Path, stage: str) -> int | None:
    """Epochs of a stage's training, as its run's spec states them."""
    try:
        tree: Any = read_yaml(folder / SPEC)
        training = (tree["teacher"] if stage == "teacher" else tree)["training"]
        epochs = training["epochs"]
    except (HybridonnError, KeyError, TypeError):
        return None
    return epochs if is_count(epochs) else None
