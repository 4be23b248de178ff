"""A point spread function by a metasurface
========================================

Pillars of silicon nitride, of many widths, make light of a point spread out as a kernel wants it.
Here the positive and the negative part of one kernel are designed as two sub-optics of 120 um.
"""

# sphinx_gallery_thumbnail_number = 2

# %%
# The library that comes with the package tells what a pillar of each width does to light.
import matplotlib.pyplot as plt
import torch

from hybridonn import optics

library = optics.default_library().at((532e-9,))
widths_m = torch.linspace(70e-9, 220e-9, 300, dtype=torch.float64)
through = optics.transmit(library, widths_m)[0]
figure, axis = plt.subplots(figsize=(6, 3), layout="constrained")
axis.plot(widths_m * 1e9, through.angle() / torch.pi, ".", markersize=3, label="phase over pi")
axis.plot(widths_m * 1e9, through.abs() ** 2, label="transmittance")
axis.set(xlabel="width of the pillar in nm")
axis.legend()

# %%
# The kernel to be made, and the geometry: a cell is 2 x 2 equal pillars, and light of a point falls
# on the sensor half a millimetre behind.
kernel = torch.tensor(
    [[0, 1, 2, 1, 0], [1, 3, 4, 3, 1], [0, 0, 0, 0, 0], [-1, -3, -4, -3, -1], [0, -1, -2, -1, 0]]
)
targets = optics.split_kernels(kernel[None, None].float())
metasurface = optics.fit_metasurface(
    site_m=120e-6,
    period_m=library.period_m,
    cell_pillars=2,
    pixel_m=11.72e-6,
    distance_m=0.5e-3,
    wavelengths_m=(532e-9,),
)
limits = optics.limit_widths(library, min_width_m=65e-9, min_gap_m=53e-9, grid_m=1e-9)
context = optics.DesignContext(metasurface, library, limits)
designed_m = optics.design(targets, context, seeds=[0])
print("widths:", tuple(designed_m.shape), "in metres")

# %%
# What the finished chip would do: its point spread functions, and what is left of the kernel when
# every pillar comes out 10 nm wider than drawn.
layout = optics.lay_out(optics.SurfaceSize(1e-3, 1e-3, 120e-6, 20e-6, 0.1), kernels=1)
chip = optics.DesignedChip(designed_m, metasurface, library, layout, window=9)
psfs = optics.measure_fabricated_psfs(chip, optics.ChipErrors())
wider = optics.measure_fabricated_psfs(chip, optics.ChipErrors(0, {"width_bias_m": 10e-9}))
for name, made in (("as drawn", psfs), ("10 nm wider", wider)):
    error = optics.kernel_errors(made[..., 2:7, 2:7], targets)[0, 0]
    print(f"{name}: error of the kernel {error:.1%}")

# %%
# A point spread function is the kernel turned by half a turn: a convolution turns it back.
figure, axes = plt.subplots(1, 5, figsize=(11, 2.6), layout="constrained")
axes[0].imshow(kernel, cmap="RdBu_r", vmin=-4, vmax=4)
axes[0].set_title("kernel wanted")
for axis, part, name in zip(axes[1:3], designed_m[0], ("positive", "negative"), strict=True):
    shown = axis.imshow(part * 1e9, cmap="viridis")
    axis.set_title(f"widths, {name}")
figure.colorbar(shown, ax=axes[1:3], label="nm", shrink=0.8)
for axis, made, name in zip(axes[3:], (psfs, wider), ("as drawn", "10 nm wider"), strict=True):
    signed = made[0, 0, 0] - made[0, 1, 0]
    limit = signed.abs().max()
    axis.imshow(signed, cmap="RdBu_r", vmin=-limit, vmax=limit)
    axis.set_title(f"PSF, {name}")
for axis in axes:
    axis.set(xticks=[], yticks=[])
