"""Which ways of harming a file there are, by the kind of the file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import PurePosixPath
from random import Random

from fuzzing.damage_arrays import harm_header, harm_npy, harm_npz, harm_zip
from fuzzing.damage_bytes import COMMON
from fuzzing.damage_gzip import harm_gzip
from fuzzing.damage_layouts import harm_gds, harm_oasis
from fuzzing.damage_mat import harm_elements
from fuzzing.damage_pickles import harm_opcodes
from fuzzing.damage_pictures import harm_chunks, harm_tags
from fuzzing.damage_settings import harm_setting
from fuzzing.damage_tensors import harm_tensors
from fuzzing.damage_text import harm_cells, harm_lines, harm_numbers, harm_yaml, insert_oddity
from fuzzing.damage_trees import harm_json, harm_tree_as_yaml

Damage = Callable[[Random, bytes, Sequence[bytes]], bytes]

TEXT: tuple[Damage, ...] = (harm_lines, harm_numbers, insert_oddity)
# A structural damage is listed as often as it should be drawn beside the common ones.
KINDS: dict[str, tuple[Damage, ...]] = {
    "bytes": COMMON,
    "text": (*COMMON, *TEXT, *TEXT),
    "csv": (*COMMON, *TEXT, *[harm_cells] * 6),
    "yaml": (*COMMON, *TEXT, *[harm_yaml] * 5, *[harm_tree_as_yaml] * 5),
    "settings": (*TEXT, *[harm_setting] * 12),
    "json": (*COMMON, *TEXT, *[harm_json] * 10),
    "npy": (*COMMON, *[harm_npy] * 8),
    "npz": (*COMMON, *[harm_zip] * 3, *[harm_npz] * 12),
    "idx": (*COMMON, *[harm_header] * 6),
    "gzip": (*COMMON, *[harm_gzip] * 10),
    "pickle": (*COMMON, *[harm_opcodes] * 12),
    "png": (*COMMON, *[harm_chunks] * 8),
    "tiff": (*COMMON, *[harm_tags] * 8),
    "mat": (*COMMON, *[harm_elements] * 8),
    "safetensors": (*COMMON, *[harm_tensors] * 10),
    "gds": (*COMMON, *[harm_gds] * 10),
    "oasis": (*COMMON, *[harm_oasis] * 16),
}
ENDINGS = {
    ".txt": "text",
    ".csv": "csv",
    ".yaml": "yaml",
    ".yml": "yaml",
    ".json": "json",
    ".npy": "npy",
    ".npz": "npz",
    ".gz": "gzip",
    ".png": "png",
    ".tif": "tiff",
    ".tiff": "tiff",
    ".mat": "mat",
    ".safetensors": "safetensors",
    ".gds": "gds",
    ".oas": "oasis",
}


def kind_of(name: str) -> str:
    """The kind of a file, by its ending."""
    return ENDINGS.get(PurePosixPath(name).suffix.lower(), "bytes")
