"""The commands that are killed, each in a folder of its own, with what it finds there."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from contextlib import chdir, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from unittest.mock import patch

from fuzzing.readers_runs import CHIP, without_drawing
from fuzzing.readers_runs import TINY as SMALL

from killing.commands import execute, type_in

TINY = (*SMALL, "training.epochs=2", "teacher.training.epochs=2")

PICTURES = """
name: pictures
data: {name: image_folder, folder: pictures}
"""


@dataclass(frozen=True)
class Scenario:
    """A command that writes files.

    Attributes:
        name: Of the scenario.
        share: Of all kills.
        prepare: Puts what the command needs into its folder.
        command: What is killed and run again.
    """

    name: str
    share: float
    prepare: Callable[[Path], None]
    command: Callable[[], object]


def list_scenarios(scratch: Path) -> list[Scenario]:
    """The scenarios, in order; what several need is made once, in ``scratch``."""
    digits = type_in("run", "--out", "run", *set_all(TINY))
    chip = type_in("run", "--out", "run", *set_all(TINY + CHIP))
    done = scratch / "done"

    def with_library(home: Path) -> None:
        _copy(_make(scratch / "library", build_library) / "cache", home / "cache")

    def with_cache(home: Path) -> None:
        _copy(_make(done, digits, with_library) / "cache", home / "cache")

    def with_chip(home: Path) -> None:
        _copy(_make(scratch / "chip", chip, with_cache), home)

    export = type_in("export-layout", "run")
    return [
        Scenario("digits", 0.4, with_library, digits),
        Scenario("chip", 0.36, with_cache, chip),
        Scenario("digits from the cache", 0.08, with_cache, digits),
        Scenario("layout file", 0.04, with_chip, export),
        Scenario(
            "decoded pictures", 0.08, draw_pictures, type_in("data", "check", "pictures.yaml")
        ),
        Scenario("compiled library", 0.04, lambda home: None, build_library),
    ]


def warm_up(scratch: Path) -> None:
    """Run a small command in this process, so that what it imports late is there in every fork."""
    import hybridonn.pipeline.layout_file  # noqa: F401

    home = scratch / "warm"
    draw_pictures(home)
    words, environment = sys.argv[:], {"HYBRIDONN_CACHE": str(home / "cache")}
    commands = type_in("run", *set_all(TINY)), type_in("data", "check", "pictures.yaml")
    with patch.dict(os.environ, environment), chdir(home), redirect_stdout(StringIO()):
        for command in commands:
            with without_drawing(), redirect_stderr(StringIO()), suppress(SystemExit):
                command()
    sys.argv[:] = words


def build_library() -> None:
    """Compile the tangent kernels into the cache; where that fails, torch does without."""
    import torch

    from hybridonn.tangent.empirical.compiled.library import library

    library.cache_clear()
    library(torch.float64)


def draw_pictures(home: Path) -> None:
    """A folder of small pictures of two classes, and a spec that names it."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        folder = home / "pictures" / name
        folder.mkdir(parents=True)
        for number in range(8):
            pixels = rng.integers(0, 256, (8, 8)).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"{number}.png")
    (home / "pictures.yaml").write_text(PICTURES)


def set_all(settings: tuple[str, ...]) -> list[str]:
    """The words of a command that state settings."""
    return [word for setting in settings for word in ("--set", setting)]


def _make(
    home: Path, command: Callable[[], object], prepare: Callable[[Path], None] | None = None
) -> Path:
    """A folder in which a command has run to its end."""
    if not home.exists():
        home.mkdir(parents=True)
        if prepare:
            prepare(home)
        ended = execute(home, command)
        if ended.status:
            raise RuntimeError(f"a command that nobody killed failed:\n{ended.said}")
    return home


def _copy(source: Path, target: Path) -> None:
    shutil.copytree(source, target, dirs_exist_ok=True)
