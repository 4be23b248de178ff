"""From what a spec states, in nanometres to millimetres, to the SI records of the optics.

The optics know neither specs nor keys. Where a user needs the key to mend what the optics
refuse, it is added here.
"""

from __future__ import annotations

from hybridonn.core.errors import OpticsError, SamplingError, SpecError
from hybridonn.optics.fabrication.chip_errors import ChipErrors
from hybridonn.optics.fabrication.fabricated_psf import refuse_unsampled
from hybridonn.optics.fabrication.table import TABLE
from hybridonn.optics.layout.sites import Layout, SurfaceSize, lay_out
from hybridonn.optics.metasurface.sub_optic import Metasurface
from hybridonn.spec import Fabrication, Optics

SIZE_KEYS = (
    "optics.metasurface_width_mm",
    "optics.metasurface_height_mm",
    "optics.kernel_site_mm",
    "optics.gap_mm",
    "optics.wafer_diameter_mm",
    "student.kernels",
)


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
        raise SpecError(f"{error} (keys: {', '.join(SIZE_KEYS)})") from None


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
        keys = "fabrication.seed, fabrication.defocus_um, bandwidth_nm and wavelength_offset_nm"
        raise SamplingError(f"{error} (keys: {keys})") from None
