"""From what a spec states, in nanometres to millimetres, to the SI records of the optics.

The optics know neither specs nor keys. Where a user needs the key to mend what the optics
refuse, it is added here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from hybridonn.core.errors import OpticsError, SamplingError, SpecError
from hybridonn.core.random import generator_of
from hybridonn.networks.frontends.table import FRONTENDS
from hybridonn.optics.fabrication.chip_errors import ChipErrors
from hybridonn.optics.fabrication.fabricated_psf import refuse_unsampled
from hybridonn.optics.fabrication.table import TABLE
from hybridonn.optics.layout.sites import Layout, SurfaceSize, lay_out
from hybridonn.optics.meta_atoms.pillars import PillarLibrary
from hybridonn.optics.metasurface.design_rules import DesignRules
from hybridonn.optics.metasurface.inverse_design import Limits, limit_widths
from hybridonn.optics.metasurface.sub_optic import Metasurface, fit_metasurface
from hybridonn.optics.sensor import Sensor, count_camera_pixels, share_camera_pixels
from hybridonn.spec import Fabrication, Optics, Spec
from hybridonn.spec import Metasurface as StatedMetasurface
from hybridonn.spec import Sensor as StatedSensor

if TYPE_CHECKING:
    import torch

NM, UM, MM = 1e-9, 1e-6, 1e-3

# The key of the spec that states a quantity of the optics.
QUANTITY_KEYS = MappingProxyType(
    {
        "width_m": "optics.metasurface_width_mm",
        "height_m": "optics.metasurface_height_mm",
        "site_m": "optics.kernel_site_mm",
        "gap_m": "optics.gap_mm",
        "wafer_diameter_m": "optics.wafer_diameter_mm",
        "kernels": "student.kernels",
        "wavelengths_m": "optics.wavelengths_nm",
        "distance_m": "optics.metasurface.sensor_distance_mm",
        "pixel_m": "optics.metasurface.kernel_pixel_um",
        "cell_pillars": "optics.metasurface.cell_pillars",
        "min_width_m": "optics.metasurface.min_width_nm",
        "min_gap_m": "optics.metasurface.min_gap_nm",
        "grid_m": "optics.metasurface.grid_nm",
        "min_transmittance": "optics.metasurface.min_transmittance",
        "camera_pixel_m": "optics.sensor.pixel_um",
    }
)
SIZES = ("width_m", "height_m", "site_m", "gap_m", "wafer_diameter_m", "kernels")
CHIP_KEYS = ("seed", "defocus_um", "bandwidth_nm", "wavelength_offset_nm")


@contextmanager
def naming_keys() -> Iterator[None]:
    """Add the keys of the spec to what the optics refuse by their physical quantities.

    Raises:
        OpticsError: What was refused, of the same class, with the keys at the end.
    """
    try:
        yield
    except OpticsError as error:
        if not error.quantities:
            raise
        keys = [QUANTITY_KEYS[quantity] for quantity in error.quantities]
        raise type(error)(_with_keys(error, keys)) from None


def _with_keys(error: OpticsError, keys: Iterable[str]) -> str:
    return f"{error} (keys: {', '.join(keys)})"


def read_chip_errors(stated: Fabrication) -> ChipErrors:
    """The seed of one chip and the magnitudes of its errors in SI units."""
    return ChipErrors(stated.seed, read_magnitudes(stated))


def read_magnitudes(stated: Fabrication, *keys: str) -> dict[str, float]:
    """The magnitudes of errors in SI units, by the names of the table of errors.

    Args:
        stated: Section ``fabrication`` of a spec; other keys than the stated ones are not read,
            so a stage may have narrowed it to them.
        keys: Keys of the errors; none: all.
    """
    records = [record for record in TABLE if not keys or record.key in keys]
    values = {record: getattr(stated, record.key) for record in records}
    return {
        record.quantity: value if isinstance(value, bool) else value * record.si
        for record, value in values.items()
    }


def read_surface_size(stated: Optics) -> SurfaceSize:
    """The sizes of metasurface, site, gap and wafer in metres."""
    return SurfaceSize(
        width_m=stated.metasurface_width_mm / 1e3,
        height_m=stated.metasurface_height_mm / 1e3,
        site_m=stated.kernel_site_mm / 1e3,
        gap_m=stated.gap_mm / 1e3,
        wafer_diameter_m=stated.wafer_diameter_mm / 1e3,
    )


def fit_stated_metasurface(
    stated: Optics,
    settings: StatedMetasurface,
    library: PillarLibrary,
    wavelengths_m: tuple[float, ...],
) -> Metasurface:
    """The geometry of the largest sub-optic that a stated site holds.

    Args:
        stated: Section ``optics`` of a spec.
        settings: Section ``optics.metasurface``.
        library: Pillars, whose period sets the cell.
        wavelengths_m: Wavelength of each colour in metres.

    Raises:
        OpticsError: A kernel's pixel is no whole number of cells, or the site is too small.
    """
    return fit_metasurface(
        stated.kernel_site_mm * MM,
        library.period_m,
        settings.cell_pillars,
        settings.kernel_pixel_um * UM,
        settings.sensor_distance_mm * MM,
        wavelengths_m,
        stated.sensor.bayer,
    )


def read_limits(settings: StatedMetasurface, library: PillarLibrary) -> Limits:
    """The widths in metres that a stated process can make of a library.

    Raises:
        OpticsError: There is no choice of widths.
    """
    least = (settings.min_width_nm * NM, settings.min_gap_nm * NM)
    return limit_widths(library, *least, settings.grid_nm * NM)


def read_design_rules(settings: StatedMetasurface) -> DesignRules:
    """The least width and gap of a stated process in metres."""
    return DesignRules(settings.min_width_nm * NM, settings.min_gap_nm * NM)


def read_sensor(stated: StatedSensor, metasurface: Metasurface) -> Sensor:
    """The camera behind a metasurface.

    Args:
        stated: Section ``optics.sensor`` of a spec.
        metasurface: Geometry of a sub-optic, in metres.

    Raises:
        OpticsError: The camera's pixels do not divide those of the kernels.
    """
    side = count_camera_pixels(metasurface.pixel_m, stated.pixel_um * UM, stated.bayer)
    return Sensor(
        stated.full_well_electrons,
        stated.read_noise_electrons,
        stated.bit_depth,
        stated.exposure,
        share_camera_pixels(side, len(metasurface.wavelengths_m), stated.bayer),
    )


def read_plain_sensor(stated: StatedSensor, colours: int) -> Sensor:
    """The camera of a spec with one of its pixels in a pixel of the image, for each colour.

    Args:
        stated: Section ``optics.sensor`` of a spec.
        colours: Channels of a scene.
    """
    return Sensor(
        stated.full_well_electrons,
        stated.read_noise_electrons,
        stated.bit_depth,
        stated.exposure,
        colours * (1,),
    )


def draw_camera_noise(spec: Spec, device: Any = "cpu") -> torch.Generator | None:
    """The generator of the camera's noise on test images; None: the spec wants no noise.

    Every optics of a spec meets the same draws, so that comparisons are paired.

    Args:
        spec: With the camera and the seed.
        device: Of the images.
    """
    return generator_of("camera", spec.seed, device=device) if spec.optics.sensor.noise else None


def refuse_digital(spec: Spec, what: str) -> None:
    """Refuse to do with a run what needs optics, if its student has none.

    Args:
        spec: Of the run.
        what: What cannot be done, such as ``"be captured"``.

    Raises:
        SpecError: Its student is all digital.
    """
    if not FRONTENDS[spec.frontend].optical:
        raise SpecError(
            f"student.optics is none, so the run {spec.name} is of an all-digital student, whose "
            f"optics cannot {what}; set student.optics to trained and run it again"
        )


def lay_out_kernels(stated: Optics, kernels: int) -> Layout:
    """Place signed kernels on the metasurface that a spec states.

    Args:
        stated: Section ``optics`` of a spec.
        kernels: Number of signed kernels; 0 gives the empty grid.

    Raises:
        SpecError: They do not fit, with the keys that decide it.
    """
    try:
        return lay_out(read_surface_size(stated), kernels)
    except OpticsError as error:
        raise SpecError(_with_keys(error, (QUANTITY_KEYS[size] for size in SIZES))) from None


def refuse_unsampled_chip(metasurface: Metasurface, window: int, stated: Fabrication) -> None:
    """Refuse a chip whose light its cells cannot carry, before anything is made.

    Args:
        metasurface: Geometry of a sub-optic, as designed, in metres.
        window: Side of the point spread functions, in pixels.
        stated: Section ``fabrication`` of a spec.

    Raises:
        SamplingError: The cells are too large, with the keys that decide it.
    """
    try:
        refuse_unsampled(metasurface, window, read_chip_errors(stated))
    except SamplingError as error:
        keys = (f"fabrication.{key}" for key in CHIP_KEYS)
        raise SamplingError(_with_keys(error, keys)) from None
