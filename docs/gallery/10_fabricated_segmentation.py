"""Segmentation behind a fabricated chip
=====================================

Masks in place of labels: discs on uneven ground are told from it by three branches of optics, first
as designed, then behind a simulated chip, then compensated.
"""

# %%
# A folder of images and masks, as ``data.name: mask_folder`` reads it.
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

rng = np.random.default_rng(0)
home, side = Path("runs/discs_source"), 24
y, x = np.mgrid[:side, :side]
for name in ("images", "masks"):
    (home / name).mkdir(parents=True, exist_ok=True)
for number in range(160):
    mask = np.zeros((side, side), bool)
    for _disc in range(rng.integers(1, 4)):
        cy, cx, radius = *rng.uniform(4, side - 4, 2), rng.uniform(2, 5)
        mask |= np.hypot(y - cy, x - cx) < radius
    slope = rng.uniform(0, 60) * x / side
    image = 60 + 45 * mask + slope + rng.normal(0, 12, mask.shape)
    Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(home / "images" / f"{number}.png")
    Image.fromarray((mask * 255).astype(np.uint8)).save(home / "masks" / f"{number}.png")

# %%
import hybridonn

spec = hybridonn.read_spec(
    settings=[
        "name=discs",
        "task=segmentation",
        "data={name: mask_folder, folder: runs/discs_source, colour: grey}",
        "student={name: polychromatic_segmentation, branches: [{kernels: 6, kernel_size: 3}, "
        "{kernels: 6, kernel_size: 3, binning: 2}, {kernels: 6, kernel_size: 3, binning: 4}]}",
        "optics={metasurface_width_mm: 7.0, metasurface_height_mm: 7.0}",
        "teacher={name: u-net, arguments: {width: 4, depth: 2}}",
        "teacher.training={epochs: 8, batch_size: 16}",
        "training={epochs: 10, batch_size: 16, learning_rate: 0.01}",
        "distillation={method: kd, kd_weight: 1, temperature: 2}",
        "estimate.draws=1",
        "fabrication.preset=paper-segmentation",
        "compensation={fraction: 0.2, methods: [kd]}",
    ]
)
results = hybridonn.run(spec, "runs/discs")
chip = results["compensated"]
steps = {
    "ideal kernels": results["student"]["miou"],
    "as fabricated": chip["uncompensated_miou"],
    "calibrated": chip["calibrated_miou"],
    "fine-tuned": chip["kd_miou"],
}
for name, value in steps.items():
    print(f"{name:14} mIoU {value:.1%}")

# %%
# The network's masks over four images that it was not trained on (with ideal kernels), and what the
# chip cost and what came back.
from hybridonn.data import load_dataset

test = load_dataset(spec.data).test
shown = np.stack([np.asarray(test.images[index]) for index in range(4)]).reshape(4, 1, side, side)
answer = hybridonn.predict("runs/discs", shown)
figure, axes = plt.subplots(2, 4, figsize=(8, 4.2), layout="constrained")
for column in range(4):
    axes[0, column].imshow(shown[column, 0], cmap="gray")
    axes[1, column].imshow(shown[column, 0], cmap="gray")
    axes[1, column].contour(answer.predicted[column], [0.5], colors="C1")
for axis in axes.flat:
    axis.axis("off")

# %%
figure, axis = plt.subplots(figsize=(6, 3), layout="constrained")
bars = axis.barh(list(steps), [100 * v for v in steps.values()], color=["C0", "C3", "C1", "C2"])
axis.bar_label(bars, fmt="%.1f %%", padding=3)
axis.set(xlabel="mIoU in %", xlim=(0, 115))
axis.invert_yaxis()
