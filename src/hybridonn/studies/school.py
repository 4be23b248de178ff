"""One teacher and its knowledge, from which many students learn."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hybridonn.data import load_dataset
from hybridonn.data.dataset import Dataset
from hybridonn.pipeline.alignment import ALIGNMENT
from hybridonn.pipeline.early import refuse_augmentation, refuse_networks, refuse_unread
from hybridonn.pipeline.knowledge import KNOWLEDGE
from hybridonn.pipeline.layout import LAYOUT
from hybridonn.pipeline.stage import complete
from hybridonn.pipeline.stage_folder import Finished
from hybridonn.pipeline.stages import make_stages
from hybridonn.pipeline.student import PLAIN_STUDENT
from hybridonn.pipeline.teacher import TEACHER
from hybridonn.progress import Progress
from hybridonn.spec import Spec


@dataclass(frozen=True)
class School:
    """What all students of a study share, made once."""

    folder: Path
    dataset: Dataset
    done: dict[str, Finished]
    progress: Progress

    @property
    def teacher(self) -> Finished:
        """The finished stage ``teacher``."""
        return self.done[TEACHER.name]

    def train(self, spec: Spec, name: str) -> Finished:
        """Train one student under ``students/NAME``, or take the finished one."""
        folder = self.folder / "students" / name
        return complete(PLAIN_STUDENT, spec, self.dataset, self.done, folder, self.progress)


def open_school(spec: Spec, folder: Path, data_root: Path | None, progress: Progress) -> School:
    """Check the layout, load the data, train the teacher once and store what it knows.

    The knowledge holds the tangent kernel whichever method the spec names, so
    that all methods of a study are served by the same file.
    """
    refuse_unread(spec)
    dataset = load_dataset(spec.data, data_root, progress)
    refuse_augmentation(spec, dataset.image_shape)
    refuse_networks(spec, dataset)
    shared = (LAYOUT, TEACHER, ALIGNMENT, KNOWLEDGE)
    done = make_stages(spec.for_method("ntkd"), dataset, folder, progress, shared)
    return School(folder, dataset, done, progress)
