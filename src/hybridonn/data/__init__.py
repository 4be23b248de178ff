"""Data sets by name or by folder."""

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
