"""The commands of studies as calls of Python: the same names, the same defaults."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hybridonn.core.progress import Progress, Silent
from hybridonn.spec import Spec

_SILENT = Silent()


def compare(
    spec: Spec,
    folder: str | Path,
    *,
    methods: str | None = None,
    optics: str | None = None,
    seeds: int = 5,
    data_root: str | Path | None = None,
    progress: Progress = _SILENT,
) -> dict[str, Any]:
    """Train a design by several methods, or behind several optics, as ``hybridonn compare`` does.

    All students are trained in this process, on the same seeds.

    Args:
        spec: The design.
        folder: Where students, tables and figure go.
        methods: Methods, separated by commas; None: none,kd,ntkd.
        optics: Optics in place of methods: lens, designed, ideal, none, separated by commas.
        seeds: Number N of seeds, 0 to N - 1.
        data_root: Folder that holds the data sets.
        progress: Shows how far it is.

    Returns:
        Values, means with 95 % intervals, paired differences and sentences.

    Raises:
        SpecError: There is no seed, or a method or optics does not fit the spec.
        ArtefactError: The folder holds students of another spec.
    """
    from hybridonn.studies.compare import compare as compare_methods
    from hybridonn.studies.compare_optics import compare_optics
    from hybridonn.studies.methods import choose_compared

    names, _ = choose_compared(methods, optics)
    study = compare_methods if optics is None else compare_optics
    root = None if data_root is None else Path(data_root)
    return study(spec, names, seeds, Path(folder), root, progress)
