"""The solver meent (Kim et al. 2024, arXiv:2406.12904) for one square pillar at normal incidence.

It takes the pillar's edges as they are, without a raster, and Li's inverse rule across them
(Li 1997, J. Opt. Soc. Am. A 14, 2758), so that few harmonics suffice; with Laurent's rule alone
many do not. It lets time run as exp(+i omega t); conjugation at both ends turns it round.
"""

from __future__ import annotations

from typing import Any

import meent
import numpy as np


def transmit_meent(
    width: float,
    period: float,
    height: float,
    wavelength: float,
    pillar_index: complex,
    substrate_index: complex,
    harmonics: int,
) -> tuple[complex, complex]:
    """Zero order of a square pillar in air; light comes straight up through the substrate.

    Args:
        width: Width of the pillar; all lengths in one unit.
        period: Period of the square lattice.
        height: Height of the pillar.
        wavelength: Wavelength in vacuum.
        pillar_index: Refractive index n + ik of the pillar.
        substrate_index: Refractive index n + ik of the substrate.
        harmonics: Highest Fourier harmonic of each direction.

    Returns:
        The field transmitted to the pillar's top, and the field reflected at its foot,
        both over the incident field at its foot; time runs as exp(-i omega t).
    """
    centre, side = np.array(period / 2), np.array(width)
    square = ["rectangle", centre, centre, side, side, _turn(pillar_index)]
    solver = meent.call_mee(
        backend=0,
        n_top=_turn(substrate_index),
        n_bot=1.0,
        theta=0.0,
        phi=0.0,
        pol=0.0,
        fto=(harmonics, harmonics),
        wavelength=wavelength,
        period=[period, period],
        thickness=[height],
        ucell=[[1.0 + 0.0j, [square] if width > 0 else []]],
        type_complex=np.complex128,
    )
    result: Any = solver.conv_solve().res
    t, r = (fields[harmonics, harmonics] for fields in (result.T_s, result.R_s))
    return complex(np.conj(t)), complex(np.conj(r))


def _turn(index: complex) -> complex:
    """The conjugate n - ik; real where nothing absorbs, since -0j would choose the wrong root."""
    index = complex(index)
    return index.conjugate() if index.imag else index.real
