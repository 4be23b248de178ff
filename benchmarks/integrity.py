"""What checksums, fsync and checkpoints cost of a run's time.

Run ``python benchmarks/integrity.py [--set KEY.PATH=VALUE ...]``; set OMP_NUM_THREADS first. A run
of the digits is made in a new folder with a cache of its own, and then again, so that every stage
is kept.
"""

from __future__ import annotations

import argparse
import os
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hybridonn.core import files, stage_record
from hybridonn.distillation import checkpoint
from hybridonn.pipeline import stage_folder
from hybridonn.pipeline.run import run
from hybridonn.spec import read_spec

SECONDS: Counter[str] = Counter()
CALLS: Counter[str] = Counter()


def timed(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, whose time is added up."""

    def call(*arguments: Any, **keywords: Any) -> Any:
        began = time.perf_counter()
        try:
            return function(*arguments, **keywords)
        finally:
            SECONDS[name] += time.perf_counter() - began
            CALLS[name] += 1

    return call


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--set", action="append", default=[], metavar="KEY.PATH=VALUE")
    spec = read_spec(None, tuple(parser.parse_args().set))
    files.sync = stage_folder.sync = timed("fsync", files.sync)
    stage_folder.checksum = stage_record.checksum = timed("checksums", files.checksum)
    for name in ("save_checkpoint", "save_outcome"):
        setattr(checkpoint, name, timed("checkpoints, fsync included", getattr(checkpoint, name)))
    with TemporaryDirectory() as home:
        os.environ["HYBRIDONN_CACHE"] = f"{home}/cache"
        for what in ("made", "kept"):
            SECONDS.clear()
            CALLS.clear()
            began = time.perf_counter()
            run(spec, Path(home) / "run")
            whole = time.perf_counter() - began
            print(f"all stages {what}: {whole:.1f} s")
            for name, seconds in SECONDS.items():
                share = f"{100 * seconds / whole:.2f} %"
                print(f"  {name}: {CALLS[name]} times, {1000 * seconds:.1f} ms, {share}")


if __name__ == "__main__":
    main()
