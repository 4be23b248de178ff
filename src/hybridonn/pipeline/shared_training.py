"""A teacher that several processes train together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hybridonn.core.progress import Progress, Silent
from hybridonn.data import load_dataset
from hybridonn.data.dataset import Dataset
from hybridonn.distillation.parallel import Team, join
from hybridonn.pipeline.preflight import refuse_early, refuse_unread
from hybridonn.pipeline.run_folder import add_results, open_folder
from hybridonn.pipeline.stage import complete
from hybridonn.pipeline.stages.teacher import TEACHER, call_others, help_training
from hybridonn.spec import Spec


def train_teacher(
    spec: Spec,
    folder: Path,
    data_root: Path | None = None,
    progress: Progress | None = None,
    replace: bool = False,
) -> dict[str, Any]:
    """Train the teacher of a spec into a run folder, with all processes that torchrun has started.

    A run, or a study, of the same teacher takes it from the folder or from the cache. Interrupted
    and called again, it goes on from its checkpoint, with any number of processes.

    Args:
        spec: What the user states.
        folder: The run folder, on a disk that all processes share.
        data_root: Where named data sets lie.
        progress: Shows how far it is, in process 0.
        replace: Let the folder of a spec of another name be replaced.

    Returns:
        The numbers of the teacher; empty but in process 0.

    Raises:
        HybridonnError: Something that the user can mend; the checkpoint stays.
    """
    progress = progress or Silent()
    with join() as team:
        refuse_unread(spec)
        dataset = load_dataset(spec.data, data_root, Silent() if team.rank else progress)
        if team.rank:
            help_training(spec, dataset, folder / TEACHER.name)
            return {}
        with open_folder(folder, spec, replace):
            refuse_early(spec, dataset)
            return _lead(spec, dataset, folder, progress, team)


def _lead(
    spec: Spec, dataset: Dataset, folder: Path, progress: Progress, team: Team
) -> dict[str, Any]:
    """Make the stage, and let the others go when it is complete."""
    found = complete(TEACHER, spec, dataset, {}, folder / TEACHER.name, progress)
    if team.shared:
        call_others(False)
    results = {TEACHER.name: found.results}
    add_results(folder, results)
    return results
