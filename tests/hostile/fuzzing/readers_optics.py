"""Readers of materials, pillar libraries and layout files."""

from __future__ import annotations

import json
import tempfile
from functools import cache
from pathlib import Path

import numpy as np

from fuzzing.reader import Files, Reader
from hybridonn.optics.layout.layout_file import LayoutOptions, write_layout
from hybridonn.optics.layout.layout_reading import compare_design, read_layout
from hybridonn.optics.layout.sites import Layout, Site
from hybridonn.optics.meta_atoms.library_table import format_table
from hybridonn.optics.meta_atoms.materials import packaged_file, read_material
from hybridonn.optics.meta_atoms.pillars import PillarLibrary
from hybridonn.optics.metasurface.pillar_map import NM, ChipDesign, make_design
from hybridonn.reports.artefacts.layout_file import pick_drawing, read_drawing

PERIOD = 293 * NM
FORMULAS = {
    "formula 1": "0 0.6961663 0.0684043 0.4079426 0.1162414 0.8974794 9.896161",
    "formula 4": "2.4 0.5 2 0.1 2 0.2 1 0.2 2",
    "formula 5": "1.5 0.004 -2 0.0001 -4",
}


def material_seeds() -> list[Files]:
    """The materials that come with the package, and one of each other kind."""
    tables = packaged_file("pillars.csv").parent
    found = [path.read_bytes() for path in sorted(tables.rglob("*.yml"))]
    rows = "\n        ".join(f"{0.3 + 0.1 * n:.1f} {1.5 + 0.01 * n:.2f}" for n in range(8))
    table = "  - type: tabulated {kind}\n    data: |\n        {rows}\n"
    both = table.format(kind="n", rows=rows) + table.format(kind="k", rows=rows)
    found.append(f"REFERENCES: x\nDATA:\n{both}".encode())
    for kind, terms in FORMULAS.items():
        block = f"  - type: {kind}\n    wavelength_range: 0.3 1.6\n    coefficients: {terms}\n"
        found.append(f"REFERENCES: x\nDATA:\n{block}".encode())
    return [{"m.yml": content} for content in found]


def _read_material(folder: Path) -> object:
    material = read_material(folder / "m.yml")
    return material.index(550e-9), material.index(np.array([450e-9, 532e-9, 635e-9]))


def library_seeds() -> list[Files]:
    """A small library in either form, and the beginning of the packaged one."""
    notes = {"period_nm": "293", "height_nm": "750", "material": "Si3N4"}
    rows = [
        (w, c, 0.9 * np.exp(0.02j * w)) for w in (0.0, 80.0, 120.0, 200.0) for c in (532.0, 635.0)
    ]
    text = format_table(notes, rows)
    cartesian = "# period_nm: 293\n# height_nm: 750\nwidth_nm,wavelength_nm,real,imag,note\n"
    cartesian += "".join(f"{w:g},{c:g},{v.real:.4f},{v.imag:.4f},x\n" for w, c, v in rows)
    return [{"l.csv": text.encode()}, {"l.csv": cartesian.encode()}]


def _read_library(folder: Path) -> object:
    return PillarLibrary.read_csv(folder / "l.csv")


@cache
def make_chip() -> ChipDesign:
    """A chip of two kernels with 6 x 5 cells."""
    pitch = 10e-6
    sites = [
        Site(row, part, (part - 0.5) * pitch, (0.5 - row) * pitch, row, 1 - 2 * part)
        for row in range(2)
        for part in range(2)
    ]
    layout = Layout(60e-6, 60e-6, 8e-6, 2e-6, 2, 2, tuple(sites))
    widths = np.random.default_rng(0).integers(65, 238, (2, 2, 6, 5)).astype(np.uint16)
    widths[..., 0, 1] = 0
    return make_design(layout, widths, PERIOD)


def layout_seeds() -> list[Files]:
    """OASIS and GDSII, pillars or what is between them."""
    seeds = []
    with tempfile.TemporaryDirectory() as scratch:
        for name in ("chip.oas", "chip.gds"):
            for tone in ("pillars", "cleared"):
                path = Path(scratch) / name
                path.unlink(missing_ok=True)
                write_layout(path, make_chip(), LayoutOptions(tone=tone))
                seeds.append({name: path.read_bytes()})
    return seeds


def _read_layout(folder: Path) -> object:
    path = folder / ("chip.gds" if (folder / "chip.gds").exists() else "chip.oas")
    found = read_layout(path, PERIOD)
    compare_design(found, make_chip(), path)
    return found


def drawing_seeds() -> list[Files]:
    """The boxes and points of a layout file, as a run keeps them for its report."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "chip.oas"
        write_layout(path, make_chip(), LayoutOptions())
        drawing = pick_drawing(read_layout(path, PERIOD)).to_dict()
    record = {"metasurface": "abc", "drawing": drawing}
    stage = {"fingerprint": "abc", "results": {}, "files": {}}
    return [
        {
            "layout_file.json": json.dumps(record).encode(),
            "metasurface/stage.json": json.dumps(stage).encode(),
        }
    ]


READERS = [
    Reader("materials", material_seeds, _read_material),
    Reader("libraries", library_seeds, _read_library),
    Reader("layout files", layout_seeds, _read_layout),
    Reader("boxes", drawing_seeds, read_drawing),
]
