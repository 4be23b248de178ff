"""The design of a spec behind a plain lens, as a spec of its own."""

from __future__ import annotations

from pathlib import Path

from hybridonn.core.progress import Progress
from hybridonn.data import load_dataset
from hybridonn.pipeline.preflight import refuse_unread
from hybridonn.spec import Spec
from hybridonn.studies.optics_choice import LENS, state_all, state_optics


def state_lens(spec: Spec, data_root: Path | None, progress: Progress) -> Spec:
    """The spec of the same backend behind a plain lens, as ``compare --optics lens`` trains it.

    Args:
        spec: What the user states; the name of the new one is NAME-lens.
        data_root: Where named data sets lie.
        progress: Shows how far the reading of the data is, which tells the channels of the images.

    Raises:
        HybridonnError: The spec does not allow a lens, or the data are missing.
    """
    whole = state_all(spec, spec.distillation.method)
    refuse_unread(whole)
    channels = load_dataset(whole.data, data_root, progress).image_shape[0]
    behind = state_optics(whole, LENS, channels)
    return behind.model_copy(update={"name": f"{spec.name}-{LENS}"})
