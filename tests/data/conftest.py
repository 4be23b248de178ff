"""Tiny IDX files and images, written independently of the code that reads them."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}


def idx_bytes(array: np.ndarray) -> bytes:
    code = CODES[array.dtype.str[1:]]
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, code, array.ndim, *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


def write_idx(path: Path, array: np.ndarray) -> Path:
    content = idx_bytes(array)
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def write_set(
    folder: Path,
    images: str = "train-images-idx3-ubyte",
    labels: str = "train-labels-idx1-ubyte",
    count: int = 30,
    classes: int = 3,
    first: int = 0,
    size: tuple[int, int] = (4, 5),
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Write images and labels of random grey values, the classes in turn."""
    folder.mkdir(parents=True, exist_ok=True)
    grey = np.random.default_rng(seed).integers(0, 256, (count, *size)).astype(np.uint8)
    numbers = (np.arange(count) % classes + first).astype(np.uint8)
    write_idx(folder / images, grey)
    write_idx(folder / labels, numbers)
    return grey, numbers


@pytest.fixture
def idx():
    """The writers, as a namespace: test modules cannot import one another."""

    class Writers:
        bytes = staticmethod(idx_bytes)
        write = staticmethod(write_idx)
        write_set = staticmethod(write_set)

    return Writers


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch) -> Path:
    """A store of decoded images for each test alone."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("HYBRIDONN_CACHE", str(folder))
    return folder


def save_picture(path: Path, seed: int = 0, size=(6, 8), mode: str = "RGB") -> np.ndarray:
    """Write an image of random values; return what is in it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = size if mode == "L" else (*size, 3)
    values = np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)
    Image.fromarray(values).save(path)
    return values


def save_mask(path: Path, seed: int = 0, size=(6, 8), high: int = 255) -> np.ndarray:
    """Write a mask of 0 and another value; return where it is that value."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(seed).integers(0, 2, size).astype(np.uint8)
    Image.fromarray(values * np.uint8(high)).save(path)
    return values


@pytest.fixture
def pictures():
    """The writers of images, as a namespace."""

    class Writers:
        save = staticmethod(save_picture)
        save_mask = staticmethod(save_mask)

        @staticmethod
        def classes(folder: Path, names=("a", "b"), count: int = 5, **keys) -> None:
            for number, name in enumerate(names):
                for k in range(count):
                    save_picture(folder / name / f"{k}.png", seed=100 * number + k, **keys)

        @staticmethod
        def masks(folder: Path, count: int = 8, **keys) -> None:
            for k in range(count):
                save_picture(folder / "images" / f"p{k}.png", seed=k, **keys)
                save_mask(folder / "masks" / f"p{k}.png", seed=k, **keys)

    return Writers
