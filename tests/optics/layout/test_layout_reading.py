"""A layout file that another program changed must never pass for the design."""

import struct
import zlib
from dataclasses import replace

import numpy as np
import pytest

from hybridonn.core.errors import ArtefactError
from hybridonn.optics.layout.layout_file import write_layout
from hybridonn.optics.layout.layout_reading import compare_design, read_layout, read_own_layout
from hybridonn.optics.metasurface.pillar_map import NM, make_design
from hybridonn.pipeline.from_spec import lay_out_kernels
from hybridonn.spec import Optics

gdstk = pytest.importorskip("gdstk")

PERIOD = 293


def make_chip(kernels=2, rows=7, columns=9, cell_pillars=2, period_nm: float = PERIOD, seed=0):
    rng = np.random.default_rng(seed)
    widths = rng.integers(63, 238, (kernels, 2, rows, columns))
    widths[widths < 65] = 0
    widths[:, :, 2, 3:5] = 0
    widths[0, 0, 0, 0], widths[0, 0, -1, -1] = 65, 236  # no mirror, no turn looks alike
    site = max(rows, columns) * cell_pillars * period_nm * 1e-6
    side = 4 * (site + 0.001)
    optics = Optics(
        metasurface_width_mm=side, metasurface_height_mm=side, kernel_site_mm=site, gap_mm=0.001
    )
    return make_design(lay_out_kernels(optics, kernels), widths, period_nm * NM, cell_pillars)


def rewrite(path, edit):
    """Change a layout file as another program would, checksum and all."""
    library = gdstk.read_oas(path)
    edit({cell.name: cell for cell in library.cells}, library)
    library.write_oas(path, validation="crc32")


def move_pillar(cells, _):
    cells["W236"].polygons[0].translate(0.002, 0)


def stretch_pillar(cells, _):
    cells["W236"].polygons[0].scale(1.01, 1)


def drop_reference(cells, _):
    cells["K000_NEGATIVE"].remove(cells["K000_NEGATIVE"].references[0])


def double_reference(cells, _):
    cells["K001_POSITIVE"].add(cells["K001_POSITIVE"].references[0].copy())


def shift_reference(cells, _):
    reference = cells["K001_POSITIVE"].references[0]
    reference.origin = (reference.origin[0] + 0.001, reference.origin[1])


def move_out(cells, _):
    reference = cells["K001_POSITIVE"].references[0]
    reference.origin = (reference.origin[0] - 100 * 0.586, reference.origin[1])


def shift_sub_optic(cells, _):
    reference = cells["CHIP_hybridonn"].references[3]
    reference.origin = (reference.origin[0], reference.origin[1] + 0.001)


def turn_sub_optic(cells, _):
    cells["CHIP_hybridonn"].references[3].rotation = np.pi


def enlarge_sub_optic(cells, _):
    cells["CHIP_hybridonn"].references[3].magnification = 1.001


def mirror_pillars(cells, _):
    cells["K001_POSITIVE"].references[0].x_reflection = True


def other_layer(cells, _):
    for polygon in cells["W236"].polygons:
        polygon.layer = 9


def add_cell(_, library):
    library.add(gdstk.Cell("CONTEXT").add(gdstk.rectangle((0, 0), (1, 1))))


def drop_outline(cells, _):
    chip = cells["CHIP_hybridonn"]
    chip.remove(*(shape for shape in chip.polygons if shape.layer == 5))


EDITS = (
    move_pillar,
    stretch_pillar,
    drop_reference,
    double_reference,
    shift_reference,
    move_out,
    shift_sub_optic,
    turn_sub_optic,
    enlarge_sub_optic,
    mirror_pillars,
    other_layer,
    add_cell,
    drop_outline,
)


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: edit.__name__)
def test_a_file_that_differs_from_the_design_is_found(tmp_path, edit):
    design = make_chip()
    path = tmp_path / "chip.oas"
    write_layout(path, design)
    rewrite(path, lambda cells, library: None)
    compare_design(read_layout(path, PERIOD * NM), design, path)
    rewrite(path, edit)
    with pytest.raises(ArtefactError, match=r"chip\.oas cannot be used"):
        compare_design(read_layout(path, PERIOD * NM), design, path)


def test_the_first_difference_is_located(tmp_path):
    design = make_chip()
    path = tmp_path / "chip.oas"
    write_layout(path, design)
    other = design.widths.copy()
    other[1, 1, 4, 2:4] = 99
    with pytest.raises(ArtefactError, match="2 cells differ") as caught:
        compare_design(read_layout(path, PERIOD * NM), replace(design, widths=other), path)
    assert "kernel 1, negative part, row 4, column 2" in str(caught.value)
    assert "for 99 nm" in str(caught.value)


def change_bytes(content, rng):
    """A damaged file whose checksum is right: nothing warns the reader."""
    content = bytearray(content)
    for place in rng.integers(20, len(content) - 5, 4):
        content[place] = rng.integers(256)
    return bytes(content[:-4]) + struct.pack("<I", zlib.crc32(bytes(content[:-4])))


def test_a_file_that_crashes_its_library_is_a_sentence(tmp_path):
    chip, path = make_chip(), tmp_path / "chip.oas"
    write_layout(path, chip)
    sound, rng = path.read_bytes(), np.random.default_rng(0)
    crashed = 0
    for _ in range(40):
        path.write_bytes(change_bytes(sound, rng))
        try:
            read_layout(path, PERIOD * NM)
        except ArtefactError as error:
            assert str(path) in str(error)
            assert "\n" not in str(error)
            crashed += "SIGSEGV" in str(error)
        if crashed:
            return
    pytest.fail("none of the damaged files crashes gdstk")


def test_a_file_that_needs_more_than_its_size_promises_is_refused(tmp_path):
    path = tmp_path / "chip.oas"
    library = gdstk.Library(unit=1e-6, precision=1e-9)
    cell = library.new_cell("W065")
    # 200 bytes that stand for 4e12 places.
    many = gdstk.rectangle((0, 0), (0.065, 0.065), layer=1, datatype=0)
    many.repetition = gdstk.Repetition(2_000_000, 2_000_000, spacing=(0.293, 0.293))
    cell.add(many)
    library.new_cell("CHIP_hybridonn").add(gdstk.Reference(cell))
    library.write_oas(path, validation="crc32")
    with pytest.raises(ArtefactError, match=r"chip\.oas cannot be used: .*memory"):
        read_layout(path, PERIOD * NM)


def test_what_is_read_apart_is_what_is_read_here(tmp_path):
    path = tmp_path / "chip.gds"
    write_layout(path, make_chip())
    here, apart = read_own_layout(path, PERIOD * NM), read_layout(path, PERIOD * NM)
    np.testing.assert_equal(vars(apart), vars(here))
    assert apart.widths.dtype == here.widths.dtype


@pytest.mark.parametrize("unit", [bytes(8), b"\x80" + bytes(7), b"\xbe" + b"\xff" * 7])
def test_a_file_whose_coordinates_have_no_step_is_refused(tmp_path, unit):
    path = tmp_path / "chip.gds"
    write_layout(path, make_chip())
    content = path.read_bytes()
    units = content.index(b"\x00\x14\x03\x05") + 4  # its record: two numbers of 8 bytes
    path.write_bytes(content[: units + 8] + unit + content[units + 16 :])
    with pytest.raises(ArtefactError, match=r"coordinates are in steps of -?\S+ nm"):
        read_layout(path, PERIOD * NM)
