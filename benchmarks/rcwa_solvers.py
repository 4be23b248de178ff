"""One pillar by five RCWA solvers: convergence, agreement, seconds a point.

    python benchmarks/rcwa_solvers.py meent [torcwa grcwa torchrdit torchrdit_fff fmmax fmmax_fft]

Each solver must be installed; they need not share an environment. A pillar of index 2.05, 150 nm
wide, 750 nm high, every 293 nm, at 532 nm, on quartz of index 1.46, light from the quartz. The
phase is counted from an empty cell, in units of 2 pi; the amplitude squared is the power.
"""

from __future__ import annotations

import sys
import time
from math import pi

import numpy as np

WIDTH, PERIOD, HEIGHT, WAVELENGTH, PILLAR, QUARTZ = 150.0, 293.0, 750.0, 532.0, 2.05, 1.46


def solve_meent(harmonics):
    from hybridonn.optics.meta_atoms.meent_modes import transmit_meent

    arguments = (WIDTH, PERIOD, HEIGHT, WAVELENGTH, PILLAR, QUARTZ)
    t, r = transmit_meent(*arguments, harmonics)
    return t / QUARTZ**0.5, abs(r) ** 2


def solve_torcwa(harmonics):
    import torch
    import torcwa

    cell = torcwa.rcwa(
        freq=1 / WAVELENGTH,
        order=[harmonics, harmonics],
        L=[PERIOD, PERIOD],
        dtype=torch.complex128,
        device=torch.device("cpu"),
        stable_eig_grad=False,
    )
    cell.add_input_layer(eps=QUARTZ**2)
    cell.set_incident_angle(0.0, 0.0)
    # The exact Fourier series of the square, handed over on the smallest grid that keeps it.
    order = torch.arange(-2 * harmonics, 2 * harmonics + 1, dtype=torch.float64)
    side = WIDTH / PERIOD * torch.sinc(WIDTH / PERIOD * order)
    series = (PILLAR**2 - 1) * torch.outer(side, side) + 0j
    series[2 * harmonics, 2 * harmonics] += 1
    cell.add_layer(HEIGHT, eps=torch.fft.ifft2(torch.fft.ifftshift(series)) * series.numel())
    cell.solve_global_smatrix()
    t, r = (
        cell.S_parameters([[0, 0]], port=port, polarization="xx")[0].item()
        for port in ("transmission", "reflection")
    )
    return t, abs(r) ** 2


def solve_grcwa(harmonics):
    import grcwa

    cell = grcwa.obj(
        (2 * harmonics + 1) ** 2, [PERIOD, 0], [0, PERIOD], 1 / WAVELENGTH, 0.0, 0.0, verbose=0
    )
    cell.Add_LayerUniform(0.0, QUARTZ**2)
    cell.Add_LayerGrid(HEIGHT, 586, 586)
    cell.Add_LayerUniform(0.0, 1.0)
    cell.Init_Setup(Gmethod=1)
    cell.GridLayer_geteps((1 + (PILLAR**2 - 1) * draw_square(586)).flatten())
    cell.MakeExcitationPlanewave(0, 0, 1, 0, order=0)
    R, T = cell.RT_Solve(normalize=1)
    field = cell.GetAmplitudes(2, 0.0)[0]
    return -(T**0.5) * np.exp(1j * np.angle(field[np.abs(field).argmax()])), R


def solve_torchrdit(harmonics, factorised=False):
    import torch
    from torchrdit.constants import Algorithm, Precision
    from torchrdit.solver import create_solver
    from torchrdit.utils import create_material

    solver = create_solver(
        algorithm=Algorithm.RCWA,
        precision=Precision.DOUBLE,
        lam0=np.array([WAVELENGTH / 1e3]),
        grids=[586, 586],
        harmonics=[2 * harmonics + 1] * 2,
        t1=torch.tensor([[PERIOD / 1e3, 0.0]]),
        t2=torch.tensor([[0.0, PERIOD / 1e3]]),
        is_use_FFF=factorised,
        device="cpu",
    )
    pillar, quartz, air = (
        create_material(name=name, permittivity=index**2)
        for name, index in (("pillar", PILLAR), ("quartz", QUARTZ), ("air", 1.0))
    )
    solver.update_ref_material(quartz)
    solver.update_trn_material(air)
    height = torch.tensor(HEIGHT / 1e3, dtype=torch.float64)
    solver.add_layer(material_name=pillar, thickness=height, is_homogeneous=False)
    solver.update_er_with_mask(mask=torch.tensor(draw_square(586)), layer_index=0)
    found = solver.solve(solver.add_source(theta=0.0, phi=0.0, pte=1.0, ptm=0.0))
    axes = (found.transmission_field.x, found.transmission_field.y)
    fields = [axis.reshape(-1)[axis.numel() // 2].item() for axis in axes]
    phase = np.angle(np.conj(max(fields, key=abs)))
    return float(found.transmission[0]) ** 0.5 * np.exp(1j * phase), float(found.reflection[0])


def solve_torchrdit_fff(harmonics):
    return solve_torchrdit(harmonics, factorised=True)


def solve_fmmax(harmonics, formulation="JONES_DIRECT_FOURIER"):
    import jax

    jax.config.update("jax_enable_x64", True)
    import jax.numpy as jnp
    from fmmax import basis, fmm, scattering

    vectors = basis.LatticeVectors(u=PERIOD * basis.X, v=PERIOD * basis.Y)
    expansion = basis.generate_expansion(
        primitive_lattice_vectors=vectors,
        approximate_num_terms=(2 * harmonics + 1) ** 2,
        truncation=basis.Truncation.PARALLELOGRAMIC,
    )
    layers = [
        fmm.eigensolve_isotropic_media(
            wavelength=jnp.asarray(WAVELENGTH),
            in_plane_wavevector=jnp.zeros(2),
            primitive_lattice_vectors=vectors,
            permittivity=jnp.asarray(eps, dtype=complex),
            expansion=expansion,
            formulation=fmm.Formulation[formulation],
        )
        for eps in (np.full((1, 1), QUARTZ**2), 1 + (PILLAR**2 - 1) * draw_square(293), np.eye(1))
    ]
    heights = [jnp.asarray(height) for height in (0.0, HEIGHT, 0.0)]
    matrix = scattering.stack_s_matrix(layers, heights)
    # Its amplitudes are of the magnetic field: times sqrt(n) their square is the power.
    t, r = complex(matrix.s11[0, 0]), complex(matrix.s21[0, 0])
    return t * QUARTZ**0.5, abs(r) ** 2


def solve_fmmax_fft(harmonics):
    return solve_fmmax(harmonics, "FFT")


def draw_square(size):
    """The pillar on a grid, (size, size), 1 inside."""
    inside, start = round(WIDTH / PERIOD * size), (size - round(WIDTH / PERIOD * size)) // 2
    picture = np.zeros((size, size))
    picture[start : start + inside, start : start + inside] = 1
    return picture


def main():
    for name in sys.argv[1:] or ["meent"]:
        solve = globals()[f"solve_{name}"]
        for harmonics in (3, 5, 7):
            solve(harmonics)  # compiles and warms up
            started = time.perf_counter()
            t, reflected = solve(harmonics)
            seconds = time.perf_counter() - started
            phase = np.angle(t * np.exp(-2j * pi * HEIGHT / WAVELENGTH)) / (2 * pi) % 1
            print(
                f"{name:14s} {(2 * harmonics + 1) ** 2:4d} harmonics  amplitude {abs(t):.5f}  "
                f"phase {phase:.5f}  T + R - 1 {abs(t) ** 2 + reflected - 1:9.1e}  {seconds:.3f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
