"""What all rows of a study depend on, as plain data: two calls with the same may share a table."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from hybridonn.data.dataset import Dataset
from hybridonn.pipeline.fingerprint import describe
from hybridonn.pipeline.stage import Stage
from hybridonn.pipeline.stage_folder import Finished
from hybridonn.reports.formats import flatten
from hybridonn.spec import Section, Spec


def describe_settings(
    stages: Sequence[Stage],
    spec: Spec,
    dataset: Dataset,
    varied: Collection[str] = (),
    done: Mapping[str, Finished] | None = None,
) -> dict[str, Any]:
    """The keys of the spec that some stages read, the images, and stages that were done before.

    Args:
        stages: What a row is made by; of a key that several read, the last one's value counts.
        spec: What the user states.
        dataset: The images.
        varied: Keys and sections of the spec that differ from row to row, and so belong to the
            rows' own keys.
        done: Finished stages that a row is made from, by name.

    Returns:
        Values by dotted key.
    """
    tree: dict[str, Any] = {}
    for stage in stages:
        tree |= describe_section(stage.inputs(spec))
    kept = {key: value for key, value in tree.items() if not _lies_in(key, varied)}
    marks = {f"stage {name}": found.fingerprint for name, found in (done or {}).items()}
    return {"images": dataset.checksum} | marks | kept


def describe_section(section: Section) -> dict[str, Any]:
    """The values of a section by dotted key; files that it names count with their content."""
    return dict(flatten(describe(section, "spec")))


def _lies_in(key: str, varied: Collection[str]) -> bool:
    return any(key == one or key.startswith(f"{one}.") for one in varied)
