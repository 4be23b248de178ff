"""The one way from a spec to a data set."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hybridonn.core.errors import DataError, SpecError
from hybridonn.core.memory import refuse_beyond_memory
from hybridonn.core.progress import Progress, Silent
from hybridonn.core.tables import resolve
from hybridonn.data.dataset import Dataset, UnsplitSet
from hybridonn.data.readers.arrays import ReadRequest
from hybridonn.data.readers.download import ROOT_VARIABLE, data_root
from hybridonn.data.readers.folders import find_unprintable, show_path
from hybridonn.data.readers.gather import gather
from hybridonn.data.readers.image_files import Target, resize
from hybridonn.data.readers.listing import Listing
from hybridonn.data.readers.sources import NAMED_SOURCES, Source
from hybridonn.data.readers.table import DATA_SETS, READER_CODE
from hybridonn.data.splits import split_set
from hybridonn.spec import Data
from hybridonn.tasks.task import Move, Task, make_task

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
        progress: Shows downloads, and images as they are decoded.
        sources: The sets that can be downloaded, by name.

    Raises:
        SpecError: ``variant`` is given for a set that has none.
        DataError: The set is missing, damaged, or too small for its split.
    """
    return split_set(load_unsplit(data, root, progress, sources), data, make_task(data.task))


def load_unsplit(
    data: Data,
    root: Path | None = None,
    progress: Progress = _SILENT,
    sources: Mapping[str, Source] = NAMED_SOURCES,
) -> UnsplitSet:
    """Read and verify the data set that a spec names, as its source divides it.

    Arguments and errors are those of :func:`load_dataset`.

    Raises:
        SpecError: ``variant`` is given for a set that has none.
        DataError: The set is missing or damaged.
    """
    if data.variant is not None and "variant" not in DATA_SETS[data.name].takes:
        takers = [name for name, named in DATA_SETS.items() if "variant" in named.takes]
        raise SpecError(
            f"data.variant is {data.variant} with data.name: {data.name}; "
            f"only name: {' or '.join(takers)} takes a variant"
        )
    _check_paths(data.folder, root)
    listing = list_set(data, root)
    if listing is not None:
        _check_names(listing.name, listing.classes)
        unsplit = gather(listing, data, progress)
    else:
        unsplit = _read(data, data_root(root), progress, sources)
        _check_names(unsplit.name, unsplit.classes)
        unsplit = _refit(unsplit, data)
    return _transpose(unsplit, make_task(data.task)) if data.transpose else unsplit


def _check_paths(*folders: Path | None) -> None:
    for folder in folders:
        if folder is not None and find_unprintable(str(folder)):
            raise DataError(
                f"the path of the folder {show_path(folder)} is not UTF-8, or holds control "
                "characters; rename it"
            )


def _check_names(name: str, classes: tuple[str, ...]) -> None:
    for kind, text in (("set", name), *(("class", label) for label in classes)):
        if not text or find_unprintable(text):
            shown = show_path(Path(text)) if text else ""
            raise DataError(
                f"the name of the {kind} '{shown}' is empty, not UTF-8, or holds control "
                "characters; rename it"
            )
    if len(set(classes)) < len(classes):
        twice = next(label for label in classes if classes.count(label) > 1)
        raise DataError(f"two classes of {name} are called {twice}; each needs a name of its own")


def list_set(data: Data, root: Path | None = None) -> Listing | None:
    """What a set of image files holds; None: the set is no set of image files.

    Raises:
        DataError: The set's folder is missing or cannot be read.
    """
    named = DATA_SETS[data.name]
    if not named.image_files:
        return None
    own_keys = {key: getattr(data, key) for key in named.takes}
    return resolve(READER_CODE, data.name)(_find_folder(data, data_root(root)), **own_keys)


def _find_folder(data: Data, root: Path) -> Path:
    if data.folder is not None:
        return data.folder.expanduser()
    names = (data.name, *DATA_SETS[data.name].other_names)
    for name in names:
        if (root / name).is_dir():
            return root / name
    raise DataError(
        f"{data.name} is not in {root}: looked for {' and '.join(names)}; it cannot be downloaded "
        f"without an account or a form, so get it from "
        f"{DATA_SETS[data.name].origin}, and name its folder by data.folder, or the "
        f"folder that holds it by --data-root or {ROOT_VARIABLE}"
    )


def _read(data: Data, root: Path, progress: Progress, sources: Mapping[str, Source]) -> UnsplitSet:
    folder = data.folder.expanduser() if data.folder else None
    request = ReadRequest(data.name, folder, data.variant, root, sources, progress)
    return resolve(READER_CODE, data.name)(request)


def _refit(unsplit: UnsplitSet, data: Data) -> UnsplitSet:
    """Bring a set that came as arrays to the size and colour that the spec asks for."""
    channels, *stored = unsplit.images.images.shape[1:]
    height, width = data.size_pixels or stored
    grey = channels == 1 if data.colour == "auto" else data.colour == "grey"
    target = Target(height, width, grey, data.resize)
    if [target.channels, height, width] == [channels, *stored]:
        return unsplit
    count = sum(len(part) for part in unsplit.parts().values())
    refuse_beyond_memory(
        count * target.channels * height * width,
        f"{count:,} images of {height} x {width} pixels",
        "lower data.size_pixels",
    )
    return unsplit.change(lambda images: _refit_images(images, target))


def _refit_images(images: Tensor, target: Target) -> Tensor:
    from PIL import Image

    fitted = np.empty((len(images), target.channels, target.height, target.width), np.uint8)
    for row, image in zip(fitted, images.permute(0, 2, 3, 1).numpy(), strict=True):
        picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
        array = np.asarray(
            resize(picture.convert("L" if target.grey else "RGB"), target, smooth=True)
        )
        row[:] = array if target.grey else array.transpose(2, 0, 1)
    return torch.from_numpy(fitted)


def _transpose(unsplit: UnsplitSet, task: Task) -> UnsplitSet:
    """Rows and columns exchanged, of labels too."""

    def exchange(maps: Tensor) -> Tensor:
        return maps.transpose(2, 3).contiguous()

    height, width = unsplit.images.images.shape[2:]
    move = Move(exchange, lambda points: points.flip(-1), (width, height))
    return unsplit.change(exchange, lambda labels: task.move_labels(labels, move))
