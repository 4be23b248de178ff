"""The command ``hybridonn train-teacher``: a teacher alone, by one process or by several."""

from __future__ import annotations

import os

from hybridonn.cli.options import (
    DataRoot,
    Out,
    Replace,
    Settings,
    SpecFile,
    state_run,
)
from hybridonn.cli.output import say
from hybridonn.cli.screen import print_table, show_bars


def train_teacher(
    spec: SpecFile = None,
    out: Out = None,
    settings: Settings = None,
    data_root: DataRoot = None,
    replace: Replace = False,
) -> None:
    """Train the teacher alone; by several processes, behind ``torchrun -m``.

    A later run of the same teacher takes it. ``torchrun --nproc-per-node 4 -m hybridonn
    train-teacher SPEC`` trains with four processes, each with a quarter of every batch.
    """
    stated, folder = state_run(spec, settings, out)
    from hybridonn.pipeline.shared_training import train_teacher as train

    if os.environ.get("RANK", "0") != "0":  # process 0 speaks for all
        train(stated, folder, data_root)
        return
    with show_bars() as progress:
        results = train(stated, folder, data_root, progress, replace)
    print_table(stated.name, results)
    say(folder / "teacher" / "weights.safetensors")
