"""Layout files of small chips, read back with gdstk itself as well."""

from dataclasses import replace
from hashlib import sha256

import gdstk
import numpy as np
import pytest

from hybridonn.core.errors import ArtefactError, OpticsError
from hybridonn.optics.layout import layout_file as module
from hybridonn.optics.layout.layout_file import LayoutOptions, write_layout
from hybridonn.optics.layout.layout_reading import compare_design, read_layout
from hybridonn.optics.layout.sites import Layout, Site
from hybridonn.optics.metasurface.pillar_map import NM, make_design

PERIOD = 293 * NM
PITCH = 10e-6


def lay(kernels=2, side_m=60e-6):
    """Pairs of sites beside each other, kernel 0 uppermost."""
    sites = [
        Site(row, part, (part - 0.5) * PITCH, ((kernels - 1) / 2 - row) * PITCH, row, 1 - 2 * part)
        for row in range(kernels)
        for part in range(2)
    ]
    return Layout(side_m, side_m, 8e-6, 2e-6, kernels, 2, tuple(sites))


def draw_widths(shape=(2, 2, 6, 5), seed=0):
    widths = np.random.default_rng(seed).integers(65, 238, shape).astype(np.uint16)
    widths[..., 0, 1] = 0
    return widths


@pytest.fixture
def design():
    return make_design(lay(), draw_widths(), PERIOD)


def flatten(path, layer):
    """All polygons of a layer, with gdstk's own flattening: (N, 4) boxes in nanometres."""
    read = gdstk.read_gds if path.suffix == ".gds" else gdstk.read_oas
    (top,) = read(path, unit=1e-9).top_level()
    found = top.get_polygons(layer=layer[0], datatype=layer[1])
    return np.array([np.ravel(shape.bounding_box()) for shape in found]), found


def expected_boxes(design, step=1.0):
    """Every pillar by the documented rule, one after the other."""
    boxes = []
    rows = design.widths.shape[2]
    for site in design.layout.sites:
        part = 0 if site.sign > 0 else 1
        plane = design.widths[site.kernel, part]
        left = site.x_m / NM - plane.shape[1] * 293
        low = site.y_m / NM - rows * 293
        for (row, column), width in np.ndenumerate(plane):
            for i in range(2):
                for j in range(2):
                    if width:
                        edge = np.floor((293 - float(width)) / 2 / step) * step
                        x = round(left) + (2 * column + i) * 293 + edge
                        y = round(low) + (2 * (rows - 1 - row) + j) * 293 + edge
                        boxes.append((x, y, x + width, y + width))
    return np.array(sorted(boxes))


@pytest.mark.parametrize("suffix", [".oas", ".gds"])
@pytest.mark.parametrize("step", [1.0, 0.5])
def test_every_pillar_stands_where_the_rule_says_with_its_exact_width(
    tmp_path, design, suffix, step
):
    path = tmp_path / f"chip{suffix}"
    summary, found = write_layout(path, design, LayoutOptions(step_nm=step))
    boxes, _ = flatten(path, (1, 0))
    got = np.array(sorted(map(tuple, (np.rint(boxes * 2) / 2).tolist())))
    assert np.array_equal(got, expected_boxes(design, step))
    assert np.array_equal(found.widths, design.widths)
    assert summary.pillars == len(boxes) == design.pillars
    assert summary.distinct_widths == len(np.unique(design.widths)) - 1
    assert summary.bytes == path.stat().st_size
    assert summary.sha256 == sha256(path.read_bytes()).hexdigest()
    assert summary.minimum_feature_nm == design.widths[design.widths > 0].min()
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("suffix", [".oas", ".gds"])
def test_the_space_between_the_pillars_is_all_of_the_aperture_but_them(tmp_path, design, suffix):
    path = tmp_path / f"chip{suffix}"
    _, found = write_layout(path, design, LayoutOptions(tone="cleared"))
    _, shapes = flatten(path, (1, 1))
    area = sum(shape.area() for shape in shapes)
    apertures = 4 * 6 * 5 * (2 * 293) ** 2
    assert area == pytest.approx(apertures - 4 * (design.widths.astype(float) ** 2).sum(), rel=1e-9)
    assert flatten(path, (1, 0))[1] == []
    assert np.array_equal(found.widths, design.widths)
    assert found.cleared


def test_marks_label_apertures_and_outline(tmp_path, design):
    path = tmp_path / "chip.oas"
    summary, found = write_layout(path, design, LayoutOptions(label="chip-7"))
    marks, shapes = flatten(path, (2, 0))
    assert np.allclose(marks[:, 2:] - marks[:, :2], 200e3)
    assert [round(shape.area()) for shape in shapes] == [2 * 200_000 * 10_000 - 10_000**2] * 4
    centres = {tuple(np.rint((m[:2] + m[2:]) / 2)) for m in marks}
    assert centres == {(x, y) for x in (-230e3, 230e3) for y in (-230e3, 230e3)}
    label = flatten(path, (3, 0))[0]
    assert label[:, 0].min() > -130e3  # between the arms of the marks
    assert label[:, 2].max() < 130e3
    apertures = flatten(path, (4, 0))[0]
    assert len(apertures) == 4
    assert np.allclose(apertures[:, 2:] - apertures[:, :2], (5 * 586, 6 * 586))
    assert np.allclose(flatten(path, (5, 0))[0], [(-30e3, -30e3, 30e3, 30e3)])
    assert summary.bounding_box_mm == (-0.33, -0.33, 0.33, 0.33)
    assert found.outline_nm.tolist() == [-30e3, -30e3, 30e3, 30e3]


def test_cells_are_the_chip_the_sub_optics_and_one_a_width(tmp_path, design):
    path = tmp_path / "chip.oas"
    write_layout(path, design, LayoutOptions(label="a b"))
    names = {cell.name for cell in gdstk.read_oas(path).cells}
    pillars = {f"W{width:03d}" for width in np.unique(design.widths) if width}
    optics = {f"K00{k}_{sign}" for k in (0, 1) for sign in ("POSITIVE", "NEGATIVE")}
    assert names == pillars | optics | {"CHIP_a_b"}


@pytest.mark.parametrize("suffix", [".oas", ".gds"])
def test_the_same_design_gives_the_same_bytes(tmp_path, design, suffix):
    paths = [tmp_path / f"{name}{suffix}" for name in "ab"]
    first, second = (write_layout(path, design)[0] for path in paths)
    assert first.sha256 == second.sha256
    widths = design.widths.copy()
    widths[1, 1, 2, 2] += 1
    other = write_layout(tmp_path / f"c{suffix}", replace(design, widths=widths))[0]
    assert other.sha256 != first.sha256


def test_the_mirrored_chip_is_turned_left_to_right(tmp_path, design):
    write_layout(tmp_path / "a.oas", design, LayoutOptions(step_nm=0.5))
    write_layout(tmp_path / "b.oas", design, LayoutOptions(step_nm=0.5, mirrored=True))
    plain, mirrored = (flatten(tmp_path / name, (1, 0))[0] for name in ("a.oas", "b.oas"))
    turned = np.stack([-plain[:, 2], plain[:, 1], -plain[:, 0], plain[:, 3]], axis=1)

    def order(boxes):
        return sorted(map(tuple, np.rint(2 * boxes).astype(int).tolist()))

    assert order(turned) == order(mirrored)


def test_a_cell_may_be_one_pillar(tmp_path):
    chip = make_design(lay(), draw_widths(), PERIOD, cell_pillars=1)
    summary, found = write_layout(tmp_path / "chip.oas", chip)
    assert summary.pillars == np.count_nonzero(chip.widths)
    assert np.array_equal(found.widths, chip.widths)


def test_an_odd_half_nanometre_period_takes_half_steps(tmp_path):
    chip = make_design(lay(), draw_widths(), 292.5 * NM)
    with pytest.raises(OpticsError, match=r"292\.5 nm is no whole number.*steps of 0\.5 nm"):
        write_layout(tmp_path / "chip.oas", chip)
    _, found = write_layout(tmp_path / "chip.oas", chip, LayoutOptions(step_nm=0.5))
    assert np.array_equal(found.widths, chip.widths)
    assert found.cell_nm == 585


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("chip.txt", {}, "must end in .oas or .gds"),
        ("chip.oas", {"label": ""}, "label '' cannot be drawn"),
        ("chip.oas", {"label": "µ"}, "printable ASCII"),
        ("chip.oas", {"tone": "dark"}, "no tone 'dark'"),
        ("chip.oas", {"step_nm": 0.25}, "0.25 nm is not 1 or 0.5"),
        ("chip.gds", {"memory_gb": 1e-5}, "116 cells.*write OASIS"),
        ("chip.oas", {"memory_gb": 1e-7}, "and 1e-07 GB are allowed"),
    ],
)
def test_wrong_options_are_refused_and_leave_nothing(tmp_path, design, name, options, message):
    with pytest.raises(OpticsError, match=message):
        write_layout(tmp_path / name, design, LayoutOptions(**options))
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_written_is_refused(tmp_path, design):
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtefactError, match=r"cannot write the layout file .*chip\.oas"):
        write_layout(tmp_path / "file" / "chip.oas", design)
    (tmp_path / "chip.oas").mkdir()
    with pytest.raises(ArtefactError, match="cannot write the layout file"):
        write_layout(tmp_path / "chip.oas", design)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["chip.oas", "file"]


@pytest.mark.parametrize("suffix", [".oas", ".gds"])
def test_a_file_that_differs_from_the_design_never_gets_its_name(
    tmp_path, design, suffix, monkeypatch
):
    path = tmp_path / f"chip{suffix}"
    write_layout(path, design)
    before = path.read_bytes()
    write, other = module._write, design.widths.copy()
    other[1, 0, 3, 4] = 66
    changed = replace(design, widths=other)
    monkeypatch.setattr(module, "_write", lambda p, d, *rest: write(p, changed, *rest))
    with pytest.raises(ArtefactError, match=r"1 cells differ.*kernel 1, positive part, row 3, col"):
        write_layout(path, design)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_sub_optic_on_another_place_is_found(tmp_path, design):
    path = tmp_path / "chip.oas"
    _, found = write_layout(path, design)
    corners = found.corners_nm.copy()
    corners[1, 1, 0] += 1
    with pytest.raises(ArtefactError, match="kernel 1, negative part, lies at"):
        compare_design(replace(found, corners_nm=corners), design, path)


@pytest.mark.parametrize("suffix", [".oas", ".gds"])
@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "noise"])
def test_damaged_files_are_refused(tmp_path, design, suffix, damage):
    path = tmp_path / f"chip{suffix}"
    write_layout(path, design)
    content = path.read_bytes()
    damaged = {
        "empty": b"",
        "cut": content[: len(content) // 2],
        "noise": np.random.default_rng(0).bytes(500),
    }
    path.unlink()
    if damage != "missing":
        path.write_bytes(damaged[damage])
    with pytest.raises(ArtefactError, match=path.name):
        read_layout(path, PERIOD)


def test_one_changed_byte_of_an_oasis_file_is_found(tmp_path, design):
    path = tmp_path / "chip.oas"
    write_layout(path, design)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ArtefactError, match="checksum"):
        read_layout(path, PERIOD)


def edit(path, change):
    """Change a layout file with gdstk and write it again."""
    library = gdstk.read_oas(path)
    change({cell.name: cell for cell in library.cells})
    library.write_oas(path, validation="crc32")


def test_what_others_put_into_a_file_is_found(tmp_path, design):
    path = tmp_path / "chip.oas"
    width = f"W{int(design.widths[0, 0, 1, 1]):03d}"

    def move(cells):
        reference = cells["K000_POSITIVE"].references[0]
        reference.origin = (reference.origin[0] + 0.001, reference.origin[1])

    def twice(cells):
        cells["K000_POSITIVE"].add(gdstk.Reference(cells[width], (0.586, 0.586)))

    def widen(cells):
        cells[width].polygons[0].scale(1.2)

    def round_off(cells):
        cells[width].add(gdstk.ellipse((0.1, 0.1), 0.05, layer=1))

    def second_chip(cells):
        cells[width].name = "OTHER"

    for change, message in (
        (move, "off the grid"),
        (twice, "on one place"),
        (widen, width),
        (round_off, "not rectangles"),
    ):
        write_layout(path, design)
        edit(path, change)
        with pytest.raises(ArtefactError, match=message):
            read_layout(path, PERIOD)
