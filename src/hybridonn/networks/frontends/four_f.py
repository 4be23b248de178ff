"""A coherent 4f system as the optical frontend."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor, nn

from hybridonn import spec
from hybridonn.core.errors import OpticsError, SpecError
from hybridonn.networks.frontends.digital import DigitalCoherentOptics
from hybridonn.networks.frontends.fabricated_four_f import (
    DARKNESS,
    FabricatedFourF,
    capture_pairs,
    read_amplitude,
)
from hybridonn.networks.frontends.frontend import Frontend, refuse_idle_errors
from hybridonn.optics.fabrication.bench import draw_bench
from hybridonn.optics.fabrication.chip_errors import ChipErrors
from hybridonn.optics.fabrication.fabricated_four_f import (
    CoherentOptics,
    View,
    assemble,
    is_designed,
    make_masks,
    make_optics,
    take_pictures,
)
from hybridonn.optics.fabrication.light_modes import list_modes
from hybridonn.optics.layout.sites import Layout
from hybridonn.optics.sensor import Sensor
from hybridonn.optics.waves.four_f import (
    FourFSystem,
    check_four_f,
    response_matrix,
    transfer_matrix,
)
from hybridonn.optics.waves.pruned_fft import fast_length

# Strongest transmission of a mask at the start: an opaque or an open pixel would learn slowly.
OPEN = 0.9


class FourFFrontend(Frontend):
    r"""Each signed kernel is two masks, whose images are subtracted electronically.

    The sensor sees intensities, so what one mask does is not a convolution of the radiance R:
    its amplitude response h acts on ``a = sqrt(R)``, and the image is ``|h * a|^2``. With
    ``h+- = (u +- v) / 2`` the difference of the two images is ``Re(conj(u * a) (v * a))``
    (the identity that balanced detection in an interferometer uses): v, signed or complex,
    convolves the scene, and u carries the local brightness that it is measured against. For a
    compact positive u the feature is linear in R where the scene is smooth, signed as v is, and
    scales as R everywhere. Training is free to leave that start.

    The masks are passive, ``|t| <= 1``: complex ones ``t = w / sqrt(1 + |w|^2)`` with trained
    w, phase-only ones ``t = exp(i phi)`` with trained phi. A trained gain a kernel stands for
    the exposure time. Each colour has an arm, and masks, of its own; the sensor adds them up.
    """

    response: Tensor
    to_rows: Tensor
    to_columns: Tensor

    def __init__(
        self,
        kernels: int,
        kernel_size: int,
        system: FourFSystem,
        shape: tuple[int, int],
        stride: int = 1,
        mask: Literal["complex", "phase"] = "complex",
    ) -> None:
        """Start with masks whose v is a random kernel of the given size.

        Args:
            kernels: Number of signed kernels K.
            kernel_size: k, of the kernels at the start and of :meth:`signed_kernels`.
            system: Lenses, mask and wavelengths.
            shape: (H, W) of the scenes.
            stride: Stride of the sensor, in scene pixels.
            mask: ``complex`` masks set amplitude and phase, ``phase`` masks the phase alone.

        Raises:
            OpticsError: Phase-only masks are to start from kernels of one pixel.
            SamplingError: The system cannot image scenes of this shape rightly.
        """
        super().__init__()
        if mask == "phase" and kernel_size < 2:
            raise OpticsError(
                f"kernel_size is {kernel_size}: the phase of a mask cannot make a signed kernel of "
                "one pixel; use kernels of at least 3 x 3, or a complex mask"
            )
        check_four_f(system, shape)
        self.kernels, self.kernel_size, self.stride = kernels, kernel_size, stride
        self.system, self.shape, self.mask = system, shape, mask
        reach = max(*shape, kernel_size) - 1
        # Small, and cast to what the masks are: ``double()`` converts no complex buffers.
        response = response_matrix(system, reach, torch.complex128)
        samples = [fast_length(2 * size - 1) for size in shape]
        self.register_buffer("response", response, persistent=False)
        for axis, size, padded in zip(("rows", "columns"), shape, samples, strict=True):
            matrix = transfer_matrix(response, size, padded)
            self.register_buffer(f"to_{axis}", matrix, persistent=False)
        self.drawn: ChipErrors | None = None  # the chip behind which a step of training stands
        self.pixels = nn.Parameter(self._start())
        self.gain = nn.Parameter(torch.ones(kernels))
        with torch.no_grad():
            # He et al. 2015, equation 10, as in the ideal convolution: squares add up to 2.
            norm = self.signed_kernels().square().sum((1, 2, 3)).sqrt()
            self.gain.copy_(math.sqrt(2) / norm)

    def transmissions(self) -> Tensor:
        """The masks, (K, 2, C, M, M) complex, the positive one first; ``|t| <= 1``."""
        if self.mask == "phase":
            phase = self.pixels[..., 0]
            return torch.polar(torch.ones_like(phase), phase)
        passive = self.pixels / (1 + self.pixels.square().sum(-1, keepdim=True)).sqrt()
        return torch.view_as_complex(passive.contiguous())

    def amplitude_responses(self) -> Tensor:
        """Amplitude responses h of every mask around its centre, (K, 2, C, k, k) complex."""
        return self._near(self.transmissions())

    def _near(self, masks: Tensor) -> Tensor:
        centre, half = self.response.shape[1] // 2, self.kernel_size // 2
        near = self.response[:, centre - half : centre - half + self.kernel_size].to(masks.dtype)
        return near @ masks @ near.mT

    def signed_kernels(self) -> Tensor:
        """What the optics do to small changes of an evenly lit scene, (K, C, k, k), signed.

        ``|h * a|^2`` is no convolution of the radiance, but its derivative at an even radiance
        is: ``Re(conj(H) h(d))`` with ``H = sum_d h(d)``, whatever the radiance. The kernel is
        the difference of the two masks' derivatives, times the gain; turned by 180 degrees,
        for ``torch`` correlates.
        """
        responses = self.amplitude_responses()
        whole = self._transfers()[..., :1, :1]
        linear = (whole.conj() * responses).real
        return self.gain[:, None, None, None] * (linear[:, 0] - linear[:, 1]).flip(-2, -1)

    def forward(self, scene: Tensor) -> tuple[Tensor]:
        """Take both images of every kernel and subtract: (B, C, H, W) to one (B, K, H', W').

        Raises:
            OpticsError: The scene has other colours or another size than the system is for.
        """
        pairs = self._see(scene)
        return (self.gain[:, None, None] * (pairs[:, :, 0] - pairs[:, :, 1]),)

    @torch.no_grad()
    def capture(
        self,
        scene: Tensor,
        sensor: Sensor | None = None,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor]:
        """Both masks' images, times the gain of their kernel: one branch, (B, K, 2, H', W')."""
        return capture_pairs(self._see, scene, self.gain, sensor, generator)

    @torch.no_grad()
    def light(self, scene: Tensor) -> Tensor:
        """Intensities behind both masks of each kernel, (B, K, 2, H', W')."""
        return self._see(scene)

    def electronic_gains(self) -> Tensor:
        """The gain of each kernel, of both its masks, (K, 2)."""
        return self.gain.detach()[:, None].expand(-1, 2)

    def digital(self, image_shape: tuple[int, int, int]) -> DigitalCoherentOptics:
        """Two real convolutions a mask."""
        gains = self.gain[:, None].expand(-1, 2)
        transfers = self._transfers()[None]
        return DigitalCoherentOptics(transfers, gains, image_shape, self.stride, DARKNESS)

    def fabricate(self, errors: ChipErrors, layout: Layout | None = None) -> FabricatedFourF:
        """The same system as it would be made and put together, frozen.

        Args:
            errors: Magnitudes of the errors, and the seed of the chip.
            layout: Not looked at: the masks are used one after another, none has a neighbour.

        Raises:
            OpticsError: An error is stated that has nothing to act on in a 4f system.
        """
        refuse_idle_errors(self, errors, "four_f")
        with torch.no_grad():
            optics = self.make(errors)
        return FabricatedFourF(optics, self.gain, self.shape, self.stride)

    @contextmanager
    def behind(self, errors: ChipErrors) -> Iterator[None]:
        """Within this context the images are those of a chip, differentiable in what trains.

        Raises:
            OpticsError: An error is stated that has nothing to act on in a 4f system.
        """
        refuse_idle_errors(self, errors, "four_f")
        self.drawn = errors
        try:
            yield
        finally:
            self.drawn = None

    def make(self, errors: ChipErrors) -> CoherentOptics:
        """The optics of one chip, differentiable in what trains."""
        masks = make_masks(self.transmissions(), errors, self.system)
        bench = draw_bench(self.kernels, masks.shape[2], errors)
        modes = list_modes(self.system, errors)
        if bench.is_straight() and is_designed(modes, self.system):
            optics = self._assemble(masks)
        else:
            view = View(self.shape, self.kernel_size)
            optics = make_optics(masks, bench, modes, self.system, view)
        return optics.brighten(bench.brightness) if errors["brightness_fraction"] else optics

    def _see(self, scene: Tensor) -> Tensor:
        """Intensities behind every mask, (B, K, 2, H', W')."""
        amplitude = read_amplitude(scene, len(self.system.wavelengths_m), self.shape)
        if self.drawn is None:
            pairs = take_pictures(amplitude, self._transfers()[None], None)
        else:
            optics = self.make(self.drawn)
            pairs = take_pictures(amplitude, optics.transfers, optics.curve)
        return pairs[..., :: self.stride, :: self.stride]

    def model(self, masks: Tensor, curve: Tensor) -> CoherentOptics:
        """The optics of several masks in place of each, whose images add up.

        Args:
            masks: (J, K, 2, C, M, M) complex, of any transmission.
            curve: Phase of the scene's amplitude in radians a pixel squared, (C,).
        """
        rows, columns = (self._reach(size).to(masks.dtype) for size in self.shape)
        view = View(self.shape, self.kernel_size)
        return assemble(rows @ masks @ columns.mT, curve, view)

    def _reach(self, size: int) -> Tensor:
        centre = self.response.shape[1] // 2
        return self.response[:, centre - size + 1 : centre + size]

    def _assemble(self, masks: Tensor) -> CoherentOptics:
        """Optics of masks on the bench of the design."""
        transfers = self._transfer(masks)
        return CoherentOptics(
            transfers[None], self._near(masks)[None], transfers[None, ..., :1, :1]
        )

    def _transfers(self) -> Tensor:
        return self._transfer(self.transmissions())

    def _transfer(self, masks: Tensor) -> Tensor:
        return self.to_rows.to(masks.dtype) @ masks @ self.to_columns.to(masks.dtype).mT

    def _start(self) -> Tensor:
        """Trained numbers of masks for random kernels, (K, 2, C, M, M, 2 or 1)."""
        size, colours = self.kernel_size, len(self.system.wavelengths_m)
        centre, half = self.response.shape[1] // 2, size // 2
        near = self.response[:, centre - half : centre - half + size].conj().to(torch.complex64)
        kernel = torch.randn(self.kernels, colours, size, size, dtype=torch.complex64)
        if self.mask == "phase":
            # exp(i phi) is 1 + i phi to first order: phi and -phi differ by the kernel of 2 i phi.
            phase = (near.mT @ kernel @ near).real
            phase = phase / phase.square().mean((-2, -1), keepdim=True).sqrt()
            return torch.stack([phase, -phase], 1)[..., None]
        window = torch.hann_window(size + 2, periodic=False)[1:-1]
        brightness = near.mT @ (window[:, None] * window).to(kernel.dtype) @ near
        signed = near.mT @ kernel.real.to(kernel.dtype) @ near
        brightness, signed = (part / _peak(part) for part in (brightness, signed))
        masks = torch.stack([brightness + signed, brightness - signed], 1)
        masks = OPEN * masks / _peak(masks)
        return torch.view_as_real(masks / (1 - masks.abs().square()).sqrt())


def build_four_f(
    student: spec.Student, image_shape: tuple[int, int, int], optics: spec.Optics
) -> FourFFrontend:
    """A coherent 4f system as the optics of a student.

    Raises:
        SpecError: The student has several branches.
    """
    if student.branches:
        raise SpecError(
            f"optics.frontend is four_f, but the student has {len(student.branches)} branches; "
            "a 4f system takes a student without branches"
        )
    settings = optics.four_f
    system = FourFSystem(
        wavelengths_m=optics.wavelengths_m(image_shape[0]),
        focal_length_m=settings.focal_length_m,
        mask_pixels=settings.mask_pixels,
        mask_pitch_m=settings.mask_pitch_m,
        scene_pitch_m=settings.scene_pitch_m,
    )
    return FourFFrontend(
        student.kernels, student.kernel_size, system, image_shape[1:], student.stride, settings.mask
    )


def _peak(masks: Tensor) -> Tensor:
    return masks.abs().amax((-2, -1), keepdim=True)
