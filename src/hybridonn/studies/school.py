"""One teacher and its knowledge, from which many students learn."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hybridonn.data import load_dataset
from hybridonn.data.dataset import Dataset
from hybridonn.pipeline.early import refuse_networks, refuse_unread
from hybridonn.pipeline.knowledge import gather_knowledge
from hybridonn.pipeline.run import lay_out_stage
from hybridonn.pipeline.stage import Finished
from hybridonn.pipeline.student import distil
from hybridonn.pipeline.teacher import teach
from hybridonn.progress import Progress
from hybridonn.spec import Spec


@dataclass(frozen=True)
class School:
    """What all students of a study share, made once."""

    folder: Path
    dataset: Dataset
    teacher: Finished
    knowledge: Finished
    progress: Progress

    def train(self, spec: Spec, name: str) -> Finished:
        """Train one student under ``students/NAME``, or take the finished one."""
        folder = self.folder / "students" / name
        return distil(
            spec, self.dataset, self.teacher, self.knowledge, folder, self.progress, False
        )


def open_school(spec: Spec, folder: Path, data_root: Path | None, progress: Progress) -> School:
    """Check the layout, load the data, train the teacher once and store what it knows.

    The knowledge holds the tangent kernel whichever method the spec names, so
    that all methods of a study are served by the same file.
    """
    ntkd = spec.for_method("ntkd")
    lay_out_stage(spec, folder / "layout")
    refuse_unread(spec)
    dataset = load_dataset(spec.data, data_root, progress)
    refuse_networks(spec, dataset)
    teacher = teach(spec, dataset, folder / "teacher", progress)
    knowledge = gather_knowledge(ntkd, dataset, teacher, folder / "knowledge", progress)
    return School(folder, dataset, teacher, knowledge, progress)
