"""A simulated metasurface in place of the ideal convolution."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from hybridonn.core.errors import OpticsError
from hybridonn.networks.frontends.convolution import BranchConvolution
from hybridonn.networks.frontends.correlation import correlate
from hybridonn.networks.frontends.frontend import Frontend, refuse_idle_errors
from hybridonn.networks.frontends.measured import MeasuredFrontend
from hybridonn.optics.fabrication.chip_errors import ChipErrors
from hybridonn.optics.fabrication.fabricated_psf import DesignedChip, measure_fabricated_psfs
from hybridonn.optics.layout.sites import Layout
from hybridonn.optics.meta_atoms.pillar_table import PillarTable, tabulate
from hybridonn.optics.meta_atoms.pillars import PillarLibrary
from hybridonn.optics.metasurface.inverse_design import Limits
from hybridonn.optics.metasurface.sub_optic import Metasurface, measure_psf, turn
from hybridonn.optics.metasurface.targets import apply_gains, crop_centre
from hybridonn.optics.sensor import Sensor, expose

PM = 1e-12  # float32 keeps 300 nm to 0.02 pm


class MetasurfaceFrontend(Frontend):
    """Point spread functions of sub-optics, a camera, and the electronic subtraction.

    The image behind sub-optic (k, s) in colour c is ``scene_c conv psf_ksc``; the
    electronics form ``sum_c gain_k+c picture_k+c - gain_k-c picture_k-c``. The image is as
    large as the scene and sees darkness around it, as in
    :class:`~hybridonn.networks.frontends.ideal_convolution.IdealConvolution`: with the point spread
    functions of its kernels (turned by 180 degrees, since ``torch`` correlates) both are equal.
    Light that falls outside of a kernel's block is part of the image.

    Args:
        psfs: (K, 2, C, P, P), P odd, in the upright image; not negative.
        kernel_size: Side of the kernels within.
        stride: Pixels of the scene a pixel of the feature map.
        gains: (K, 2, C); None: one.
        sensor: The camera; None: a perfect one.
        generator: Generator of the camera's noise, on the scene's device; None: no noise.
        design: Pillars whose light the point spread functions are, on which errors of pillars
            act; None: such errors are refused.

    Raises:
        OpticsError: The point spread functions have a wrong shape or are negative.
    """

    flat_psfs: Tensor
    gains: Tensor

    def __init__(
        self,
        psfs: Tensor,
        kernel_size: int,
        stride: int = 1,
        gains: Tensor | None = None,
        sensor: Sensor | None = None,
        generator: torch.Generator | None = None,
        design: DesignedChip | None = None,
    ) -> None:
        super().__init__()
        check_psfs(psfs, kernel_size)
        self.kernels = len(psfs)
        self.kernel_size, self.stride = kernel_size, stride
        self.sensor, self.generator, self.design = sensor, generator, design
        gains = psfs.new_ones(psfs.shape[:3]) if gains is None else gains
        # Four dimensions: a module that goes to channels_last may have none of five.
        self.register_buffer("flat_psfs", psfs.detach().flatten(0, 1).clone())
        self.register_buffer("gains", gains.detach().clone())

    def point_spread_functions(self) -> Tensor:
        """(K, 2, C, P, P), in the upright image."""
        return self.flat_psfs.unflatten(0, (self.kernels, 2))

    def effective_kernels(self) -> Tensor:
        """Kernels that optics, gains and subtraction realise on the whole window, (K, C, P, P)."""
        return turn(apply_gains(self.point_spread_functions(), self.gains))

    def signed_kernels(self) -> Tensor:
        """The central part of what is realised, (K, C, k, k)."""
        return crop_centre(self.effective_kernels(), self.kernel_size)

    def forward(self, scene: Tensor) -> tuple[Tensor]:
        """Take the image: (B, C, H, W) to one branch, (B, K, H', W')."""
        if self.sensor is None:
            return (correlate(scene, self.effective_kernels(), self.stride),)
        taken = torch.einsum("bkschw,ksc->bkshw", self.pictures(scene), self.gains)
        return (taken[:, :, 0] - taken[:, :, 1],)

    def convolutions(self) -> tuple[BranchConvolution]:
        """One convolution with the kernels of the whole window."""
        kernels = self.effective_kernels()
        return (BranchConvolution(kernels, self.stride, kernels.shape[-1] // 2),)

    def with_gains(self, gains: Tensor) -> MeasuredFrontend:
        """The same point spread functions behind other gains of the two signs, (K, 2)."""
        return self.measure().with_gains(gains)

    def measure(self) -> MeasuredFrontend:
        """The same point spread functions and gains, frozen."""
        return MeasuredFrontend(self.point_spread_functions(), self.gains, self.stride)

    def fabricate(
        self,
        errors: ChipErrors,
        layout: Layout,
        advance: Callable[[], None] = lambda: None,
    ) -> MeasuredFrontend:
        """A chip of these sub-optics.

        Pillars, light and distance get their errors first and are carried to the sensor; the
        errors of whole sub-optics come on top.

        Args:
            errors: Magnitudes of the errors, and the seed of the chip.
            layout: Where the sub-optics lie: neighbours leak light into each other.
            advance: Called after each sub-optic and wavelength while pillars are made.

        Raises:
            OpticsError: An error of pillars is not zero, and the design of the pillars was not
                given.
            SamplingError: The cells are too large for the light of this chip.
        """
        made = self.measure()
        if self.design is None:
            refuse_idle_errors(self, errors)
        elif errors.list_acting_on("pillars", "light"):
            design = replace(self.design, layout=layout)
            made.psfs = measure_fabricated_psfs(design, errors, advance).to(made.psfs)
        return made.fabricate(errors.without("pillars", "light"), layout)

    def capture(
        self,
        scene: Tensor,
        sensor: Sensor | None = None,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor]:
        """Both sub-optics' images, colours weighed and summed: one branch, (B, K, 2, H', W')."""
        return self.measure().capture(scene, sensor, generator)

    @torch.no_grad()
    def light(self, scene: Tensor) -> Tensor:
        """The light behind both sub-optics of each kernel, (B, K, 2, H', W')."""
        return self.measure().light(scene)

    def electronic_gains(self) -> Tensor:
        """The gains, (K, 2); of several colours their mean, weighed by the colours' light."""
        return self.measure().electronic_gains()

    def pictures(self, scene: Tensor) -> Tensor:
        """Read-out of the sensor behind each sub-optic, (B, K, 2, C, H', W')."""
        psfs = self.point_spread_functions()
        colours = psfs.shape[2]
        taken = [
            correlate(scene[:, c : c + 1], turn(psfs[:, :, c : c + 1].flatten(0, 1)), self.stride)
            for c in range(colours)
        ]
        pictures = torch.stack(taken, 2).unflatten(1, psfs.shape[:2])
        if self.sensor is None:
            return pictures
        # No scene is brighter than white, and a white one lights no pixel more than this.
        white = psfs.sum((-1, -2))[..., None, None].clamp_min(torch.finfo(psfs.dtype).tiny)
        return expose(pictures, white, self.sensor, self.generator)


class TrainableMetasurface(MetasurfaceFrontend):
    """The same with the widths of the pillars as parameters: end-to-end training.

    Widths are kept as positions from 0 to 1 in the range that can be made, so that one
    learning rate suits optics and electronics; they are held in the range as they are used,
    and :meth:`widths_m` puts them on the process's grid.

    Args:
        widths_m: To start from, (K, 2, cells, cells).
        metasurface: Geometry of a sub-optic.
        library: Pillars, at the metasurface's wavelengths.
        limits: Limits of the process.
        window: Odd side of the point spread functions, in pixels.
        kernel_size: Side of the kernels within.
        stride: Pixels of the scene a pixel of the feature map.
        gains: (K, 2, C).
        at_once: Sub-optics that are simulated together, in as many times the memory.

    Raises:
        OpticsError: A width cannot be made.
    """

    values: Tensor
    rises: Tensor

    def __init__(
        self,
        widths_m: Tensor,
        metasurface: Metasurface,
        library: PillarLibrary,
        limits: Limits,
        window: int,
        kernel_size: int,
        stride: int = 1,
        gains: Tensor | None = None,
        *,
        at_once: int = 1,
    ) -> None:
        colours = len(metasurface.wavelengths_m)
        nothing_yet = widths_m.new_zeros(len(widths_m), 2, colours, window, window)
        super().__init__(nothing_yet, kernel_size, stride, gains)
        del self.flat_psfs  # recomputed from the widths
        self.metasurface, self.limits, self.at_once = metasurface, limits, at_once
        low_m, high_m = limits.narrowest_m - PM, limits.widest_m + PM
        if not ((widths_m > low_m) & (widths_m < high_m)).all():
            raise OpticsError(
                "widths to start from are negative, not a number or beyond the process's "
                f"{limits.narrowest_m * 1e9:.4g} to {limits.widest_m * 1e9:.4g} nm; start from a "
                "design of the stage metasurface"
            )
        complex_of = {torch.float32: torch.complex64, torch.float64: torch.complex128}
        dtype = complex_of[widths_m.dtype]
        table = tabulate(library, dtype, widths_m.device)
        self.first_m, self.step_m = table.first_m, table.step_m
        self.register_buffer("values", table.values, persistent=False)
        self.register_buffer("rises", table.rises, persistent=False)
        self.propagator = metasurface.propagator(window, dtype, widths_m.device)
        self.span_m = limits.widest_m - limits.narrowest_m
        self.position = nn.Parameter((widths_m - limits.narrowest_m) / self.span_m)

    def widths_m(self) -> Tensor:
        """Widths that can be made, (K, 2, cells, cells)."""
        return self.limits.fit(self.limits.narrowest_m + self.span_m * self.position.detach())

    def point_spread_functions(self) -> Tensor:
        """(K, 2, C, P, P) of the widths as they are; ``at_once`` sub-optics are in memory."""
        parts = self.position.flatten(0, 1).split(self.at_once)
        if len(parts) == 1:
            return self._psf(parts[0]).unflatten(0, self.position.shape[:2])
        psfs = [checkpoint(self._psf, part, use_reentrant=False) for part in parts]
        return torch.cat(psfs).unflatten(0, self.position.shape[:2])  # pyright: ignore[reportArgumentType, reportCallIssue]

    def _psf(self, position: Tensor) -> Tensor:
        widths_m = self.limits.narrowest_m + self.span_m * position.clamp(0, 1)
        table = PillarTable(self.first_m, self.step_m, self.values, self.rises)
        return measure_psf(table.transmit(widths_m), self.metasurface, self.propagator)


def check_psfs(psfs: Tensor, kernel_size: int) -> None:
    """Refuse what cannot be point spread functions.

    Raises:
        OpticsError: They have a wrong shape, or are negative or not a number somewhere.
    """
    shape = tuple(psfs.shape)
    square_and_odd = len(shape) == 5 and shape[-1] == shape[-2] and shape[-1] % 2
    if not square_and_odd or shape[1] != 2 or (shape[-1] - kernel_size) % 2:
        raise OpticsError(
            f"point spread functions have the shape {shape}; (kernels, 2, colours, P, P) is "
            f"needed, with P and the kernel size ({kernel_size}) odd"
        )
    if not (psfs >= 0).all():
        raise OpticsError(
            f"point spread functions hold {int((~(psfs >= 0)).sum()):,} values that are negative "
            "or not a number; light is neither"
        )
