"""The one way from a spec to a data set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from hybridonn.data.dataset import Dataset, ImageSet, UnsplitSet
from hybridonn.data.digits import read_digits
from hybridonn.data.download import data_root, fetch
from hybridonn.data.idx_folder import IdxFiles, read_idx_files, read_idx_folder
from hybridonn.data.sources import NAMED_SOURCES, Source
from hybridonn.data.splits import split_set
from hybridonn.errors import SpecError
from hybridonn.progress import Progress, Silent
from hybridonn.spec import Data

_SILENT = Silent()


def load_dataset(
    data: Data,
    root: Path | None = None,
    progress: Progress = _SILENT,
    sources: Mapping[str, Source] = NAMED_SOURCES,
) -> Dataset:
    """Read, verify and split the data set that a spec names.

    Args:
        data: The set and how to split it.
        root: The folder of the named sets; see :func:`hybridonn.data.data_root`.
        progress: Shows downloads.
        sources: The sets that can be downloaded, by name.

    Raises:
        SpecError: ``variant`` is given for a set that has none.
        DataError: The set is missing, damaged, or too small for its split.
    """
    if data.variant is not None and data.name != "idx":
        raise SpecError(
            f"data.variant is {data.variant} with data.name: {data.name}; "
            "only name: idx takes a variant"
        )
    unsplit = _read(data, root, progress, sources)
    return split_set(_transpose(unsplit) if data.transpose else unsplit, data)


def _read(
    data: Data, root: Path | None, progress: Progress, sources: Mapping[str, Source]
) -> UnsplitSet:
    if data.name == "digits":
        return read_digits()
    if data.folder is not None:
        return read_idx_folder(data.folder.expanduser(), data.variant)
    paths = fetch(sources[data.name], data_root(root), progress)
    return read_idx_files(IdxFiles(*paths), data.name)


def _transpose(unsplit: UnsplitSet) -> UnsplitSet:
    test = unsplit.test and _transpose_images(unsplit.test)
    return replace(unsplit, images=_transpose_images(unsplit.images), test=test)


def _transpose_images(part: ImageSet) -> ImageSet:
    return ImageSet(part.images.transpose(2, 3).contiguous(), part.labels)
