"""A layout file to the fab
========================

From a trained network to the file that a fab writes: pillars whose point spread functions are the
kernels, as OASIS, read back and compared.
"""

# %%
# A small network on a small chip: two kernels of 3 x 3, four sub-optics of 75 um. ``run`` keeps
# what is finished; ``hybridonn design`` finds the pillars of a finished run.
import subprocess

import hybridonn

spec = hybridonn.read_spec(
    settings=[
        "name=small-chip",
        "optics={metasurface_width_mm: 0.25, metasurface_height_mm: 0.25, "
        "kernel_site_mm: 0.0752, gap_mm: 0.01}",
        "optics.metasurface={sensor_distance_mm: 0.2, kernel_pixel_um: 7.032}",
        "optics.sensor.pixel_um=3.516",
        "student={kernels: 2, kernel_size: 3, pooled_size: 4, hidden: [64]}",
        "distillation.method=kd",
        "estimate.train_images=400",
        "estimate.draws=1",
        "training.epochs=15",
    ]
)
results = hybridonn.run(spec, "runs/small-chip")
print(f"student {results['student']['accuracy']:.1%}")


def shell(command):
    """Do a command as a terminal does, and print what it prints."""
    print("$", command)
    print(subprocess.run(command, shell=True, check=True, text=True, capture_output=True).stdout)


# %%
# The layout file, with what was compared after reading it back:
shell("hybridonn export-layout runs/small-chip --out runs/small-chip/layout.oas")

# %%
# Any reader of layout files opens it; here gdstk, which hybridonn uses itself.
import gdstk
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.collections import PolyCollection

chip = gdstk.read_oas("runs/small-chip/layout.oas").top_level()[0]
pillars = [one.points for one in chip.get_polygons()]
centres = np.array([points.mean(0) for points in pillars])
print(f"{len(pillars):,} polygons; corners in um: {chip.bounding_box()}")

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.8), layout="constrained")
widths = np.array([np.ptp(points[:, 0]) for points in pillars])
small = widths < 0.4
dots = left.scatter(*centres[small].T, c=widths[small] * 1e3, s=0.3, cmap="viridis")
left.set(aspect="equal", xlabel="um", ylabel="um", title="pillars by their width")
figure.colorbar(dots, ax=left, label="nm")
(x, y), side = centres[small][len(centres[small]) // 8], 8
near = (abs(centres - (x, y)) < side).all(1)
right.add_collection(PolyCollection([pillars[i] for i in np.flatnonzero(near)], facecolors="C0"))
right.set(xlim=(x - side / 2, x + side / 2), ylim=(y - side / 2, y + side / 2))
right.set(aspect="equal", xlabel="um", ylabel="um", title="8 um of a sub-optic")
