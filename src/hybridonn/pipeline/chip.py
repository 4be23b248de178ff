"""From a spec and trained kernels to a chip that can be designed, and back into the network."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor

from hybridonn import spec as specs
from hybridonn.core.errors import OpticsError
from hybridonn.core.memory import refuse_beyond_memory
from hybridonn.networks.frontends.binned import BinnedFrontend
from hybridonn.networks.frontends.frontend import Frontend
from hybridonn.networks.frontends.metasurface import MetasurfaceFrontend
from hybridonn.networks.hybrid import HybridNetwork
from hybridonn.optics.layout.sites import Layout
from hybridonn.optics.meta_atoms.diffraction import check_steep_orders
from hybridonn.optics.meta_atoms.pillars import PillarLibrary, default_library
from hybridonn.optics.meta_atoms.resonances import avoid_resonances, drop_resonances
from hybridonn.optics.metasurface.inverse_design import (
    DesignContext,
    Limits,
    Recipe,
)
from hybridonn.optics.metasurface.psf import check_steepness
from hybridonn.optics.metasurface.sub_optic import Metasurface
from hybridonn.optics.metasurface.sub_optic_numbers import count_window, size_of_plane
from hybridonn.optics.metasurface.targets import Targets, crop_centre, split_kernels
from hybridonn.optics.sensor import Sensor
from hybridonn.optics.waves.pruned_fft import fast_length
from hybridonn.pipeline.from_spec import (
    draw_camera_noise,
    fit_stated_metasurface,
    lay_out_kernels,
    naming_keys,
    read_limits,
    read_sensor,
)


@dataclass(frozen=True)
class Readout:
    """Kernels of a chip that are read out at one resolution.

    Attributes:
        kernels: Which of all kernels.
        size: Pixels along a side of their block on the sensor; the weights of a kernel lie
            ``binning`` pixels apart.
        binning: Pixels, along one side, that are summed into one when they are read out.
    """

    kernels: slice
    size: int
    binning: int


@dataclass(frozen=True)
class ChipPlan:
    """What is known of a chip before any kernel is trained.

    Attributes:
        design_context: Geometry, library, limits, recipe.
        layout: Where the sub-optics lie.
        window: Odd side of the point spread functions, in pixels.
        branches: All kernels in their order, by resolution; one where there is one.
    """

    design_context: DesignContext
    layout: Layout
    window: int
    branches: tuple[Readout, ...]


@dataclass(frozen=True)
class Chip(ChipPlan):
    """What the stage works with.

    Attributes:
        targets: Of all kernels, the smaller ones in the middle of darkness.
    """

    targets: Targets

    @property
    def kernel_size(self) -> int:
        """Pixels along a side of the largest kernel's block."""
        return self.targets.parts.shape[-1]

    def blocks(self, psfs: Tensor) -> Iterator[tuple[Tensor, Targets]]:
        """The central block of each branch's point spread functions, with its targets.

        Args:
            psfs: (K, 2, C, P, P).
        """
        for branch in self.branches:
            yield crop_centre(psfs[branch.kernels], branch.size), self.own_targets(branch)

    def own_targets(self, branch: Readout, kernels: slice | None = None) -> Targets:
        """The targets of a branch, or of some of its kernels, without darkness around them."""
        own = self.targets.take(kernels or branch.kernels)
        return Targets(crop_centre(own.parts, branch.size), own.scale)


def settings_of(spec: specs.Spec) -> specs.Metasurface:
    """The metasurface section of a spec.

    Raises:
        OpticsError: There is none.
    """
    if spec.optics.metasurface is None:
        raise OpticsError(
            "optics.metasurface is not set, so there is none to design; set it to {} for the "
            "defaults, the authors' chip"
        )
    return spec.optics.metasurface


@naming_keys()
def plan_chip(spec: specs.Spec, kernels: Tensor, image_shape: tuple[int, int, int]) -> Chip:
    """Geometry, library and targets of a spec; refuses what cannot be made.

    Args:
        spec: With ``optics.metasurface``.
        kernels: Trained, as they lie on the sensor, (K, C, k, k).
        image_shape: (C, H, W) of a scene.

    Raises:
        OpticsError: The optics cannot be made.
        SpecError: Wavelengths and colours differ, or the kernels do not fit.
    """
    plan = plan_optics(spec, image_shape)
    return Chip(**vars(plan), targets=split_kernels(kernels.detach().float().cpu()))


@naming_keys()
def plan_optics(spec: specs.Spec, image_shape: tuple[int, int, int]) -> ChipPlan:
    """All of a chip but its kernels: so what cannot be made is refused before any training.

    Args:
        spec: With ``optics.metasurface``.
        image_shape: (C, H, W) of a scene.

    Raises:
        OpticsError: The optics cannot be made, or not simulated rightly.
        SpecError: Wavelengths and colours differ, or the kernels do not fit.
    """
    settings = settings_of(spec)
    branches = list_readouts(spec.student)
    wavelengths_m = spec.optics.wavelengths_m(image_shape[0])
    library, limits = _choose_pillars(settings, load_library(spec).at(wavelengths_m))
    metasurface = fit_stated_metasurface(spec.optics, settings, library, wavelengths_m)
    recipe = Recipe(**{name: getattr(settings, name) for name in Recipe.__dataclass_fields__})
    size = max(branch.size for branch in branches)
    window = count_window(metasurface, max(image_shape[1:]), size)
    refuse_large_design(metasurface, window, spec.student.kernels)
    widest = max(window * metasurface.pixel_cells, size_of_plane(metasurface, size))
    reach_m = (metasurface.cells + widest) / 2 * metasurface.cell_m
    check_steepness(reach_m, metasurface.cell_m, wavelengths_m, metasurface.distance_m)
    steepest = reach_m / math.hypot(reach_m, metasurface.distance_m)
    check_steep_orders(library.period_m, wavelengths_m, steepest)
    layout = lay_out_kernels(spec.optics, spec.student.kernels)
    plan = ChipPlan(DesignContext(metasurface, library, limits, recipe), layout, window, branches)
    build_sensor(spec, plan)
    return plan


def list_readouts(student: specs.Student) -> tuple[Readout, ...]:
    """The kernels of a student by the resolution at which they are read out."""
    return tuple(
        Readout(kernels, (branch.kernel_size - 1) * branch.binning + 1, branch.binning)
        for kernels, branch in student.split_kernels()
    )


def _choose_pillars(
    settings: specs.Metasurface, library: PillarLibrary
) -> tuple[PillarLibrary, Limits]:
    """What a design may use: the library without resonances, and the widths beside them."""
    least = settings.min_transmittance
    steady = drop_resonances(library, least)
    return steady, avoid_resonances(read_limits(settings, steady), library, least)


def load_library(spec: specs.Spec) -> PillarLibrary:
    """The pillars of a spec: of a file, or those that come with the package."""
    path = settings_of(spec).library
    return default_library() if path is None else PillarLibrary.read_csv(path)


def put_in(
    network: HybridNetwork,
    spec: specs.Spec,
    chip: Chip,
    psfs: Tensor,
    gains: Tensor,
    camera: bool,
) -> None:
    """Put simulated optics in place of a student's; its backend stays as it is.

    Args:
        network: Changed in place.
        spec: Of student and camera.
        chip: That the point spread functions are of.
        psfs: (K, 2, C, P, P).
        gains: (K, 2, C).
        camera: With the camera of the spec; else with a perfect one.
    """
    device = next(network.backend.parameters()).device
    noise = draw_camera_noise(spec, device) if camera else None
    sensor = build_sensor(spec, chip) if camera else None
    optics = MetasurfaceFrontend(psfs, chip.kernel_size, spec.student.stride, gains, sensor, noise)
    network.frontend = in_branches(optics, chip.branches).to(device)


def in_branches(optics: Frontend, readouts: Sequence[Readout]) -> Frontend:
    """Optics of all kernels, read out at the resolutions of their branches."""
    if [branch.binning for branch in readouts] == [1]:
        return optics
    kernels = [branch.kernels.stop - branch.kernels.start for branch in readouts]
    return BinnedFrontend(optics, kernels, [branch.binning for branch in readouts])


@naming_keys()
def build_sensor(spec: specs.Spec, plan: ChipPlan) -> Sensor:
    """The camera of a spec.

    Raises:
        OpticsError: Its pixels do not divide those of the kernels.
    """
    return read_sensor(spec.optics.sensor, plan.design_context.metasurface)


def count_at_once(chip: Chip, memory_gb: float) -> int:
    """Kernels that are designed together: at least one, whatever the memory."""
    return max(
        1, int(memory_gb * 1e9 / count_design_bytes(chip.design_context.metasurface, chip.window))
    )


def count_design_bytes(metasurface: Metasurface, window: int) -> int:
    """Memory that the design of one kernel takes.

    Args:
        metasurface: Geometry of a sub-optic.
        window: Side of the point spread functions, in pixels.
    """
    colours, cells = len(metasurface.wavelengths_m), metasurface.cells
    period = fast_length(cells + window * metasurface.pixel_cells)
    # A kernel has two masks: three complex fields a colour and six real ones, and the FFT's planes.
    return 2 * cells**2 * (24 * colours + 24) + 8 * 4 * period**2 * colours


def refuse_large_design(metasurface: Metasurface, window: int, kernels: int) -> None:
    """Refuse a metasurface that this machine cannot design, before anything is allocated.

    Args:
        metasurface: Geometry of a sub-optic.
        window: Side of the point spread functions, in pixels.
        kernels: Number of kernels.

    Raises:
        SpecError: It takes more memory than there is.
    """
    cells = metasurface.cells
    refuse_beyond_memory(
        count_design_bytes(metasurface, window),
        f"the design of one kernel as two sub-optics of {cells:,} x {cells:,} cells",
        "lower optics.kernel_site_mm or raise optics.metasurface.cell_pillars",
    )
    pixels = window**2 * len(metasurface.wavelengths_m)
    refuse_beyond_memory(
        8 * kernels * (cells**2 + pixels),  # single precision, two parts a kernel
        f"widths and point spread functions of {kernels:,} kernels of {cells:,} x {cells:,} cells",
        "lower student.kernels or optics.kernel_site_mm",
    )
