"""Propagation and its sampling
============================

Light from plane to plane: which law is taken, and what is said where a grid does not hold the
light.
"""

# %%
# A lens of 100 um across with a focal length of 1 mm, sampled at 1 um. The planes behind it are
# lines that cut the axis, finer than the lens is sampled.
import warnings

import matplotlib.pyplot as plt
import torch

from hybridonn.optics import Plane, SamplingWarning, choose_method, propagate_to

WAVELENGTH_M, FOCAL_M = 532e-9, 1e-3
lens_plane = Plane((128, 128), pitch_m=1e-6)
y, x = lens_plane.places()
squared = y[:, None] ** 2 + x**2
lens = torch.polar(
    (squared < (50e-6) ** 2).double(), -torch.pi * squared / (WAVELENGTH_M * FOCAL_M)
)

line = Plane((1, 161), pitch_m=0.25e-6)
distances_m = torch.linspace(0.4e-3, 1.8e-3, 60, dtype=torch.float64)
lines = [
    propagate_to(lens, lens_plane, line, WAVELENGTH_M, distance)[0].abs() ** 2
    for distance in distances_m
]
along_axis = torch.stack(lines)

figure, axis = plt.subplots(figsize=(8, 3), layout="constrained")
extent = (400, 1800, -20, 20)
shown = axis.imshow(along_axis.T.sqrt(), extent=extent, aspect="auto", cmap="magma")
axis.axvline(1000, color="white", linestyle=":", linewidth=1)
axis.set(xlabel="distance behind the lens in um", ylabel="across in um")
figure.colorbar(shown, label="amplitude")

# %%
# ``choose_method`` says which law is taken for two planes, and why.
camera = Plane((64, 64), pitch_m=0.5e-6)
for distance_m in (0.05e-3, 1e-3, 50e-3):
    choice = choose_method(lens_plane, camera, WAVELENGTH_M, distance_m)
    print(f"{distance_m * 1e3:5.2f} mm: {choice}")

# %%
# The field in the focus against the closed form: behind a round lens, the Airy disc.
from scipy.special import j1

focus = propagate_to(lens, lens_plane, line, WAVELENGTH_M, FOCAL_M)[0].abs() ** 2
_, across = line.places()
u = 2 * torch.pi * 50e-6 * across / (WAVELENGTH_M * FOCAL_M)
airy = torch.from_numpy((2 * j1(u.numpy()) / u.where(u != 0, torch.ones_like(u)).numpy()) ** 2)
airy[u == 0] = 1
figure, axis = plt.subplots(figsize=(6, 3), layout="constrained")
axis.plot(across * 1e6, focus / focus.max(), label="propagated")
axis.plot(across * 1e6, airy, "--", label="Airy disc")
axis.set(xlabel="across in um", ylabel="intensity", yscale="log", ylim=(1e-5, 1.5))
axis.legend()

# %%
# Where a window loses light a warning says how much, and what to do. A law that the planes do not
# sample is refused, with the pitch that would do.
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always", SamplingWarning)
    propagate_to(lens, lens_plane, camera, WAVELENGTH_M, 20e-3, method="angular spectrum")
print("warned: ", caught[0].message)

from hybridonn.core.errors import HybridonnError

try:
    propagate_to(lens, lens_plane, camera, WAVELENGTH_M, 0.02e-3, method="Fresnel")
except HybridonnError as error:
    print("refused:", error)

# %%
# Lengths that are tensors carry gradients, here the distance of a point on the axis.
point = Plane((1, 1), pitch_m=0.25e-6)
for millimetres in (0.8, 0.9, 1.0, 1.1):
    distance_m = torch.tensor(millimetres * 1e-3, dtype=torch.float64, requires_grad=True)
    amplitude = propagate_to(lens, lens_plane, point, WAVELENGTH_M, distance_m)
    brightness = amplitude.abs().square().sum()
    brightness.backward()
    change = distance_m.grad.item() / brightness.item() * 1e-5
    print(f"{millimetres} mm: brightness {brightness.item():.0f}, {change:+.1%} per 10 um")
