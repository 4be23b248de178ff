"""Light that is neither of one wavelength nor of one direction, as a sum of coherent modes.

What the sensor sees is the sum of the images of all wavelengths and all points of the source
(Goodman 2015, Statistical Optics, section 7.2, Abbe's approach). Quadratures stand for both.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from hybridonn.optics.fabrication.chip_errors import ChipErrors, draw
from hybridonn.optics.fabrication.pillar_errors import sample_band
from hybridonn.optics.waves.four_f import FourFSystem

WAVELENGTHS = 3  # Gauss-Hermite samples of a band: exact for moments up to 5
# Share of the light that may be left out when modes are merged.
NEGLECTED = 1e-4


@dataclass(frozen=True)
class Mode:
    """Coherent light of one wavelength a colour, from one point of the source.

    Attributes:
        wavelengths_m: One for each colour.
        direction: Angles of the point seen from the scene, to the right and down, in radians.
        weight: Share of the light.
    """

    wavelengths_m: tuple[float, ...]
    direction: tuple[float, float]
    weight: float


def list_modes(system: FourFSystem, errors: ChipErrors) -> list[Mode]:
    """The modes of the light of one chip; one at the design's wavelengths without errors."""
    offsets = errors["wavelength_offset_m"] * draw("wavelength", (len(system.periods),), errors)
    bands = [
        sample_band(wavelength_m, offset_m, errors["bandwidth_m"], WAVELENGTHS)
        for wavelength_m, offset_m in zip(system.wavelengths_m, offsets.tolist(), strict=True)
    ]
    by_sample = zip(*(places for places, _ in bands), strict=True)
    return [
        Mode(tuple(wavelengths_m), direction, share * part)
        for wavelengths_m, share in zip(by_sample, bands[0][1], strict=True)
        for direction, part in sample_source(errors["source_radians"])
    ]


def sample_source(radius: float) -> list[tuple[tuple[float, float], float]]:
    """Directions and weights that stand for an evenly bright round source.

    The cubature of degree 5 on the disc: a quarter at the centre, an eighth at each corner of a
    hexagon of radius sqrt(2/3) (Stroud 1971, Approximate Calculation of Multiple Integrals,
    formula S2 5-1).

    Args:
        radius: Angular radius of the source, in radians; 0: a point.
    """
    if not radius:
        return [((0.0, 0.0), 1.0)]
    ring, corners = radius * math.sqrt(2 / 3), [math.pi / 3 * corner for corner in range(6)]
    points = [((ring * math.cos(a), ring * math.sin(a)), 1 / 8) for a in corners]
    return [((0.0, 0.0), 1 / 4), *points]


def merge_modes(responses: Tensor) -> Tensor:
    """The fewest amplitude responses with the same images: the sum of coherent systems.

    ``sum_j |h_j * a|^2`` does not change where a unitary matrix mixes the h_j. The eigenvectors
    of their Gram matrix put as much light as possible into the first ones (Pati and Kailath 1994,
    J. Opt. Soc. Am. A 11, 2438); what holds less than a ten-thousandth of the light is left out.

    Args:
        responses: (J, K, 2, C, H, W) complex, each with the root of its weight.

    Returns:
        (J', K, 2, C, H, W) with J' <= J.
    """
    if len(responses) == 1:
        return responses
    rows = responses.flatten(-2).movedim(0, -2)  # (K, 2, C, J, H W)
    # Any unitary matrix is right, so no derivative of it is needed.
    gram = (rows @ rows.mH).detach().to(torch.complex128)
    light, mixing = torch.linalg.eigh(gram)  # in increasing order
    left_out = light.cumsum(-1) / light.sum(-1, keepdim=True).clamp_min(1e-300)
    dropped = int((left_out < NEGLECTED).sum(-1).min())
    mixed = mixing[..., dropped:].mH.to(rows.dtype) @ rows
    return mixed.movedim(-2, 0).unflatten(-1, responses.shape[-2:])
