"""Light from one plane to another of any pitch, size and place, differentiable in everything.

The angular spectrum and Fresnel's integral sum plane waves and paraxial waves directly at the
samples that are wanted, as products of three matrices, ``Y A X``, so that the output grid is
free (Jurling, Bergkoetter and Fienup 2018, Journal of the Optical Society of America A 35,
1784). A product costs ``H N W`` operations where a transform costs ``N^2 log N``;
:class:`~hybridonn.optics.waves.propagation.Propagator` is quicker where both planes are the same
grid. The Rayleigh-Sommerfeld integral sums the spherical waves of all samples: by transforms
where both planes have one pitch (Shen and Wang 2006, Applied Optics 45, 1102), else one by one.

The laws are those of :mod:`hybridonn.optics.waves.kernels`, the grids those of
:mod:`hybridonn.optics.waves.propagation`; time goes as ``exp(-i omega t)``.
"""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

from hybridonn.core.errors import OpticsError
from hybridonn.optics.waves.kernels import (
    Length,
    angular_spectrum,
    check_lengths,
    number,
    on_device,
    paraxial_wave,
    phase_factor,
    sampled_band,
    spherical_wave,
)
from hybridonn.optics.waves.method import Method, check_method, choose_method, window_samples
from hybridonn.optics.waves.plane import Plane
from hybridonn.optics.waves.pruned_fft import fast_length
from hybridonn.optics.waves.sampling import STRAY_POWER, SamplingWarning


def propagate_to(
    field: Tensor,
    source: Plane,
    target: Plane,
    wavelength_m: Length,
    distance_m: Length,
    *,
    index: float = 1.0,
    method: Method | None = None,
) -> Tensor:
    """The field on another plane.

    Args:
        field: Field on the source plane, (..., H, W), complex; a real one has no phase.
        source: Plane of the field.
        target: Plane where the light is wanted.
        wavelength_m: Wavelength in vacuum, in metres.
        distance_m: Distance of the planes along the axis, in metres; a negative one takes the
            light back.
        index: Refractive index between them.
        method: None: what :func:`choose_method` chooses, which also says why.

    Returns:
        (..., H', W') complex, in double precision where the field is; differentiable in the
        field, both pitches, the shifts, the wavelength and the distance.

    Warns where the angular spectrum leaves out more than a thousandth of the light, and where
    Fresnel's integral is asked for and its phase is wrong by more than 0.05 rad.

    Raises:
        OpticsError: The field is not of the source plane's shape, a length cannot be, or there
            is no such method.
        SamplingError: The method that is asked for would bring light to wrong places.
    """
    if tuple(field.shape[-2:]) != tuple(source.shape):
        raise OpticsError(
            f"the field has {tuple(field.shape[-2:])} samples, the source plane {source.shape}"
        )
    field = field.to(torch.promote_types(field.dtype, torch.complex64))
    for plane in (source, target):
        check_lengths(plane.pitch_m, (wavelength_m,), distance_m, index)
    # The matrices and kernels are made on the CPU and go to the field.
    wave_m = torch.as_tensor(wavelength_m, dtype=torch.float64, device="cpu") / index
    z_m = torch.as_tensor(distance_m, dtype=torch.float64, device="cpu")
    if method is None:
        method = choose_method(source, target, number(wave_m), number(z_m)).method
    else:
        check_method(method, source, target, number(wave_m), number(z_m))
    return _SUMS[method](field, source, target, wave_m, z_m)


def _sum_plane_waves(
    field: Tensor, source: Plane, target: Plane, wave_m: Tensor, z_m: Tensor
) -> Tensor:
    fy, fx = (
        torch.fft.fftfreq(n, dtype=torch.float64) / on_device(source.pitch_m, "cpu")
        for n in window_samples(source, target)
    )
    to_rows, to_columns = (
        phase_factor(-f[:, None] * place) / len(f)
        for f, place in zip((fy, fx), source.places(), strict=True)
    )
    from_rows, from_columns = (
        phase_factor(place[:, None] * f) for f, place in zip((fy, fx), target.places(), strict=True)
    )
    spectrum = _between(to_rows, field, to_columns)
    _warn_of_lost_light(spectrum, fy[:, None], fx[None], number(wave_m), number(z_m))
    transfer = angular_spectrum(fy[:, None], fx[None], wave_m, z_m).to(field.device)
    return _between(from_rows, spectrum * transfer, from_columns).to(field.dtype)


@torch.no_grad()
def _warn_of_lost_light(
    spectrum: Tensor, fy: Tensor, fx: Tensor, wave_m: float, z_m: float
) -> None:
    travelling = fy**2 + fx**2 < wave_m**-2
    lost = (travelling & ~sampled_band(fy, fx, wave_m, z_m)).to(spectrum.device)
    power = spectrum.abs().square()
    share = float((power * lost).sum() / power.sum().clamp_min(torch.finfo(power.dtype).tiny))
    if share > STRAY_POWER:
        warnings.warn(
            f"{100 * share:.2g} % of the field's power is steeper than the window samples over "
            f"{abs(z_m) * 1e6:.4g} um and is left out, allowed is {100 * STRAY_POWER:g} %; "
            "surround the field with darkness (a source plane of more samples)",
            SamplingWarning,
            stacklevel=5,  # the line that called propagate_to, behind the wrapper of no_grad
        )


def _sum_paraxial_waves(
    field: Tensor, source: Plane, target: Plane, wave_m: Tensor, z_m: Tensor
) -> Tensor:
    rows, columns = (
        paraxial_wave(there[:, None] - here, wave_m, z_m)
        for there, here in zip(target.places(), source.places(), strict=True)
    )
    cell_m2 = on_device(source.pitch_m, "cpu") ** 2
    scale = phase_factor(z_m / wave_m) * cell_m2 / (1j * wave_m * z_m)
    return (scale.to(field.device) * _between(rows, field, columns)).to(field.dtype)


def _sum_spherical_waves(
    field: Tensor, source: Plane, target: Plane, wave_m: Tensor, z_m: Tensor
) -> Tensor:
    # Light that is taken back is the conjugate of light that runs forward.
    back = bool(z_m < 0)
    wide = field.to(torch.complex128)
    sum_them = _convolve if source.shares_grid(target) else _sum_pairs
    found = sum_them(wide.conj() if back else wide, source, target, wave_m, z_m.abs())
    return (found.conj() if back else found).to(field.dtype)


def _convolve(field: Tensor, source: Plane, target: Plane, wave_m: Tensor, z_m: Tensor) -> Tensor:
    """The sum over spherical waves of planes of one pitch, whose offsets repeat."""
    pitch_m = on_device(source.pitch_m, "cpu")
    offsets = [
        (torch.arange(1 - n, m, dtype=torch.float64) + (n - m) / 2) * pitch_m
        + (on_device(t, "cpu") - on_device(s, "cpu"))
        for n, m, s, t in zip(
            source.shape, target.shape, source.shift_m, target.shift_m, strict=True
        )
    ]
    wave = spherical_wave(offsets[0], offsets[1], pitch_m, wave_m, z_m).to(field.device)
    periods = [fast_length(n) for n in wave.shape]
    spectrum = torch.fft.fft2(field, s=periods) * torch.fft.fft2(wave, s=periods)
    first, last = ([n - 1 for n in source.shape], wave.shape)
    return torch.fft.ifft2(spectrum)[..., first[0] : last[0], first[1] : last[1]]


def _sum_pairs(field: Tensor, source: Plane, target: Plane, wave_m: Tensor, z_m: Tensor) -> Tensor:
    """The sum over spherical waves, a row of the target at a time."""
    (y, x), (rows, columns) = source.places(), target.places()
    across, cell_m = (columns[:, None] - x).flatten(), on_device(source.pitch_m, "cpu")
    lines = []
    for row in rows:
        wave = spherical_wave(row - y, across, cell_m, wave_m, z_m).to(field.device)
        lines.append(torch.einsum("...hw,hmw->...m", field, wave.unflatten(1, (len(columns), -1))))
    return torch.stack(lines, -2)


def _between(rows: Tensor, field: Tensor, columns: Tensor) -> Tensor:
    return rows.to(field.device) @ field.to(torch.complex128) @ columns.to(field.device).mT


_SUMS = {
    "angular spectrum": _sum_plane_waves,
    "Rayleigh-Sommerfeld": _sum_spherical_waves,
    "Fresnel": _sum_paraxial_waves,
}
