"""Writes six odd sets made of scikit-learn's digits, as MedMNIST keeps its own.

python benchmarks/odd_digits.py OUT

Training labels of which 30 % are drawn anew, classes that are rare, digits that are moved under
noise, two classes, negatives and dim images: ``hybridonn compare examples/digits.yaml --set
data.name=medmnist --set data.folder=OUT/rare`` takes settings where nobody tuned them.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

PARTS = {"train": slice(0, 1079), "val": slice(1079, 1400), "test": slice(1400, None)}
WRONG, RARER = 0.3, 0.7  # share of labels drawn anew; of a class kept, to the power of its number
SIDE, NOISE, GLOW = 16, 40, 20


def main(out: Path) -> None:
    """Make the sets of the digits in one random order."""
    digits, drawn = load_digits(), np.random.default_rng(0)
    order = drawn.permutation(len(digits.target))
    images = (digits.images * 15.9).astype(np.uint8)[order]
    labels = digits.target[order]
    told = labels[PARTS["train"]]
    wrong, changed = told.copy(), drawn.random(len(told)) < WRONG
    wrong[changed] = drawn.integers(0, 10, changed.sum())
    write(out / "wrong", images, labels, wrong)
    kept = drawn.random(len(told)) < RARER**told
    write(out / "rare", images, labels, told, kept)
    write(out / "moved", move(images, drawn), labels, told)
    write(out / "below5", images, (labels >= 5).astype(int), (told >= 5).astype(int))
    write(out / "negative", 255 - images, labels, told)
    write(out / "dim", (images * 0.1).astype(np.uint8), labels, told)


def move(images: np.ndarray, drawn: np.random.Generator) -> np.ndarray:
    """Digits (n, 16, 16) anywhere in a noisy field."""
    field = np.zeros((len(images), SIDE, SIDE))
    for shown, image in zip(field, images, strict=True):
        y, x = drawn.integers(0, SIDE - 8 + 1, 2)
        shown[y : y + 8, x : x + 8] = image
    return np.clip(field + drawn.normal(0, NOISE, field.shape) + GLOW, 0, 255).astype(np.uint8)


def write(
    folder: Path,
    images: np.ndarray,
    labels: np.ndarray,
    told: np.ndarray,
    kept: np.ndarray | slice = slice(None),
) -> None:
    """Write the parts; of training ``told`` are the labels, and ``kept`` says which images stay."""
    arrays = {f"{name}_images": images[part] for name, part in PARTS.items()}
    arrays |= {f"{name}_labels": labels[part].reshape(-1, 1) for name, part in PARTS.items()}
    arrays["train_images"] = arrays["train_images"][kept]
    arrays["train_labels"] = told[kept].reshape(-1, 1)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{folder.name}.npz"
    np.savez(path, **arrays)
    print(path)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
