"""Data sets by name or by folder."""

from hybridonn.data.batches import augment, to_scene
from hybridonn.data.dataset import Dataset, ImageSet
from hybridonn.data.download import data_root
from hybridonn.data.load import load_dataset

__all__ = ["Dataset", "ImageSet", "augment", "data_root", "load_dataset", "to_scene"]
