"""Parts that need a finished run: simulated chips of its student, and figures of its report."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from hybridonn.reports.formats import look_up
from hybridonn.spec import Compensation, Spec
from hybridonn.studies.reproduce.found import Call, Found, Measured
from hybridonn.studies.reproduce.record import Part, Row, Size


def measure_chips(part: Part, size: Size, rows: list[Row], spec: Spec, call: Call) -> Found:
    """Make simulated chips of the student of a run and compensate each.

    The run has the folder that the part's option ``run`` names, beside that of the part; the
    option ``compensation`` states how accuracy is won back.
    """
    from hybridonn.pipeline.stage_folder import read_stage
    from hybridonn.studies.tolerance import tolerate

    run, _ = make_run(part, spec, call)
    stated = Compensation.model_validate(dict(part.options["compensation"]))
    own = spec.model_copy(update={"compensation": stated})
    found = tolerate(
        own,
        run,
        size.trials,
        0.5,
        call.folder,
        call.data_root,
        call.progress,
        call.workers,
        alone=False,
    )
    folders = (call.folder / "chips" / f"{chip:03d}" for chip in range(size.trials))
    seconds = float(np.mean([read_stage(folder).seconds for folder in folders]))
    values = {row.key: tuple(chip[row.key] for chip in found["chips"]) for row in rows}
    return Found(
        {key: Measured(some, seconds) for key, some in values.items()},
        _compare(values, {row.key: row.label for row in rows}),
    )


def _compare(values: dict[str, tuple[float, ...]], labels: dict[str, str]) -> list[str]:
    """Each row against the one above it, in pairs of chips."""
    from hybridonn.studies.compare import paired_difference, say_difference

    return [
        say_difference(
            {"method": after, "baseline": before}
            | paired_difference(dict(enumerate(values[after])), dict(enumerate(values[before]))),
            labels.__getitem__,
        )
        for before, after in pairwise(values)
    ]


def show_run(part: Part, size: Size, rows: list[Row], spec: Spec, call: Call) -> Found:
    """Figures and numbers of the report of a run.

    The option ``figures`` gives captions by name of the figure; keys of the rows are those of
    ``results.json``.
    """
    run, results = make_run(part, spec, call)
    with np.load(run / "student" / "predictions.npz") as stored:
        images = len(stored["labels"])
    found = {row.key: Measured((look_up(results, row.key),), images=images) for row in rows}
    captions = part.options["figures"]
    figures = [
        (run / "figures" / f"{name}.png", f"{part.system}: {caption}")
        for name, caption in captions.items()
    ]
    return Found(found, figures=figures)


def make_run(part: Part, spec: Spec, call: Call) -> tuple[Path, dict[str, Any]]:
    """The folder of the finished run that the parts of a system share, and its numbers."""
    from hybridonn.pipeline.run import run

    folder = call.folder.parent / part.shared_folder
    return folder, run(spec, folder, call.data_root, call.progress)
