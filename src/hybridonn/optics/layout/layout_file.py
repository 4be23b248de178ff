"""The file that goes to the fab: OASIS or GDSII, read back and compared before it is done."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from time import perf_counter
from typing import Any

from hybridonn.core.errors import ArtefactError, OpticsError
from hybridonn.core.parts import scratch_folder
from hybridonn.optics.layout.cells import make_chip, make_pillar_cells, make_sub_optic
from hybridonn.optics.layout.layout_reading import LayoutFile, compare_design, read_own_layout
from hybridonn.optics.metasurface.design_rules import DesignRules, Extremes, check_rules
from hybridonn.optics.metasurface.pillar_map import NM, ChipDesign

FORMATS = {"oasis": ".oas", "gdsii": ".gds"}
STEPS_NM = (1.0, 0.5)
# The same design gives the same bytes; any moment would do.
MOMENT = datetime(2000, 1, 1)
# A record SREF with a name of four characters, the GDSII manual: 4 + 8 + 12 + 4 bytes.
GDSII_BYTES = 28
# What gdstk 1.0 takes to read one back, measured with 10 million of them.
GDSII_MEMORY = 400
OASIS_MEMORY = 16  # two float64 a place


@dataclass(frozen=True)
class LayoutOptions:
    """How a layout file is written.

    Attributes:
        label: What stands below the metasurface, printable ASCII.
        tone: ``pillars`` draws the pillars, which stay; ``cleared`` draws all that lies
            between them within the apertures, which goes.
        mirrored: Draw the chip as seen from behind, where the writing side faces the sensor.
        step_nm: Step of the database, 1 or 0.5.
        rules: The limits of the process.
        memory_gb: Refuse a file whose making or checking would take more memory.
    """

    label: str = "hybridonn"
    tone: str = "pillars"
    mirrored: bool = False
    step_nm: float = 1.0
    rules: DesignRules = field(default_factory=DesignRules)
    memory_gb: float = 4.0


@dataclass(frozen=True)
class LayoutSummary:
    """What was written and found right.

    Attributes:
        sub_optics: Number of sub-optics, two a kernel.
        pillars: Number of pillars of all sub-optics.
        distinct_widths: Number of different widths; cells without pillars are not counted.
        minimum_feature_nm: Width of the narrowest pillar.
        minimum_gap_nm: Clear distance of the two nearest pillars.
        bounding_box_mm: Left, lower, right and upper edge of all that is drawn.
        step_nm: Step of the database.
        tone: Whether pillars or the space between them are drawn, as in :class:`LayoutOptions`.
        bytes: Size of the file.
        sha256: Hash of the file.
        seconds: Time to write, read back and compare.
    """

    sub_optics: int
    pillars: int
    distinct_widths: int
    minimum_feature_nm: float
    minimum_gap_nm: float
    bounding_box_mm: tuple[float, ...]
    step_nm: float
    tone: str
    bytes: int
    sha256: str
    seconds: float


def write_layout(
    path: Path, design: ChipDesign, options: LayoutOptions | None = None
) -> tuple[LayoutSummary, LayoutFile]:
    """Write the chip, read it back and compare it, all before the file gets its name.

    Layers (layer/datatype): 1/0 pillars, or 1/1 what lies between them; 2/0 four crosses,
    200 um long with bars of 10 um, centred 200 um outside the corners of the metasurface;
    3/0 the label, 100 um high; 4/0 the apertures of the sub-optics, outside of which a stop
    should keep the light out; 5/0 the outline of the metasurface. Cells: ``CHIP_...`` on top
    holds ``K000_POSITIVE``, ``K000_NEGATIVE``, ..., which hold ``W065``, ...: the pillars of
    one cell of the design, named by their width in nanometres.

    The chip is drawn as the layout shows it, x to the right and y up, so a file that is
    written onto the side that faces the scene needs no more; for the other side see
    ``mirrored``. Every pillar is exactly as wide as designed. It stands in the middle of its
    period, or, where that is no step of the database, half a step left of and below it: with
    a step of 1 nm and a period of 293 nm the pillars of even width, all by the same 0.5 nm.

    Cost, measured on one core with random widths of 173 kinds, 2 x 2 pillars a cell: a sub-optic
    of 3200 x 3200 pillars 2 s, 0.24 GB and 5.4 MB of OASIS; a chip of 32 of them 49 s, 2.1 GB
    and 173 MB. GDSII has no lists of places and takes a record a cell: see ``memory_gb``.

    Args:
        path: Ends in .oas (OASIS) or .gds (GDSII).
        design: The chip.
        options: Label, tone, side, grid and limits.

    Returns:
        The record of the file, and what was read back from it.

    Raises:
        OpticsError: The chip breaks the rules, does not fit the grid or would take more
            memory than allowed, or an option is wrong.
        ArtefactError: The file cannot be written, or differs from the design when read back.
    """
    options = options or LayoutOptions()
    started = perf_counter()
    step_m = _check_options(path, design, options)
    drawn = design.mirrored() if options.mirrored else design
    extremes = check_rules(drawn, options.rules, step_m)
    with _aside(path) as part:
        _write(part, drawn, options, step_m)
        found = read_own_layout(part, design.period_m, design.cell_pillars)
        compare_design(found, drawn, path)
        content = part.stat().st_size, _hash(part)
    seconds = round(perf_counter() - started, 2)
    return _summarise(drawn, found, extremes, options.tone, content, seconds), found


def _check_options(path: Path, design: ChipDesign, options: LayoutOptions) -> float:
    if path.suffix.lower() not in FORMATS.values():
        raise OpticsError(f"{path.name} is no layout file: its name must end in .oas or .gds")
    if not options.label or not (options.label.isascii() and options.label.isprintable()):
        raise OpticsError(
            f"the label {options.label!r} cannot be drawn: it takes at least one character, all "
            "printable ASCII"
        )
    if options.tone not in ("pillars", "cleared"):
        raise OpticsError(f"there is no tone {options.tone!r}; choose pillars or cleared")
    if options.step_nm not in STEPS_NM:
        raise OpticsError(f"a database step of {options.step_nm:g} nm is not 1 or 0.5 nm")
    step_m = options.step_nm * NM
    steps = design.period_m / step_m
    if abs(steps - round(steps)) > 1e-6:
        raise OpticsError(
            f"a period of {design.period_m / NM:.6g} nm is no whole number of database steps of "
            f"{options.step_nm:g} nm: gaps would differ from pillar to pillar; "
            + ("take steps of 0.5 nm or " if options.step_nm == 1 else "")
            + "change the period"
        )
    _check_memory(path, design, options)
    return step_m


def _check_memory(path: Path, design: ChipDesign, options: LayoutOptions) -> None:
    cells = design.widths.size if options.tone == "cleared" else int((design.widths > 0).sum())
    gdsii = path.suffix.lower() == ".gds"
    # The design and what is read back are whole in memory, two bytes a cell each.
    needed_gb = (cells * (GDSII_MEMORY if gdsii else OASIS_MEMORY) + 4 * design.widths.size) / 1e9
    if needed_gb <= options.memory_gb:
        return
    cure = (
        f"GDSII takes a record for each and would grow to {cells * GDSII_BYTES / 1e9:.2g} GB: "
        "write OASIS (.oas) instead"
        if gdsii
        else "use larger cells or fewer kernels"
    )
    raise OpticsError(
        f"{path.name} would hold {cells:,} cells of pillars and take {needed_gb:.2g} GB of memory "
        f"to write and check, and {options.memory_gb:g} GB are allowed; {cure}, or allow more",
        *(() if gdsii else ("cell_pillars", "kernels")),
    )


def _write(path: Path, design: ChipDesign, options: LayoutOptions, step_m: float) -> None:
    import gdstk

    pillars = make_pillar_cells(design, step_m, options.tone == "cleared")
    if path.suffix == ".gds":
        _write_gdsii(path, design, options, step_m, pillars)
        return
    library = gdstk.Library("hybridonn", unit=1e-6, precision=step_m)
    library.add(*pillars.values())
    sub_optics = {}
    for kernel, part, _ in design.sites():
        cell = make_sub_optic(design, kernel, part, step_m, pillars)
        sub_optics[kernel, part] = cell
        library.add(cell)
    library.add(make_chip(design, step_m, options.label, sub_optics))
    library.write_oas(path, validation="crc32")


def _write_gdsii(
    path: Path, design: ChipDesign, options: LayoutOptions, step_m: float, pillars: dict[int, Any]
) -> None:
    """One cell after the other, so that one sub-optic is in memory at a time."""
    import gdstk

    writer = gdstk.GdsWriter(path, "hybridonn", unit=1e-6, precision=step_m, timestamp=MOMENT)
    writer.write(*pillars.values())
    names = {}
    for kernel, part, _ in design.sites():
        cell = make_sub_optic(design, kernel, part, step_m, pillars)
        names[kernel, part] = cell.name
        writer.write(cell)
    writer.write(make_chip(design, step_m, options.label, names))
    writer.close()


@contextmanager
def _aside(path: Path) -> Iterator[Path]:
    """A file beside its final name, which it gets only if all went well.

    Raises:
        ArtefactError: The file cannot be written, or is refused by what reads it.
    """
    try:
        with scratch_folder(path) as scratch:
            part = scratch / f"{path.stem}{path.suffix.lower()}"
            try:
                yield part
            except ArtefactError as error:
                raise ArtefactError(str(error).replace(str(part), str(path))) from None
            part.replace(path)
    except OSError as error:
        raise ArtefactError(
            f"cannot write the layout file {path}: {error.strerror or error}; nothing was left "
            "behind. Free some space or choose another folder with --out"
        ) from None


def _hash(path: Path) -> str:
    digest = sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def _summarise(
    design: ChipDesign,
    found: LayoutFile,
    extremes: Extremes,
    tone: str,
    content: tuple[int, str],
    seconds: float,
) -> LayoutSummary:
    return LayoutSummary(
        sub_optics=2 * len(found.widths),
        pillars=design.pillars,
        distinct_widths=sum(width > 0 for width in found.pillars_nm),
        minimum_feature_nm=round(extremes.feature_m / NM, 3),
        minimum_gap_nm=round(extremes.gap_m / NM, 3),
        bounding_box_mm=tuple(round(length / 1e6, 7) for length in found.bounds_nm.tolist()),
        step_nm=found.step_nm,
        tone=tone,
        bytes=content[0],
        sha256=content[1],
        seconds=seconds,
    )
