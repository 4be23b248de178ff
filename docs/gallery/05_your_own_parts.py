"""Your own teacher, student and data
==================================

A spec can name a folder of images, and networks in a file beside it. Here all three are made first:
images of three shapes, a teacher and a backend.
"""

# %%
# A folder for each class, in it the images; which become training, validation and test images is
# drawn where there are no folders ``train`` and ``test``.
import subprocess
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

rng = np.random.default_rng(0)
home = Path("runs/shapes_source")
y, x = np.mgrid[:16, :16]
for kind in ("cross", "disc", "ring"):
    folder = home / "images" / kind
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(200):
        dy, dx = y - rng.uniform(6, 10), x - rng.uniform(6, 10)
        size, distance = rng.uniform(3.5, 5.5), np.hypot(dy, dx)
        shape = {
            "cross": (np.minimum(abs(dx), abs(dy)) < 1) & (np.maximum(abs(dx), abs(dy)) < size),
            "disc": distance < size,
            "ring": abs(distance - size) < 1,
        }[kind]
        grey = 40 + 150 * shape + rng.normal(0, 12, shape.shape)
        Image.fromarray(grey.clip(0, 255).astype(np.uint8)).save(folder / f"{number}.png")

# %%
# The code lies beside the spec. A spec that names code runs it: read a stranger's before you do.
(home / "mynet.py").write_text('''
import torch
from torch import nn


def teach(image_shape, classes, width=16) -> nn.Module:
    """A teacher: it gets the shape of the images and the number of classes."""
    return nn.Sequential(
        nn.Conv2d(image_shape[0], width, 5, padding=2), nn.ReLU(), nn.MaxPool2d(4),
        nn.Flatten(), nn.Linear(width * image_shape[1] * image_shape[2] // 16, classes),
    )


class Head(nn.Module):
    """A backend: from the branches of the optics to the outputs of the task."""

    def __init__(self, branch_shapes, output_shape):
        super().__init__()
        kernels = sum(shape[0] for shape in branch_shapes)
        self.layers = nn.Sequential(
            nn.Linear(2 * kernels, 24), nn.ReLU(), nn.Linear(24, *output_shape)
        )

    def forward(self, branches):
        maps = torch.cat([torch.cat([one.relu(), (-one).relu()], 1) for one in branches], 1)
        return self.layers(maps.mean((2, 3)))
''')
(home / "shapes.yaml").write_text("""
name: shapes
data: {name: image_folder, folder: runs/shapes_source/images, colour: grey}
optics: {metasurface_width_mm: 4.0, metasurface_height_mm: 4.0, kernel_site_mm: 0.938, gap_mm: 0.05}
student: {kernels: 6, kernel_size: 5, backend: "mynet:Head"}
teacher: {name: "mynet:teach", arguments: {width: 12}, training: {epochs: 15, learning_rate: 0.01}}
training: {epochs: 30, learning_rate: 0.02}
""")

# %%
# Look through the set before anything is trained, as the command line does:
command = "hybridonn data check runs/shapes_source/shapes.yaml --out runs/shapes_check"
print(subprocess.run(command, shell=True, check=True, text=True, capture_output=True).stdout)

# %%
import hybridonn

results = hybridonn.run(hybridonn.read_spec(home / "shapes.yaml"), "runs/shapes")
print(f"teacher {results['teacher']['accuracy']:.1%}, student {results['student']['accuracy']:.1%}")

# %%
# What the camera sees of three images behind the six kernels:
import torch

run = hybridonn.load_run("runs/shapes")
examples = [Image.open(home / "images" / kind / "0.png") for kind in run.classes]
scenes = torch.from_numpy(np.stack(examples))[:, None] / 255
(features,) = run.frontend()(scenes.float())
figure, axes = plt.subplots(3, 7, figsize=(9, 4), layout="constrained")
for row, kind in enumerate(run.classes):
    axes[row, 0].imshow(scenes[row, 0], cmap="gray")
    axes[row, 0].set_ylabel(kind)
    for kernel in range(6):
        axes[row, kernel + 1].imshow(features[row, kernel].detach(), cmap="gray")
for axis in axes.flat:
    axis.set(xticks=[], yticks=[])
