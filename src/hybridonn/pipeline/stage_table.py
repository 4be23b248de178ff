"""The stages of a run, in their order."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hybridonn.core.progress import Progress
from hybridonn.data.dataset import Dataset
from hybridonn.pipeline.stage import Stage, complete
from hybridonn.pipeline.stage_folder import Finished
from hybridonn.pipeline.stages.alignment import ALIGNMENT
from hybridonn.pipeline.stages.compensated import COMPENSATED
from hybridonn.pipeline.stages.estimate import ESTIMATE
from hybridonn.pipeline.stages.fabricated import FABRICATED
from hybridonn.pipeline.stages.layout import LAYOUT
from hybridonn.pipeline.stages.mask_overlays import MASK_OVERLAYS
from hybridonn.pipeline.stages.metasurface import METASURFACE
from hybridonn.pipeline.stages.student import BASELINE_STUDENT, STUDENT
from hybridonn.pipeline.stages.teacher import TEACHER
from hybridonn.pipeline.stages.teacher_targets import TEACHER_TARGETS
from hybridonn.spec import Spec

# Each stands behind those that it needs.
STAGES = (
    LAYOUT,
    ESTIMATE,
    TEACHER,
    ALIGNMENT,
    TEACHER_TARGETS,
    STUDENT,
    BASELINE_STUDENT,
    METASURFACE,
    FABRICATED,
    COMPENSATED,
    MASK_OVERLAYS,
)


def make_stages(
    spec: Spec,
    dataset: Dataset,
    folder: Path,
    progress: Progress,
    stages: Sequence[Stage] = STAGES,
) -> dict[str, Finished]:
    """Make the stages that a spec wants complete, each reading what those before it wrote.

    Args:
        spec: What the user states.
        dataset: The images.
        folder: The run; each stage has a folder of its own in it.
        progress: Shows how far it is.
        stages: Which stages, in their order.

    Returns:
        The complete stages by name.

    Raises:
        HybridonnError: Something that the user can mend; earlier results stay.
    """
    done: dict[str, Finished] = {}
    for stage in stages:
        if stage.wanted(spec):
            place = folder / stage.name
            done[stage.name] = complete(stage, spec, dataset, done, place, progress)
    return done
