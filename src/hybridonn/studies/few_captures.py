"""Too few captures are refused before any chip is made."""

from __future__ import annotations

from hybridonn.compensation.capture_sampling import count_captures
from hybridonn.compensation.settings import stated_compensation
from hybridonn.pipeline.compensate import Trained
from hybridonn.spec import Spec


def refuse_few_captures(spec: Spec, trained: Trained) -> None:
    """Refuse a fraction of captures that is not one image of each class.

    Args:
        spec: A spec with ``compensation``.
        trained: The run, for its images.

    Raises:
        SpecError: The fraction is too small.
    """
    fraction, dataset = stated_compensation(spec).fraction, trained.dataset
    covered = dataset.task.cover(dataset.student_train.labels, dataset.classes)
    count_captures(fraction, covered)
