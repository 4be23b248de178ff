"""Detection
=========

Boxes of two kinds of objects: the camera's image behind two branches of optics is answered by a
heatmap of centres and the distances to four edges. It needs the extra ``detection``.
"""

# %%
# Images with bright and dark blocks, and a table of their boxes, as ``data.name: box_csv`` reads
# it.
import csv
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

rng = np.random.default_rng(0)
home, side, kinds = Path("runs/blocks_source"), 48, ("bright", "dark")
(home / "images").mkdir(parents=True, exist_ok=True)
rows = []
for number in range(180):
    pixels = 128 + rng.normal(0, 10, (side, side))
    for quarter in rng.permutation(4)[: rng.integers(1, 4)]:
        top, left = divmod(int(quarter), 2)
        kind, (height, width) = int(rng.integers(2)), rng.integers(9, 18, 2)
        y, x = top * 24 + rng.integers(0, 24 - height), left * 24 + rng.integers(0, 24 - width)
        pixels[y : y + height, x : x + width] += (80, -80)[kind]
        rows.append((f"{number}.png", kinds[kind], x, y, x + width, y + height))
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(home / "images" / f"{number}.png")
with (home / "boxes.csv").open("w", newline="") as file:
    csv.writer(file).writerows([("image", "class", "xmin", "ymin", "xmax", "ymax"), *rows])

# %%
import hybridonn

spec = hybridonn.read_spec(
    settings=[
        "name=blocks",
        "task=detection",
        "data={name: box_csv, folder: runs/blocks_source, colour: grey}",
        "optics={metasurface_width_mm: 6.0, metasurface_height_mm: 6.0}",
        "student={backend: centre, branches: [{kernels: 6, kernel_size: 5, binning: 2}, "
        "{kernels: 6, kernel_size: 5, binning: 4}], hidden: [12, 16], "
        "normalisation: batch, rectification: two_sided}",
        "teacher={name: centre-u-net, arguments: {width: 6, depth: 3}}",
        "teacher.training={epochs: 10, batch_size: 8}",
        "training={epochs: 15, batch_size: 8, learning_rate: 0.01}",
        "distillation={method: kd, kd_weight: 1, temperature: 1}",
    ]
)
results = hybridonn.run(spec, "runs/blocks")
for name in ("teacher", "student"):
    print(f"{name}: AP50 {results[name]['ap50']:.1%}")

# %%
# ``predicted`` holds the boxes of each image, best first: class, four edges in pixels and a
# score. Rows
# without a box have the score 0. Orange boxes are bright objects, blue ones dark, with a score of
# 0.3 or more.
from matplotlib.patches import Rectangle

from hybridonn.data import load_dataset

test = load_dataset(spec.data).test
shown = np.stack([np.asarray(test.images[index]) for index in range(6)]).reshape(6, 1, side, side)
answer = hybridonn.predict("runs/blocks", shown)
figure, axes = plt.subplots(1, 6, figsize=(11, 2.2), layout="constrained")
for axis, image, boxes in zip(axes, shown, answer.predicted.numpy(), strict=True):
    axis.imshow(image[0], cmap="gray", vmin=0, vmax=255)
    for kind, x0, y0, x1, y1, _score in boxes[boxes[:, 5] >= 0.3]:
        colour = ("C1", "C0")[int(kind)]
        edges = Rectangle((x0 - 0.5, y0 - 0.5), x1 - x0, y1 - y0, fill=False, color=colour, lw=2)
        axis.add_patch(edges)
        axis.set_title(f"{len(boxes[boxes[:, 5] >= 0.3])} found", fontsize=9)
    axis.axis("off")
