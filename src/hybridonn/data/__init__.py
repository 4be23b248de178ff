"""Data sets by name or by folder.

The names are imported when they are first used, so that the table of the named sets can be read
without torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hybridonn.core.tables import resolve

if TYPE_CHECKING:
    from hybridonn.data.batches import augment, augment_pair, load_batch, to_scene
    from hybridonn.data.dataset import Dataset, ImageSet
    from hybridonn.data.load import load_dataset
    from hybridonn.data.readers.download import data_root

__all__ = [
    "Dataset",
    "ImageSet",
    "augment",
    "augment_pair",
    "data_root",
    "load_batch",
    "load_dataset",
    "to_scene",
]
_PLACES = {
    "Dataset": "hybridonn.data.dataset:Dataset",
    "ImageSet": "hybridonn.data.dataset:ImageSet",
    "augment": "hybridonn.data.batches:augment",
    "augment_pair": "hybridonn.data.batches:augment_pair",
    "data_root": "hybridonn.data.readers.download:data_root",
    "load_batch": "hybridonn.data.batches:load_batch",
    "load_dataset": "hybridonn.data.load:load_dataset",
    "to_scene": "hybridonn.data.batches:to_scene",
}


def __getattr__(name: str) -> Any:
    """Import a public name where it is used first.

    Raises:
        AttributeError: The room has no such public name.
    """
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return resolve(_PLACES, name)
