"""Light through free space against closed forms and against an independent code.

    python benchmarks/wave_checks.py [--figure FILE.png]

prints a table of errors and draws ``docs/wave_checks.png``. The closed forms are the axis behind
a round aperture (Osterberg and Smith 1961, Journal of the Optical Society of America 51, 1050), a
Gaussian beam (Saleh and Teich 2019, Fundamentals of Photonics, equation 3.1-7) and Fresnel's
integrals of a square aperture (Goodman 2005, Introduction to Fourier Optics, equation 4-51). The
independent code is TorchOptics, of the extra ``dev``.
"""

from __future__ import annotations

import argparse
import cmath
import math
import warnings
from pathlib import Path

import numpy as np
import torch
from scipy.special import fresnel

from hybridonn.core.errors import SamplingError
from hybridonn.optics import Plane, SamplingWarning, choose_method, propagate_to

WAVE_M = 0.5e-6
METHODS = ("angular spectrum", "Rayleigh-Sommerfeld", "Fresnel")
COLOURS = dict(zip(METHODS, ("#0072b2", "#009e73", "#d55e00"), strict=True))
RADIUS_M, PITCH_M, SIDE = 20e-6, 0.1e-6, 408
SLIT_M, SLIT_PITCH_M, SLIT_SIDE, SLIT_DISTANCE_M = 400e-6, 2.5e-6, 480, 25e-3
ASIDE = (12e-6, -9e-6)


def relative(found: torch.Tensor, wanted: torch.Tensor) -> float:
    return float((found - wanted).norm() / wanted.norm())


def disc(plane: Plane, radius_m: float) -> torch.Tensor:
    """A round aperture whose edge is shared out to the samples that it cuts."""
    y, x = plane.places()
    fine = (torch.arange(16, dtype=torch.float64) - 7.5) / 16 * float(plane.pitch_m)
    inside = torch.zeros(plane.shape, dtype=torch.float64)
    for down in fine:
        for right in fine:
            inside += ((y + down)[:, None] ** 2 + (x + right) ** 2) < radius_m**2
    return (inside / 256).to(torch.complex128)


def on_axis(distance_m: float) -> complex:
    """Osterberg and Smith: exp(i k z) - z / s exp(i k s), s the way from the edge."""
    slant_m = math.hypot(distance_m, RADIUS_M)
    ways = [cmath.exp(2j * math.pi * math.fmod(m / WAVE_M, 1)) for m in (distance_m, slant_m)]
    return ways[0] - distance_m / slant_m * ways[1]


def gaussian(plane: Plane, waist_m: float, distance_m: float) -> torch.Tensor:
    """The paraxial beam, with the complex radius q = z - i z_R."""
    y, x = plane.places()
    rayleigh_m = math.pi * waist_m**2 / WAVE_M
    q = distance_m - 1j * rayleigh_m
    squared = (y[:, None] ** 2 + x**2).to(torch.complex128)
    wave = torch.exp(1j * math.pi * squared / (WAVE_M * q)) * (-1j * rayleigh_m / q)
    return wave * cmath.exp(2j * math.pi * math.fmod(distance_m / WAVE_M, 1))


def slit(at_m: torch.Tensor) -> torch.Tensor:
    """One axis of a square aperture: Fresnel's integrals, Goodman 2005, equation 4-51."""
    scale = math.sqrt(2 / (WAVE_M * SLIT_DISTANCE_M))
    ends = [fresnel(scale * (edge * SLIT_M / 2 - at_m.numpy())) for edge in (1, -1)]
    (sine_1, cosine_1), (sine_0, cosine_0) = ends
    total = torch.as_tensor((cosine_1 - cosine_0) + 1j * (sine_1 - sine_0))
    return total / (math.sqrt(2) * cmath.exp(0.25j * math.pi))


def carry(method, field, source, target, distance_m):
    """The field, or None where the method refuses the planes; losses are in the error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SamplingWarning)
        try:
            return propagate_to(field, source, target, WAVE_M, distance_m, method=method)
        except SamplingError:
            return None


def check_axis() -> dict[str, list[tuple[float, complex, bool]]]:
    """The field of every method that takes the planes, at each distance, and if it is chosen."""
    source, point = Plane((SIDE, SIDE), PITCH_M), Plane((1, 1), PITCH_M)
    field = disc(source, RADIUS_M)
    found: dict[str, list[tuple[float, complex, bool]]] = {method: [] for method in METHODS}
    for distance_m in np.geomspace(6e-6, 8e-3, 56).tolist():
        chosen = choose_method(source, point, WAVE_M, distance_m).method
        for method in METHODS:
            light = carry(method, field, source, point, distance_m)
            if light is not None:
                found[method].append((distance_m, complex(light[0, 0]), method == chosen))
    return found


def check_beam() -> list[tuple[str, str, float]]:
    rows = []
    for distance_m, pitch_m in ((0.4e-3, 3.3e-6), (4e-3, 2e-6), (20e-3, 30e-6)):
        source, target = Plane((64, 64), 2e-6), Plane((25, 30), pitch_m, ASIDE)
        field, wanted = gaussian(source, 16e-6, 0.0), gaussian(target, 16e-6, distance_m)
        chosen = choose_method(source, target, WAVE_M, distance_m).method
        for method in METHODS:
            light = carry(method, field, source, target, distance_m)
            name = f"Gaussian beam, {distance_m * 1e3:g} mm, aside, pitch {pitch_m * 1e6:g} um"
            star = "*" if method == chosen else ""
            rows.append(
                (name, method + star, math.nan if light is None else relative(light, wanted))
            )
    return rows


def check_slit() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Places, found and closed form across a square aperture."""
    source = Plane((SLIT_SIDE, SLIT_SIDE), SLIT_PITCH_M)
    y, x = (places.abs() for places in source.places())
    field = ((y[:, None] < SLIT_M / 2) & (x < SLIT_M / 2)).to(torch.complex128)
    target = Plane((1, 601), 1e-6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SamplingWarning)
        found = propagate_to(field, source, target, WAVE_M, SLIT_DISTANCE_M)[0]
    rows, columns = target.places()
    return columns, found, slit(rows) * slit(columns)


def check_torchoptics() -> list[tuple[str, str, float]]:
    try:
        import torchoptics
    except ImportError as error:
        print(f"TorchOptics is not here: {error}; pip install torchoptics")
        return []
    rows = []
    field = draw_smooth(64)
    for method, theirs, distance_m in (
        ("angular spectrum", "ASM", 0.15e-3),
        ("Rayleigh-Sommerfeld", "DIM", 2e-3),
    ):
        source, target = Plane((64, 64), 1e-6), Plane((48, 40), 1e-6, (6e-6, -4e-6))
        ours = carry(method, field, source, target, distance_m)
        start = torchoptics.Field(field, WAVE_M, 0, spacing=1e-6)
        other = start.propagate(
            target.shape, distance_m, 1e-6, target.shift_m, propagation_method=theirs, asm_pad=64
        )
        name = f"TorchOptics {theirs}, {distance_m * 1e3:g} mm, aside"
        rows.append((name, method, relative(ours, other.data)))
    return rows


def draw_smooth(side: int) -> torch.Tensor:
    """A random complex field without fine details, dark at its edge."""
    rough = torch.randn(
        1, 2, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    )
    real, imaginary = torch.nn.functional.interpolate(rough, (side, side), mode="bicubic")[0]
    window = torch.hann_window(side, periodic=False, dtype=torch.float64)
    return torch.complex(real, imaginary) * window[:, None] * window


def draw(axis, across, path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(11, 3.5), layout="constrained")
    z = np.geomspace(6e-6, 8e-3, 6000)
    left.plot(z * 1e3, [abs(on_axis(one)) ** 2 for one in z], "0.6", lw=1, label="closed form")
    for method, points in axis.items():
        dots = {"marker": "o", "ms": 3.5, "ls": "", "color": COLOURS[method], "label": method}
        chosen = [(1e3 * one, abs(light) ** 2) for one, light, best in points if best]
        left.plot(*zip(*chosen, strict=True), **dots)
        errors = [(1e3 * one, abs(light - on_axis(one)), best) for one, light, best in points]
        middle.plot([one[0] for one in errors], [one[1] for one in errors], c=COLOURS[method], lw=1)
        middle.plot(*zip(*(one[:2] for one in errors if one[2]), strict=True), **dots)
    left.set(xscale="log", ylabel="intensity", title="On the axis behind a round aperture")
    middle.set(xscale="log", yscale="log", ylabel="error of the field")
    middle.set_title("Its error (dots: the method that is chosen)")
    places, found, wanted = across
    right.plot(places * 1e6, wanted.abs() ** 2, "0.6", lw=2.5)
    right.plot(places * 1e6, found.abs() ** 2, color=COLOURS["angular spectrum"], lw=0.9)
    right.set(xlabel="place (um)", ylabel="intensity", title="25 mm behind a square aperture")
    for axes in (left, middle, right):
        axes.title.set_size(10)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in (left, middle):
        axes.set_xlabel("distance (mm)")
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    figure.savefig(path, dpi=100)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    default = Path(__file__).parents[1] / "docs" / "wave_checks.png"
    parser.add_argument("--figure", type=Path, default=default, help="where the figure is drawn")
    options = parser.parse_args()
    axis, across = check_axis(), check_slit()
    rows = check_beam()
    for method, points in axis.items():
        for chosen in (True, False):
            errors = [abs(light - on_axis(one)) for one, light, best in points if best == chosen]
            if errors:
                name = f"axis behind a round aperture, largest of {len(errors)} distances"
                rows.append((name, method + ("*" if chosen else ""), max(errors)))
    rows.append(("square aperture, 25 mm", "angular spectrum*", relative(across[1], across[2])))
    rows += check_torchoptics()
    print(f"{'against':62} {'method (*: chosen)':24} relative error")
    for name, method, error in rows:
        print(f"{name:62} {method:24} {'refused' if math.isnan(error) else format(error, '.1e')}")
    draw(axis, across, options.figure)


if __name__ == "__main__":
    main()
