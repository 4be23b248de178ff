"""Compare strategies of design
============================

Train the kernels first and fit pillars to them, or train pillars and electronics together through
the wave optics, from a plain lens? Both at the same number of evaluated point spread functions
(PSFs), which is what costs on a real metasurface; here with four tiny sub-optics.
"""

# sphinx_gallery_thumbnail_number = 2

# %%
# 300 handwritten digits, two kernels of 3 x 3, sub-optics of 64 x 64 cells. A budget of 1, 4 or 16
# epochs end to end is 12, 48 or 192 evaluations of each of the four PSFs, forth and back; a design
# of kernels first gets as many. ``refit`` then trains the electronics on, ``end_to_end`` all of it.
import json
import subprocess
from pathlib import Path

SETTINGS = {
    "name": "strategies",
    "data.train_images": 300,
    "optics.metasurface_width_mm": 0.5,
    "optics.metasurface_height_mm": 0.5,
    "optics.kernel_site_mm": 0.0376,
    "optics.gap_mm": 0.004,
    "optics.metasurface": "{sensor_distance_mm: 0.2, kernel_pixel_um: 2.344}",
    "optics.sensor.pixel_um": 1.172,
    "student.kernels": 2,
    "student.kernel_size": 3,
    "student.normalisation": "batch",
    "teacher.training.epochs": 1,
    "training.epochs": 15,
    "training.batch_size": 25,
    "distillation.method": "none",
}
settings = " ".join(f"--set '{key}={value}'" for key, value in SETTINGS.items())
command = (
    "hybridonn study strategies --variants kernels_first,refit,lens,end_to_end --epochs 1,4,16 "
    f"--seeds 3 --out runs/strategies {settings}"
)
print(subprocess.run(command, shell=True, check=True, text=True, capture_output=True).stdout)

# %%
# Accuracy behind the simulated metasurface, mean of the seeds, by evaluations and by seconds.
# Seconds of kernels first hold the training of the student; end to end from kernels first pays for
# a whole design before. Hollow: what these networks would claim if PSFs ended with their kernels.
import matplotlib.pyplot as plt
from matplotlib.patches import Rectangle
from matplotlib.ticker import LogLocator, NullFormatter

found = json.loads(Path("runs/strategies/strategies.json").read_text())
figure, axes = plt.subplots(1, 2, figsize=(10, 3.8), sharey=True, layout="constrained")
for variant in dict.fromkeys(point["variant"] for point in found["points"]):
    points = [point for point in found["points"] if point["variant"] == variant]
    for axis, cost in zip(axes, ("evaluations", "seconds"), strict=True):
        costs = [point[cost] for point in points]
        (line,) = axis.plot(
            costs, [100 * p["mean"] for p in points], "o-", label=points[0]["label"]
        )
        cropped = [100 * point["cropped"] for point in points]
        axis.plot(costs, cropped, "o", mfc="none", color=line.get_color())
for axis, name in zip(axes, ("evaluations of PSFs", "seconds"), strict=True):
    axis.set(xscale="log", xlabel=name)
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.grid(alpha=0.3)
axes[0].set_ylabel("test accuracy in %")
axes[0].legend()

# %%
# Kernels first need few evaluations. End to end from a lens needs more, but no student before; its
# network uses the light around the kernels too, so that cropping would claim far less.
#
# What three budgets make of the student's two kernels: the PSF of the positive sub-optic less that
# of the negative. A convolution turns a PSF by half a turn, so the kernels are shown turned; each
# sub-optic has a gain of its own, which the electronics restore.
import numpy as np
import torch
from safetensors.torch import load_file

from hybridonn import optics

weights = load_file("runs/strategies/students/0/weights.safetensors")
kernels = weights["frontend.convolution.weight"]
library = optics.default_library().at((532e-9,))
metasurface = optics.fit_metasurface(
    site_m=37.6e-6,
    period_m=library.period_m,
    cell_pillars=2,
    pixel_m=2.344e-6,
    distance_m=0.2e-3,
    wavelengths_m=(532e-9,),
)
layout = optics.lay_out(optics.SurfaceSize(0.5e-3, 0.5e-3, 37.6e-6, 4e-6, 0.1), kernels=2)
shown = {"student's kernel": torch.nn.functional.pad(kernels[:, 0].flip(1, 2), (2, 2, 2, 2))}
for evaluations in (12, 48, 192):  # 3 rounds of phase retrieval, then gradient steps
    file = Path(f"runs/strategies/designs/0-{evaluations - 3}.npz")
    widths_m = torch.from_numpy(np.load(file)["widths"])
    chip = optics.DesignedChip(widths_m, metasurface, library, layout, window=7)
    psfs = optics.measure_fabricated_psfs(chip, optics.ChipErrors())[:, :, 0]
    shown[f"PSF, {evaluations} evaluations"] = psfs[:, 0] - psfs[:, 1]
figure, axes = plt.subplots(2, len(shown), figsize=(9, 4.8), layout="constrained")
for column, (title, images) in zip(axes.T, shown.items(), strict=True):
    column[0].set_title(title)
    for axis, image in zip(column, images, strict=True):
        limit = image.abs().max()
        axis.imshow(image, cmap="RdBu_r", vmin=-limit, vmax=limit)
        axis.add_patch(Rectangle((1.5, 1.5), 3, 3, fill=False, color="black"))
        axis.set(xticks=[], yticks=[])
