"""A folder of images with bright and dark blocks on grey ground, and boxes.csv."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = ("bright", "dark")


def draw_blocks(folder: Path, count: int = 24, side: int = 32) -> Path:
    """Write images with up to two blocks each; every sixth has none."""
    dice = np.random.default_rng(0)
    (folder / "images").mkdir(parents=True)
    rows = []
    for number in range(count):
        pixels = np.full((side, side), 128, np.uint8) + dice.integers(0, 9, (side, side), np.uint8)
        for half in range(0 if number % 6 == 5 else 1 + number % 2):
            kind = int(dice.integers(0, 2))
            width, height = dice.integers(9, 15, 2)
            left, top = dice.integers(0, side - width), half * side // 2
            pixels[top : top + height, left : left + width] = 20 if kind else 240
            edges = (left, top, left + width, top + height)
            rows.append((f"{number}.png", CLASSES[kind], *edges))
        Image.fromarray(pixels).save(folder / "images" / f"{number}.png")
    with (folder / "boxes.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(("image", "class", "xmin", "ymin", "xmax", "ymax"))
        table.writerows(rows)
    return folder
