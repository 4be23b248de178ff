"""Light through free space: the band-limited angular spectrum.

Law: each plane wave of the spectrum gains the phase of its own path,
``E_z = F^-1[ F[E_0] exp(2 pi i z sqrt((n / lambda)^2 - fx^2 - fy^2)) ]``
(Goodman 2005, Introduction to Fourier Optics, equation 3-74; the kernel is
:func:`~hybridonn.optics.waves.kernels.angular_spectrum`). Frequencies that a window cannot
sample are left out, which are those whose light leaves the window (Matsushima and Shimobaba
2009, Optics Express 17, 19662, equations 11 to 20).

Grids: tensors (..., H, W), y down, x to the right; sample n of N lies at
``(n - (N - 1) / 2) * pitch``, in every plane alike, so no plane is shifted.
"""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hybridonn.core.errors import OpticsError
from hybridonn.optics.waves.kernels import (
    Length,
    angular_spectrum,
    check_lengths,
    number,
    on_device,
)
from hybridonn.optics.waves.sampling import check_sampling


class Propagator(nn.Module):
    """Carries fields over one distance, at any number of wavelengths in one call.

    Lengths that are numbers give transfer functions that are computed once: a buffer that
    moves with the module and is not saved with it. A length that is a tensor carries a gradient:
    its transfer functions are computed at each call, and an ``nn.Parameter`` is a parameter of
    this module, to be trained and saved.
    """

    _stored: Tensor | None

    def __init__(
        self,
        shape: tuple[int, int],
        pitch_m: Length,
        wavelengths_m: Sequence[Length] | Tensor,
        distance_m: Length,
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
            shape: Samples of the fields, (H, W).
            pitch_m: Distance from sample to sample, in y and in x, in metres.
            wavelengths_m: Wavelengths in vacuum, in metres, one for each of the W channels; a
                tensor (W,) carries a gradient.
            distance_m: Distance forward, in metres; a negative one takes the light back.
            padding: The field is surrounded by darkness to this many times its
                size; from 2 on, light that leaves the window never comes in again
                on the other side.
            index: Refractive index of the medium.
            dtype: complex64 or complex128.
            device: Device of the transfer functions.
            band_limited: Leave out the frequencies that the window cannot sample.
            checked: Check the sampling rules on the first field that comes
                (:func:`~hybridonn.optics.waves.sampling.check_sampling`).

        Raises:
            OpticsError: A length or a number that no grid can have.
        """
        super().__init__()
        if not all(isinstance(n, Integral) and n >= 1 for n in (padding, *shape)):
            raise OpticsError(
                f"a field of {shape[0]} x {shape[1]} samples cannot be padded {padding} times; "
                "shape and padding must be whole numbers of at least 1"
            )
        self.shape, self.padding, self.index = shape, padding, index
        self.dtype, self.band_limited, self.unchecked = dtype, band_limited, checked
        self.pitch_m, self.wavelengths_m, self.distance_m = pitch_m, wavelengths_m, distance_m
        transfer = self._compute(device)
        variable = any(isinstance(length, Tensor) for length in self._lengths())
        self.register_buffer("_stored", None if variable else transfer, persistent=False)

    @property
    def transfer(self) -> Tensor:
        """The transfer functions, (W, Hp, Wp) of the padded grid, zero frequency first."""
        return self._compute() if self._stored is None else self._stored

    def _lengths(self) -> tuple[Length | Sequence[Length], ...]:
        waves = self.wavelengths_m
        each = (waves,) if isinstance(waves, Tensor) else waves
        return (self.pitch_m, self.distance_m, *each)

    def _compute(self, device: torch.device | str | None = None) -> Tensor:
        rows, columns = self.shape
        return transfer_function(
            (self.padding * rows, self.padding * columns),
            self.pitch_m,
            self.wavelengths_m,
            self.distance_m,
            index=self.index,
            band_limited=self.band_limited,
            dtype=self.dtype,
            device=device,
        )

    def forward(self, field: Tensor) -> Tensor:
        """Propagate.

        Args:
            field: (..., W, H, W') complex, W the number of wavelengths, or 1 where
                every wavelength starts from the same field.

        Returns:
            The field at the distance, (..., W, H, W'); differentiable in the field and in every
            length that is a tensor.

        Warns where the first field has light that the grid loses.

        Raises:
            OpticsError: The field has another shape than this propagator was made for.
            SamplingError: The first field has light that would come out at a wrong place.
        """
        waves = len(self.wavelengths_m)
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
        return propagate(field, self.transfer.to(field.device))

    def _check(self, field: Tensor) -> None:
        if not bool(field.detach().any()):
            return  # darkness tells nothing: the next field is looked at
        self.unchecked = False
        check_sampling(
            self.shape,
            number(self.pitch_m),
            [number(wave_m) for wave_m in self.wavelengths_m],
            number(self.distance_m),
            padding=self.padding,
            index=self.index,
            band_limited=self.band_limited,
            field=field.detach(),
        )


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
    pitch_m: Length,
    wavelengths_m: Sequence[Length] | Tensor,
    distance_m: Length,
    *,
    index: float = 1.0,
    band_limited: bool = True,
    dtype: torch.dtype = torch.complex64,
    device: torch.device | str | None = None,
) -> Tensor:
    """The transfer functions of free space on the frequencies of a (padded) grid.

    Args:
        shape: Samples of the padded grid, (Hp, Wp).
        pitch_m: Distance from sample to sample, in metres.
        wavelengths_m: Wavelengths in vacuum, in metres.
        distance_m: Distance in metres; a negative one gives the conjugate, and evanescent waves
            decay both ways, for what has decayed cannot be had back.
        index: Refractive index of the medium.
        band_limited: Leave out the frequencies that the window cannot sample.
        dtype: complex64 or complex128; phases are computed in float64.
        device: Device of the result.

    Returns:
        (W, Hp, Wp), zero frequency first; differentiable in every length that is a tensor.

    Raises:
        OpticsError: A length or a number that no grid can have.
    """
    check_lengths(pitch_m, wavelengths_m, distance_m, index)
    if dtype not in (torch.complex64, torch.complex128):
        raise OpticsError(f"a field cannot be {dtype}; allowed are complex64 and complex128")
    # Without a device of its own the result lies where the lengths are.
    lengths = (pitch_m, distance_m, *wavelengths_m)
    device = device or next((one.device for one in lengths if isinstance(one, Tensor)), None)
    pitch_m, distance_m, *waves_m = (on_device(length, device) for length in lengths)
    fy, fx = (torch.fft.rfftfreq(n, dtype=torch.float64, device=device) / pitch_m for n in shape)
    quarters = [
        angular_spectrum(fy[:, None], fx[None], wavelength_m / index, distance_m, band_limited).to(
            dtype
        )
        for wavelength_m in waves_m
    ]
    # Even in both frequencies: a quarter of the plane says it all.
    y, x = (_mirror(n, device) for n in shape)
    return torch.stack([quarter[y][:, x] for quarter in quarters])


def _mirror(n: int, device: torch.device | str | None) -> Tensor:
    """Where in the frequencies 0 ... n // 2 each of the n frequencies of a transform lies."""
    steps = torch.arange(n, device=device)
    return torch.minimum(steps, n - steps)
