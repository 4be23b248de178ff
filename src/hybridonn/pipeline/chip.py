"""From a spec and trained kernels to a chip that can be designed, and back into the network."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hybridonn import spec as specs
from hybridonn.errors import OpticsError
from hybridonn.networks.hybrid import HybridNetwork
from hybridonn.networks.metasurface_frontend import MetasurfaceFrontend
from hybridonn.networks.seeding import seed_of
from hybridonn.optics.chip_optics import count_window
from hybridonn.optics.inverse_design import NM, Recipe, Workshop, limit_widths
from hybridonn.optics.layout import Layout, lay_out
from hybridonn.optics.metasurface import fit_metasurface
from hybridonn.optics.pillars import PillarLibrary, default_library
from hybridonn.optics.psf import fast_length
from hybridonn.optics.sensor import Sensor, count_camera_pixels, share_camera_pixels
from hybridonn.optics.targets import Targets, split_kernels


@dataclass(frozen=True)
class Chip:
    """What the stage works with.

    Attributes:
        workshop: Geometry, library, limits, recipe.
        layout: Where the sub-optics lie.
        targets: Of all kernels.
        window: Odd side of the point spread functions, in pixels.
    """

    workshop: Workshop
    layout: Layout
    targets: Targets
    window: int

    @property
    def kernel_size(self) -> int:
        """Pixels along a side of a kernel."""
        return self.targets.parts.shape[-1]


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


def plan_chip(spec: specs.Spec, kernels: Tensor, image_shape: tuple[int, int, int]) -> Chip:
    """Geometry, library and targets of a spec; refuses what cannot be made.

    Args:
        spec: With ``optics.metasurface``.
        kernels: Trained, (K, C, k, k).
        image_shape: (C, H, W) of a scene.

    Raises:
        OpticsError: The optics cannot be made.
        SpecError: Wavelengths and colours differ, or the kernels do not fit.
    """
    settings = settings_of(spec)
    wavelengths_m = spec.optics.wavelengths_m(image_shape[0])
    library = load_library(spec).at(wavelengths_m)
    limits = limit_widths(
        library, settings.min_width_nm * NM, settings.min_gap_nm * NM, settings.grid_nm * NM
    )
    metasurface = fit_metasurface(
        spec.optics.kernel_site_mm * 1e-3,
        library.period_m,
        settings.cell_pillars,
        settings.kernel_pixel_um * 1e-6,
        settings.sensor_distance_mm * 1e-3,
        wavelengths_m,
        spec.optics.sensor.bayer,
    )
    recipe = Recipe(**{name: getattr(settings, name) for name in Recipe.__dataclass_fields__})
    targets = split_kernels(kernels.detach().float().cpu())
    window = count_window(metasurface, max(image_shape[1:]), kernels.shape[-1])
    layout = lay_out(spec.optics, len(kernels))
    return Chip(Workshop(metasurface, library, limits, recipe), layout, targets, window)


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
        gains: (K, C).
        camera: With the camera of the spec; else with a perfect one.
    """
    device = next(network.backend.parameters()).device
    noise = None
    if camera and spec.optics.sensor.noise:
        noise = torch.Generator(device).manual_seed(seed_of("camera", spec.seed))
    sensor = build_sensor(spec, chip) if camera else None
    network.frontend = MetasurfaceFrontend(
        psfs, chip.kernel_size, spec.student.stride, gains, sensor, noise
    ).to(device)


def build_sensor(spec: specs.Spec, chip: Chip) -> Sensor:
    """The camera of a spec.

    Raises:
        OpticsError: Its pixels do not divide those of the kernels.
    """
    settings, metasurface = spec.optics.sensor, chip.workshop.metasurface
    colours = len(metasurface.wavelengths_m)
    side = count_camera_pixels(metasurface.pixel_m, settings.pixel_um * 1e-6, settings.bayer)
    return Sensor(
        settings.full_well_electrons,
        settings.read_noise_electrons,
        settings.bit_depth,
        settings.exposure,
        share_camera_pixels(side, colours, settings.bayer),
    )


def count_at_once(chip: Chip, memory_gb: float) -> int:
    """Kernels that are designed together: at least one, whatever the memory."""
    metasurface = chip.workshop.metasurface
    colours, cells = len(metasurface.wavelengths_m), metasurface.cells
    period = fast_length(cells + chip.targets.parts.shape[-1] * metasurface.pixel_cells)
    # A kernel has two masks: three complex fields a colour and six real ones, and the FFT's planes.
    each = 2 * cells**2 * (24 * colours + 24) + 8 * 4 * period**2 * colours
    return max(1, int(memory_gb * 1e9 / each))
