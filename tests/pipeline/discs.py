"""Bright discs on dark ground, and their masks, drawn into a folder."""

import numpy as np
from PIL import Image


def draw_discs(folder, count=40, side=16, slope=0):
    """Write images/ and masks/ of a mask folder; return the folder.

    With a slope the ground gets brighter to one side, by so much, and the discs are dim.
    """
    dice = np.random.default_rng(0)
    rows, columns = np.mgrid[:side, :side]
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    for index in range(count):
        y, x, r = *dice.uniform(side / 4, 3 * side / 4, 2), dice.uniform(side / 8, side / 3.2)
        mask = (rows - y) ** 2 + (columns - x) ** 2 < r**2
        grey = (mask * 150 + dice.uniform(0, 60, mask.shape)).astype(np.uint8)
        if slope:
            grey = (mask * 40 + dice.uniform(0, slope, mask.shape)).astype(np.uint8)
        Image.fromarray(np.stack([grey] * 3, -1)).save(folder / "images" / f"{index}.png")
        Image.fromarray((mask * 255).astype(np.uint8)).save(folder / "masks" / f"{index}.png")
    return folder
