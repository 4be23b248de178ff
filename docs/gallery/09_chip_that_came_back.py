"""A chip that came back
=====================

A fabricated chip is never the one that was drawn. This rehearses the whole way before a chip is
there: a camera behind a simulated chip, its frames imported and registered, and the network
compensated.
"""

# %%
# The run whose chip is measured. Only ``hybridonn captures simulate`` takes the place of the
# camera: with a real chip the same folder holds its frames.
import json
import subprocess
from pathlib import Path

import hybridonn

spec = hybridonn.read_spec(
    settings=[
        "name=four",
        "student={kernels: 4, kernel_size: 5, pooled_size: 4, hidden: [64]}",
        "training.epochs=20",
        "teacher.training.epochs=10",
        "estimate.draws=1",
        "estimate.train_images=400",
        "fabrication.preset=paper-mnist",
        "compensation={methods: [ntkd]}",
    ]
)
hybridonn.run(spec, "runs/four")


def shell(command):
    """Do a command as a terminal does, and print what it prints."""
    print("$", command)
    print(subprocess.run(command, shell=True, check=True, text=True, capture_output=True).stdout)


# %%
# The camera is shifted, turned and scaled, has noise, hot pixels and 12 bits; the import is told
# the bits, and finds the rest from the frames.
if not Path("runs/four/captured").exists():
    shell("hybridonn captures simulate runs/four --fraction 0.1 --test-images 100")
if not Path("runs/four/captures").exists():
    shell(
        "hybridonn captures import runs/four runs/four/captured "
        "--camera-pixel-um 5.86 --pixels-per-feature 2 --bit-depth 12"
    )

# %%
# A frame is a mosaic: each sub-optic, the positive and the negative part of each kernel, makes an
# image of its own of the digit that is displayed.
import matplotlib.pyplot as plt
import numpy as np
import tifffile

frame = tifffile.imread(next(Path("runs/four/captured").rglob("student_train-*.tif"))).astype(float)
figure, axis = plt.subplots(figsize=(8, 3.2), layout="constrained")
axis.imshow(np.sqrt(frame), cmap="gray")
axis.set(title=f"a frame, {frame.shape[0]} x {frame.shape[1]} camera pixels", xticks=[], yticks=[])

# %%
# What each of the eight sub-optics makes of it:
figure, axes = plt.subplots(2, 4, figsize=(8, 4.2), layout="constrained")
rows, columns = np.arange(frame.shape[0]), np.arange(frame.shape[1])
for index, axis in enumerate(axes.flat):
    tile = [
        np.array_split(part, n)[i]
        for part, n, i in ((rows, 2, index // 4), (columns, 4, index % 4))
    ]
    light = np.where(frame[np.ix_(*tile)] > np.quantile(frame, 0.97), frame[np.ix_(*tile)], 0)
    y = int(np.average(tile[0], weights=light.sum(1)))
    x = int(np.average(tile[1], weights=light.sum(0)))
    axis.imshow(frame[max(y - 13, 0) : y + 13, max(x - 13, 0) : x + 13], cmap="gray")
    axis.set(xticks=[], yticks=[], title=f"sub-optic {index}")

# %%
# Calibration fits the measured features to the simulated ones; fine-tuning trains the backend on
# the captures of a tenth of the training images.
shell(
    "hybridonn compensate runs/four --captures runs/four/captures"
    " --json > runs/four/compensated.json"
)
found = json.loads(Path("runs/four/compensated.json").read_text())["results"]["compensated"]
print(found["kept_because"])
print({key: value for key, value in found.items() if key.endswith("accuracy")})

# %%
steps = {
    "as fabricated": found["uncompensated_accuracy"],
    "calibrated": found["calibrated_accuracy"],
    "fine-tuned": found["ntkd_accuracy"],
    "ideal kernels": found["same_images"]["ideal_accuracy"],
}
figure, axis = plt.subplots(figsize=(6, 3), layout="constrained")
bars = axis.barh(
    list(steps), [100 * value for value in steps.values()], color=["C3", "C1", "C2", "C0"]
)
axis.bar_label(bars, fmt="%.1f %%", padding=3)
axis.set(xlabel="accuracy on captured test images in %", xlim=(0, 110))
axis.invert_yaxis()
