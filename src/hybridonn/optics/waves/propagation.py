"""Light through free space: the band-limited angular spectrum.

Law: each plane wave of the spectrum gains the phase of its own path,
``E_z = F^-1[ F[E_0] exp(2 pi i z sqrt((n / lambda)^2 - fx^2 - fy^2)) ]``
(Goodman 2005, Introduction to Fourier Optics, equation 3-74; time goes as
``exp(-i omega t)``). Beyond ``n / lambda`` the root is imaginary and the wave is
evanescent: it decays. A window of side L samples this exponent rightly only
where it turns by less than half a turn from one frequency to the next; the
frequencies beyond are left out, which are those whose light leaves the window
(Matsushima and Shimobaba 2009, Optics Express 17, 19662, equations 11 to 20).

Grids: tensors (..., H, W), y down, x to the right; sample n of N lies at
``(n - (N - 1) / 2) * pitch``, in every plane alike, so no plane is shifted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hybridonn.core.errors import OpticsError


class Propagator(nn.Module):
    """Carries fields over one distance, at any number of wavelengths in one call.

    The transfer functions are computed once; they are a buffer that moves with
    the module and is not saved with it.
    """

    transfer: Tensor

    def __init__(
        self,
        shape: tuple[int, int],
        pitch_m: float,
        wavelengths_m: Sequence[float],
        distance_m: float,
        *,
        padding: int = 2,
        index: float = 1.0,
        dtype: torch.dtype = torch.complex64,
        device: torch.device | str | None = None,
        band_limited: bool = True,
        checked: bool = True,
    ) -> None:
        """Compute the transfer functions.

        Args:
            shape: (H, W) of the fields.
            pitch_m: From sample to sample, in y and in x.
            wavelengths_m: In vacuum, one for each of the W channels.
            distance_m: Forward; a negative distance takes the light back.
            padding: The field is surrounded by darkness to this many times its
                size; from 2 on, light that leaves the window never comes in again
                on the other side.
            index: Refractive index of the medium.
            dtype: complex64 or complex128.
            device: Of the buffer.
            band_limited: Leave out the frequencies that the window cannot sample.
            checked: Check the sampling rules on the first field that comes
                (:func:`~hybridonn.optics.waves.sampling.check_sampling`).

        Raises:
            OpticsError: A length or a number that no grid can have.
        """
        super().__init__()
        if padding < 1 or min(shape) < 1:
            raise OpticsError(
                f"a field of {shape[0]} x {shape[1]} samples cannot be padded {padding} times; "
                "shape and padding must be whole numbers of at least 1"
            )
        self.shape = shape
        self.unchecked = checked
        self._grid = {
            "shape": shape,
            "pitch_m": pitch_m,
            "wavelengths_m": tuple(wavelengths_m),
            "distance_m": distance_m,
            "padding": padding,
            "index": index,
            "band_limited": band_limited,
        }
        padded = (padding * shape[0], padding * shape[1])
        transfer = transfer_function(
            padded,
            pitch_m,
            wavelengths_m,
            distance_m,
            index=index,
            band_limited=band_limited,
            dtype=dtype,
            device=device,
        )
        self.register_buffer("transfer", transfer, persistent=False)

    def forward(self, field: Tensor) -> Tensor:
        """Propagate.

        Args:
            field: (..., W, H, W') complex, W the number of wavelengths, or 1 where
                every wavelength starts from the same field.

        Returns:
            The field at the distance, (..., W, H, W').

        Warns where the first field has light that the grid loses.

        Raises:
            OpticsError: The field has another shape than this propagator was made for.
            SamplingError: The first field has light that would come out at a wrong place.
        """
        waves = len(self.transfer)
        if (
            field.ndim < 3
            or tuple(field.shape[-2:]) != self.shape
            or field.shape[-3] not in (1, waves)
        ):
            raise OpticsError(
                f"the field has the shape {tuple(field.shape)}; this propagator takes "
                f"(..., {waves} or 1, {self.shape[0]}, {self.shape[1]})"
            )
        if self.unchecked:
            self._check(field)
        return propagate(field, self.transfer)

    def _check(self, field: Tensor) -> None:
        from hybridonn.optics.waves.sampling import check_sampling  # which checks lengths as here

        if not bool(field.detach().any()):
            return  # darkness tells nothing: the next field is looked at
        self.unchecked = False
        check_sampling(**self._grid, field=field.detach())


def propagate(field: Tensor, transfer: Tensor) -> Tensor:
    """Apply transfer functions to fields, which are padded with darkness to their size.

    Args:
        field: (..., W or 1, H, W') complex.
        transfer: (W, Hp, Wp), at least as large, zero frequency first.

    Returns:
        (..., W, H, W'); linear and differentiable in ``field``.
    """
    rows, columns = field.shape[-2:]
    # Two whole transforms: pruned ones, row by row and column by column, do less work but took
    # 1.5 times as long, for the library walks through both axes in blocks that fit its cache.
    padded = F.pad(field, (0, transfer.shape[-1] - columns, 0, transfer.shape[-2] - rows))
    spectrum = torch.fft.fft2(padded) * transfer
    return torch.fft.ifft2(spectrum)[..., :rows, :columns]


def transfer_function(
    shape: tuple[int, int],
    pitch_m: float,
    wavelengths_m: Sequence[float],
    distance_m: float,
    *,
    index: float = 1.0,
    band_limited: bool = True,
    dtype: torch.dtype = torch.complex64,
    device: torch.device | str | None = None,
) -> Tensor:
    """The transfer functions of free space on the frequencies of a (padded) grid.

    A path of a thousand wavelengths has a phase whose seventh digit matters, so
    phases are computed in float64 and reduced to one turn before they are cast.

    Args:
        shape: (Hp, Wp) of the padded grid.
        pitch_m: From sample to sample.
        wavelengths_m: In vacuum.
        distance_m: Negative: back in time, the conjugate; evanescent waves decay
            both ways, for what has decayed cannot be had back.
        index: Refractive index of the medium.
        band_limited: Leave out the frequencies that the window cannot sample.
        dtype: complex64 or complex128.
        device: Of the result.

    Returns:
        (W, Hp, Wp), zero frequency first.

    Raises:
        OpticsError: A length or a number that no grid can have.
    """
    check_lengths(pitch_m, wavelengths_m, distance_m, index)
    if dtype not in (torch.complex64, torch.complex128):
        raise OpticsError(f"a field cannot be {dtype}; allowed are complex64 and complex128")
    fy, fx = (torch.fft.rfftfreq(n, pitch_m, dtype=torch.float64, device=device) for n in shape)
    quarters = [
        _quarter(fy[:, None], fx[None], index / wavelength_m, distance_m, band_limited).to(dtype)
        for wavelength_m in wavelengths_m
    ]
    # Even in both frequencies: a quarter of the plane says it all.
    y, x = (_mirror(n, device) for n in shape)
    return torch.stack([quarter[y][:, x] for quarter in quarters])


def _quarter(
    fy: Tensor, fx: Tensor, wavenumber: float, distance_m: float, band_limited: bool
) -> Tensor:
    """Of not negative frequencies, (Hp // 2 + 1, Wp // 2 + 1) complex128; 1/m throughout."""
    axial_squared = wavenumber**2 - fx**2 - fy**2
    axial = axial_squared.abs().sqrt()
    turns = torch.remainder(distance_m * axial, 1.0)
    travelling = torch.polar(torch.ones_like(turns), 2 * math.pi * turns)
    evanescent = torch.exp(-2 * math.pi * abs(distance_m) * axial)
    transfer = torch.where(axial_squared >= 0, travelling, evanescent.to(travelling.dtype))
    if not band_limited:
        return transfer
    # Slope of the exponent, z f / axial, against half a turn a frequency step 1 / L:
    # inside the ellipses of Matsushima and Shimobaba. Nyquist's frequency is half of 1 / pitch.
    kept = torch.ones_like(turns, dtype=torch.bool)
    for f in (fy, fx):
        if f.numel() > 1:
            kept &= 2 * abs(distance_m) * f * f.flatten()[1] <= axial
    return transfer * kept


def _mirror(n: int, device: torch.device | str | None) -> Tensor:
    """Where in the frequencies 0 ... n // 2 each of the n frequencies of a transform lies."""
    steps = torch.arange(n, device=device)
    return torch.minimum(steps, n - steps)


def check_lengths(
    pitch_m: float, wavelengths_m: Sequence[float], distance_m: float, index: float
) -> None:
    """Refuse lengths that no grid can have.

    Raises:
        OpticsError: Pitch, index or a wavelength is not positive, or one of them or the
            distance is not finite.
    """
    if not wavelengths_m:
        raise OpticsError("no wavelength is given; name at least one, in metres")
    named = [("pitch_m", pitch_m), ("index", index), *(("wavelength", w) for w in wavelengths_m)]
    for name, value in named:
        if not (math.isfinite(value) and value > 0):
            raise OpticsError(f"{name} is {value:g}; it must be finite and greater than 0")
    if not math.isfinite(distance_m):
        raise OpticsError(f"distance_m is {distance_m:g}; it must be finite")
