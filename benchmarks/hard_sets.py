"""Writes two harder sets of ten classes, made of MNIST and CIFAR-10, as MedMNIST keeps its own.

python benchmarks/hard_sets.py DATA OUT

OUT/clutter/clutter.npz is MNIST turned, scaled, shifted and dimmed, under pieces of other digits
and noise; OUT/grey/grey.npz is CIFAR-10 in grey at 28 x 28 pixels. They take settings that were
tuned on MNIST where nobody tuned them: ``--set data.name=medmnist --set data.folder=OUT/clutter``.
"""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import affine_transform

TRAINED, SIDE = (54_000, 45_000), 28
PIECES, PIECE = 5, 7  # of other digits, in pixels


def main(root: Path, out: Path) -> None:
    """Read both sets from the data root and write the harder ones."""
    drawn = np.random.default_rng(0)
    names = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
    images, labels, test, answers = (
        read_idx(root / "mnist" / f"{name}-ubyte.gz") for name in names
    )
    digits = (clutter(images, drawn), labels), (clutter(test, drawn), answers)
    write(out / "clutter", *digits, TRAINED[0])
    folder = root / "cifar-10-batches-bin"
    batches = [read_batch(folder / f"data_batch_{number}.bin") for number in range(1, 6)]
    objects = tuple(np.concatenate(column) for column in zip(*batches, strict=True))
    write(out / "grey", objects, read_batch(folder / "test_batch.bin"), TRAINED[1])


def clutter(images: np.ndarray, drawn: np.random.Generator) -> np.ndarray:
    """Digits (n, 28, 28) that are turned up to 40 degrees, moved, dimmed and partly covered."""
    found = np.empty_like(images)
    middle = np.full(2, (SIDE - 1) / 2)
    for place, image in enumerate(images):
        angle, size = np.deg2rad(drawn.uniform(-40, 40)), drawn.uniform(0.9, 1.5)
        turn = size * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        start = middle - turn @ (middle + drawn.uniform(-3, 3, 2))
        shown = affine_transform(image.astype(np.float32), np.column_stack([turn, start]), order=1)
        for _ in range(PIECES):
            other = images[drawn.integers(len(images))]
            (y, x), (to_y, to_x) = drawn.integers(4, 17, 2), drawn.integers(0, 21, 2)
            piece = other[y : y + PIECE, x : x + PIECE] * drawn.uniform(0.4, 1)
            under = shown[to_y : to_y + PIECE, to_x : to_x + PIECE]
            np.maximum(under, piece, out=under)
        light = shown * drawn.uniform(0.4, 1) + drawn.normal(0, 25, shown.shape) + 20
        found[place] = np.clip(light, 0, 255)
    return found


def read_idx(path: Path) -> np.ndarray:
    """The array of a gzipped IDX file of bytes."""
    content = gzip.decompress(path.read_bytes())
    rank = content[3]
    shape = np.frombuffer(content, ">u4", rank, 4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * rank).reshape(shape)


def read_batch(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Images in grey (n, 28, 28) and labels (n, 1) of a binary batch of CIFAR-10."""
    rows = np.fromfile(path, np.uint8).reshape(-1, 3073)
    colours = rows[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    grey = [Image.fromarray(one).convert("L") for one in colours]
    small = [np.asarray(one.resize((SIDE, SIDE), Image.Resampling.BILINEAR)) for one in grey]
    return np.stack(small), rows[:, :1]


def write(folder: Path, seen: tuple, test: tuple, trained: int) -> None:
    """Write images and labels; those behind the first ``trained`` are for validation."""
    (images, labels), (shown, answers) = seen, test
    labels, answers = labels.reshape(-1, 1), answers.reshape(-1, 1)
    parts = {"train": slice(0, trained), "val": slice(trained, None)}
    arrays = {f"{name}_images": images[part] for name, part in parts.items()}
    arrays |= {f"{name}_labels": labels[part] for name, part in parts.items()}
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{folder.name}.npz"
    np.savez(path, test_images=shown, test_labels=answers, **arrays)
    print(path)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
