import json
import re
from fractions import Fraction
from math import floor, hypot, isclose

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hybridonn.core.errors import ArtefactError, OpticsError, SpecError
from hybridonn.optics.layout.sites import Layout, choose_pairs, count_sites, size_for
from hybridonn.pipeline.from_spec import lay_out_kernels, read_surface_size
from hybridonn.spec import Optics

# Whole micrometres, written in millimetres as a user would.
micrometres = st.integers(1, 3000)
lengths = st.integers(1, 12000).map(lambda um: um / 1000)
all_optics = st.builds(
    lambda width, height, site, gap: Optics(
        metasurface_width_mm=width,
        metasurface_height_mm=height,
        kernel_site_mm=site / 1000,
        gap_mm=gap / 1000,
        wafer_diameter_mm=450,  # the wafer has tests of its own
    ),
    lengths,
    lengths,
    st.integers(300, 3000),
    st.integers(0, 500),
)
PM = 1e-12


def optics(width=4.0, height=4.0, site=0.938, gap=0.05):
    # Not validated: the layout refuses by itself what no spec can hold.
    return Optics().model_copy(
        update={
            "metasurface_width_mm": width,
            "metasurface_height_mm": height,
            "kernel_site_mm": site,
            "gap_mm": gap,
        }
    )


def exact_count(length, site, gap):
    length, site, gap = (Fraction(str(value)) for value in (length, site, gap))
    return floor((length + gap) / (site + gap))


def capacity(optics):
    axes = (optics.metasurface_width_mm, optics.metasurface_height_mm)
    columns, rows = (exact_count(axis, optics.kernel_site_mm, optics.gap_mm) for axis in axes)
    return rows * columns // 2


@pytest.mark.parametrize(
    ("length", "site", "gap", "expected"),
    [
        (1.0, 0.3, 0.05, 3),  # 3 x 0.3 + 2 x 0.05 = 1.0, which binary numbers miss
        (0.9999, 0.3, 0.05, 2),
        (1.0, 0.1, 0.0, 10),
        (0.3, 0.1, 0.0, 3),
        (1.0, 1.0, 5.0, 1),
        (0.999, 1.0, 5.0, 0),
        (4.0, 0.938, 0.05, 4),
    ],
)
def test_a_side_that_holds_sites_exactly_says_so(length, site, gap, expected):
    assert count_sites(length, site, gap) == expected


@given(micrometres, st.integers(1, 400), st.integers(0, 300))
def test_counts_agree_with_exact_arithmetic(length, site, gap):
    millimetres = [value / 1000 for value in (length, site, gap)]
    assert count_sites(*millimetres) == (length + gap) // (site + gap)


@settings(deadline=None)  # a thousand sites and more; other jobs may share the processor
@given(all_optics.filter(lambda o: capacity(o) > 0), st.data())
def test_the_grid_is_legal_and_maximal(optics, data):
    layout = lay_out_kernels(optics, data.draw(st.integers(0, capacity(optics))))
    half = layout.site_m / 2
    for site in layout.sites:
        assert abs(site.x_m) + half <= layout.width_m / 2 + PM
        assert abs(site.y_m) + half <= layout.height_m / 2 + PM
    for first in layout.sites:
        for second in layout.sites[: 2 * layout.columns]:
            if first is not second:
                apart = max(abs(first.x_m - second.x_m), abs(first.y_m - second.y_m))
                assert apart >= layout.site_m + layout.gap_m - PM
    centres = {(round(s.x_m, 12), round(s.y_m, 12)) for s in layout.sites}
    assert centres == {(-x, y) for x, y in centres} == {(x, -y) for x, y in centres}
    for count, length in ((layout.columns, layout.width_m), (layout.rows, layout.height_m)):
        assert (count + 1) * layout.site_m + count * layout.gap_m > length


@given(all_optics.filter(lambda o: capacity(o) > 0), st.data())
def test_every_kernel_takes_two_neighbours_and_no_site_twice(optics, data):
    kernels = data.draw(st.integers(0, capacity(optics)))
    layout = lay_out_kernels(optics, kernels)
    assert layout.kernels == kernels <= layout.usable_kernels
    used = [site for site in layout.sites if site.kernel is not None]
    assert len(used) == 2 * kernels
    for kernel in range(kernels):
        plus, minus = sorted((s for s in used if s.kernel == kernel), key=lambda s: -s.sign)
        assert (plus.sign, minus.sign) == (1, -1)
        assert abs(plus.row - minus.row) + abs(plus.column - minus.column) == 1
    assert all(site.sign == 0 for site in layout.sites if site.kernel is None)
    area = 2 * kernels * layout.site_m**2
    assert isclose(layout.fill_factor, area / (layout.width_m * layout.height_m))


@given(st.integers(1, 9), st.integers(1, 9))
def test_every_usable_pair_can_be_chosen(rows, columns):
    pairs = choose_pairs(rows, columns, rows * columns // 2)
    assert len(pairs) == rows * columns // 2
    assert len({site for pair in pairs for site in pair}) == 2 * len(pairs)
    with pytest.raises(OpticsError, match="do not fit"):
        choose_pairs(rows, columns, rows * columns // 2 + 1)


@given(st.integers(1, 9), st.integers(1, 9), st.data())
def test_an_even_grid_is_filled_symmetrically(rows, columns, data):
    if rows * columns % 2:
        rows += 1
    kernels = data.draw(st.integers(0, rows * columns // 2))
    sites = {site for pair in choose_pairs(rows, columns, kernels) for site in pair}
    if columns % 2 == 0:
        mirrored = {(row, columns - 1 - column) for row, column in sites}
    else:
        mirrored = {(rows - 1 - row, column) for row, column in sites}
    assert sites == mirrored


@given(st.integers(1, 12), st.integers(1, 12), st.data())
def test_the_block_is_in_the_middle_and_has_no_holes(rows, columns, data):
    kernels = data.draw(st.integers(0, rows * columns // 2))
    pairs = choose_pairs(rows, columns, kernels)
    assert len(pairs) == kernels
    assert pairs == sorted(pairs)
    sites = sorted({site for pair in pairs for site in pair})
    for axis, length in enumerate((rows, columns)):
        lines = sorted({site[axis] for site in sites})
        if lines:
            assert lines == list(range(lines[0], lines[-1] + 1))
            assert abs(lines[0] - (length - 1 - lines[-1])) <= 1


def test_the_default_design_fills_its_grid_row_by_row():
    layout = lay_out_kernels(optics(), 8)
    assert (layout.rows, layout.columns, layout.usable_kernels) == (4, 4, 8)
    assert [site.kernel for site in layout.sites] == [k for k in range(8) for _ in "+-"]
    assert [site.sign for site in layout.sites] == [1, -1] * 8
    first = layout.sites[0]
    assert first.x_m == pytest.approx(-1.5 * 0.988e-3)
    assert first.y_m == pytest.approx(1.5 * 0.988e-3)


def test_few_kernels_stay_near_the_centre():
    layout = lay_out_kernels(optics(width=6.0, height=6.0), 2)
    used = {(site.row, site.column) for site in layout.sites if site.kernel is not None}
    assert used == {(2, 2), (2, 3), (3, 2), (3, 3)}


@given(all_optics, st.integers(1, 200))
def test_the_size_in_the_message_really_holds_the_kernels(optics, kernels):
    if kernels <= capacity(optics):
        return
    # A size beyond the largest wafer is said to be, in tests of its own.
    assume(
        hypot(*size_for(read_surface_size(optics), kernels)) < 0.999e-3 * optics.wafer_diameter_mm
    )
    with pytest.raises(SpecError) as caught:
        lay_out_kernels(optics, kernels)
    width, height = re.search(r"make it (\S+) x (\S+) mm", str(caught.value)).groups()
    larger = optics.model_copy(
        update={"metasurface_width_mm": float(width), "metasurface_height_mm": float(height)}
    )
    assert lay_out_kernels(larger, kernels).kernels == kernels
    assert capacity(larger) >= kernels
    assert float(width) >= optics.metasurface_width_mm
    assert float(height) >= optics.metasurface_height_mm


@given(all_optics, st.integers(1, 40))
def test_no_smaller_growth_would_hold_the_kernels(optics, kernels):
    width, height = (1e3 * side for side in size_for(read_surface_size(optics), kernels))
    grown = max(width / optics.metasurface_width_mm, height / optics.metasurface_height_mm)
    site, gap = optics.kernel_site_mm, optics.gap_mm
    factor = grown - 1e-4 / min(optics.metasurface_width_mm, optics.metasurface_height_mm)
    if factor < 1:
        return
    columns = count_sites(optics.metasurface_width_mm * factor, site, gap)
    rows = count_sites(optics.metasurface_height_mm * factor, site, gap)
    assert rows * columns // 2 < kernels


def test_too_many_kernels_are_refused_with_numbers():
    with pytest.raises(SpecError, match=r"9 kernels .* 4 x 4 mm holds 8: .* make it .* at most 8"):
        lay_out_kernels(optics(), 9)


def test_a_site_larger_than_the_metasurface_is_named():
    with pytest.raises(SpecError, match=r"site of 5 mm does not fit on .* 4 x 4 mm"):
        lay_out_kernels(optics(site=5.0), 8)


@pytest.mark.parametrize("site", [1e-300, 1e-6, 1e-3])
def test_an_absurd_number_of_sites_is_refused(site):
    with pytest.raises(SpecError, match="in millimetres"):
        lay_out_kernels(optics(site=site, gap=0.0), 8)


def test_an_absurd_number_of_kernels_is_refused():
    with pytest.raises(SpecError, match="in millimetres"):
        lay_out_kernels(optics(), 10**12)
    with pytest.raises(SpecError, match="cannot be negative"):
        lay_out_kernels(optics(), -1)


@given(all_optics.filter(lambda o: capacity(o) > 0))
def test_a_layout_survives_its_file(optics):
    layout = lay_out_kernels(optics, capacity(optics))
    text = json.dumps(layout.to_dict())
    back = Layout.from_dict(json.loads(text))
    assert json.dumps(back.to_dict()) == text
    assert (back.rows, back.columns, back.kernels) == (layout.rows, layout.columns, layout.kernels)
    assert json.loads(text)["metasurface_width_mm"] == optics.metasurface_width_mm
    for mine, its in zip(layout.sites, back.sites, strict=True):
        assert (mine.kernel, mine.sign) == (its.kernel, its.sign)
        assert mine.x_m == pytest.approx(its.x_m, abs=PM)


def test_a_damaged_layout_is_named():
    tree = lay_out_kernels(optics(), 8).to_dict()
    with pytest.raises(ArtefactError, match="gap_mm"):
        Layout.from_dict({key: value for key, value in tree.items() if key != "gap_mm"})
    with pytest.raises(ArtefactError, match="15 sites"):
        Layout.from_dict({**tree, "sites": tree["sites"][:-1]})
    with pytest.raises(ArtefactError, match="wrong kind"):
        Layout.from_dict({**tree, "rows": "many"})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("gap_mm", value) for value in (None, "x", True, [1], 10**400, float("nan"))),
        *(("rows", value) for value in (2.5, True, -1, 10**22, {"x": 1})),
        *(("sites.kernel", value) for value in ({"a": 1}, "3", -1, 1.5, True)),
        *(("sites.sign", value) for value in (2, None, "x", [])),
        *(("sites.x_mm", value) for value in ("0", float("inf"), None)),
        *(("sites", value) for value in (None, 3, [None], ["x"], {"x": 1})),
    ],
)
def test_a_layout_with_a_value_that_is_none_is_refused(key, value):
    tree = lay_out_kernels(optics(), 8).to_dict()
    outer, _, inner = key.partition(".")
    if inner:
        used = next(n for n, site in enumerate(tree["sites"]) if site["kernel"] is not None)
        tree["sites"][used][inner] = value
    else:
        tree[outer] = value
    with pytest.raises(ArtefactError, match="wrong kind"):
        Layout.from_dict(tree)


def test_what_is_larger_than_the_wafer_is_refused():
    square = 100 / 2**0.5
    assert lay_out_kernels(optics(square, square), 8).kernels == 8  # its corners touch the edge
    with pytest.raises(SpecError, match=r"diagonal of 113\.137 mm, the wafer a diameter of 100 mm"):
        lay_out_kernels(optics(80, 80), 8)
    larger = optics(80, 80).model_copy(update={"wafer_diameter_mm": 150.0})
    assert lay_out_kernels(larger, 8).kernels == 8


def test_a_cure_that_needs_a_larger_wafer_says_so():
    with pytest.raises(SpecError, match="on a wafer larger than 100 mm"):
        lay_out_kernels(optics(10, 10), 5000)
    with pytest.raises(SpecError, match=r"mm, or ask .* \(keys: optics\.metasurface_width_mm"):
        lay_out_kernels(optics(1, 1), 4)
