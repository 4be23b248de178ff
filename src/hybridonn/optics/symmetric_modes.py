"""The Fourier modal method of a square pillar at normal incidence, with its symmetry used.

Light polarised along x that falls straight on a square pillar keeps two mirror planes: E_x is
even in x and in y, E_y odd in both, E_z odd in x and even in y. In cosines and sines instead of
exponentials a quarter of the unknowns is left, and the eigenproblem, whose work grows with the
cube, is some fifty times lighter. Fourier factorisation after Li 1997 (J. Opt. Soc. Am. A 14,
2758): the product with the permittivity takes the inverse rule across an edge and Laurent's rule
along it, so the series converges fast; with Laurent's rule alone it hardly does.

Wave numbers in units of k0 = 2 pi / wavelength. Fields obey d/dz (E_x, E_y) = i k0 P (H_x, H_y)
and d/dz (H_x, H_y) = i k0 Q (E_x, E_y); time runs as exp(-i omega t), so light that goes forward
is exp(+i k z). Products of the two directions are Kronecker products, x first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy import eye, kron

from hybridonn.errors import OpticsError

GRAZING = 1e-8  # |k_z| / k0 below which an order's admittance is lost to rounding


@dataclass(frozen=True)
class _Basis:
    """Cosines and sines of one direction: M + 1 and M of them for harmonics -M ... M.

    Attributes:
        even: Cosines as sums of exponentials, (2M + 1, M + 1).
        odd: Sines as sums of exponentials, (2M + 1, M).
        to_odd: The wave number as a map from cosines to sines, (M, M + 1).
        k_even: Wave numbers of the cosines, (M + 1,).
        k_odd: Wave numbers of the sines, (M,).
    """

    even: np.ndarray
    odd: np.ndarray
    to_odd: np.ndarray
    k_even: np.ndarray
    k_odd: np.ndarray


def transmit_symmetric(
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
        width: Of the pillar; all lengths in one unit.
        period: Of the square lattice.
        height: Of the pillar.
        wavelength: In vacuum.
        pillar_index: n + ik.
        substrate_index: n + ik.
        harmonics: Highest harmonic M of each direction.

    Returns:
        The field transmitted to the pillar's top, and the field reflected at its foot,
        both over the incident field at its foot.

    Raises:
        OpticsError: A diffraction order grazes the surface (Rayleigh's anomaly).
    """
    basis = _make_basis(harmonics, wavelength / period)
    P, Q = _couple(basis, width / period, _real_if_lossless(pillar_index**2))
    below, above = (_admittance(basis, index) for index in (substrate_index, 1.0))
    return _match(P, Q, below, above, 2 * np.pi * height / wavelength)


def _real_if_lossless(permittivity: complex) -> complex:
    value = complex(permittivity)
    return value.real if value.imag == 0 else value  # real matrices: four times less work


def _make_basis(harmonics: int, step: float) -> _Basis:
    even = np.zeros((2 * harmonics + 1, harmonics + 1))
    odd = np.zeros((2 * harmonics + 1, harmonics))
    even[harmonics, 0] = 1
    for m in range(1, harmonics + 1):
        even[harmonics + m, m] = even[harmonics - m, m] = np.sqrt(0.5)
        odd[harmonics + m, m - 1], odd[harmonics - m, m - 1] = np.sqrt(0.5), -np.sqrt(0.5)
    k = step * np.arange(-harmonics, harmonics + 1)
    return _Basis(even, odd, odd.T @ (k[:, None] * even), k[harmonics:], k[harmonics + 1 :])


def _couple(basis: _Basis, fill: float, permittivity: complex) -> tuple[np.ndarray, np.ndarray]:
    """P and Q of the layer of pillars, each (2 M^2 + 2 M + 1) squared."""
    m = np.arange(-(len(basis.k_odd)), len(basis.k_odd) + 1)
    inside = fill * np.sinc(fill * (m[:, None] - m[None, :]))  # Toeplitz of the pillar's extent
    inverse = eye(len(m)) + (1 / permittivity - 1) * inside  # of 1 / permittivity inside its rows
    inside_e, inside_o = (b.T @ inside @ b for b in (basis.even, basis.odd))
    across_e, across_o = (np.linalg.inv(b.T @ inverse @ b) for b in (basis.even, basis.odd))
    one_e, one_o = eye(len(inside_e)), eye(len(inside_o))
    eps_x = kron(one_e, one_e - inside_e) + kron(across_e, inside_e)
    eps_y = kron(one_o - inside_o, one_o) + kron(inside_o, across_o)
    eps_z = kron(one_o, one_e) + (permittivity - 1) * kron(inside_o, inside_e)
    return _p_matrix(basis, np.linalg.inv(eps_z)), _q_matrix(basis, eps_x, eps_y)


def _p_matrix(basis: _Basis, inverse_eps_z: np.ndarray) -> np.ndarray:
    """From (H_x odd odd, H_y even even) to (E_x even even, E_y odd odd); E_z eliminated."""
    even, odd = len(basis.k_even), len(basis.k_odd)
    curl = np.hstack([-kron(eye(odd), basis.to_odd.T), kron(basis.to_odd, eye(even))])
    divergence = np.hstack([kron(basis.to_odd, eye(even)), kron(eye(odd), basis.to_odd.T)])
    P = -(divergence.T @ inverse_eps_z @ curl)
    P[: even**2, odd**2 :] += eye(even**2)
    P[even**2 :, : odd**2] -= eye(odd**2)
    return P


def _q_matrix(basis: _Basis, eps_x: np.ndarray, eps_y: np.ndarray) -> np.ndarray:
    """From (E_x even even, E_y odd odd) to (H_x odd odd, H_y even even); H_z eliminated."""
    even, odd = len(basis.k_even), len(basis.k_odd)
    curl = np.hstack([-kron(eye(even), basis.to_odd), kron(basis.to_odd.T, eye(odd))])
    divergence = np.hstack([kron(basis.to_odd.T, eye(odd)), kron(eye(even), basis.to_odd)])
    Q = (divergence.T @ curl).astype(np.result_type(eps_x, eps_y))
    Q[: odd**2, even**2 :] -= eps_y
    Q[odd**2 :, : even**2] += eps_x
    return Q


def _admittance(basis: _Basis, index: complex) -> np.ndarray:
    """H of a half space's forward plane waves whose E are the unit vectors.

    Raises:
        OpticsError: An order grazes the surface.
    """
    even, odd = len(basis.k_even), len(basis.k_odd)
    eps = complex(index) ** 2
    Q = _q_matrix(basis, eps * eye(even**2), eps * eye(odd**2))
    k = [(a, b) for axis in (basis.k_even, basis.k_odd) for a in axis for b in axis]
    kz = _forward(np.array([eps - a * a - b * b for a, b in k]))
    if np.abs(kz).min() < GRAZING:
        raise OpticsError(
            f"a diffraction order grazes the surface of the medium of index {index:.6g} "
            "(Rayleigh's anomaly: wavelength / period is just so); change the wavelength or the "
            "period by a thousandth of a nanometre"
        )
    return Q / kz


def _forward(squared: np.ndarray) -> np.ndarray:
    """The root that goes or decays forward: real plus imaginary part not negative."""
    root = np.sqrt(squared + 0j)
    return np.where(np.real(root) + np.imag(root) < 0, -root, root)


def _match(
    P: np.ndarray, Q: np.ndarray, below: np.ndarray, above: np.ndarray, thickness: float
) -> tuple[complex, complex]:
    """Continuity of E and H at both faces; the modes decay away from the face they start at.

    Moharam et al. 1995 (J. Opt. Soc. Am. A 12, 1077). With modes (W, V), decay X, forward
    amplitudes c and backward amplitudes d:  W (c + X d) = a + r,  V (c - X d) = Y (a - r)  at
    the foot,  W (X c + d) = t,  V (X c - d) = Y' t  at the top.
    """
    squared, W = np.linalg.eig(P @ Q)
    kz = _forward(squared)
    V, X = (Q @ W) / kz, np.exp(1j * thickness * kz)
    foot, top = np.linalg.solve(below, V), np.linalg.solve(above, V)
    system = np.block([[W + foot, (W - foot) * X], [(W - top) * X, W + top]])
    incident = np.zeros(len(W))
    incident[0] = 1  # the first unknown is E_x's constant
    amplitudes = np.linalg.solve(system, np.concatenate([2 * incident, 0 * incident]))
    c, d = amplitudes[: len(W)], amplitudes[len(W) :]
    return complex(W[0] @ (X * c + d)), complex(W[0] @ (c + X * d) - 1)
