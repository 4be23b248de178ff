"""The figure of a layout file that was really written."""

import json

import numpy as np
import pytest

from hybridonn.core.errors import ArtefactError
from hybridonn.optics.layout.layout_file import LayoutOptions, write_layout
from hybridonn.optics.metasurface.pillar_map import NM, make_design
from hybridonn.pipeline.from_spec import lay_out_kernels
from hybridonn.reports.artefacts.layout_file import LayoutDrawing, pick_drawing, read_drawing
from hybridonn.reports.figures.layout_file import draw_layout_file
from hybridonn.spec import Optics


@pytest.fixture(scope="module")
def drawings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("chip")
    optics = Optics(
        kernel_site_mm=0.01, gap_mm=0.002, metasurface_width_mm=0.1, metasurface_height_mm=0.06
    )
    widths = np.random.default_rng(0).integers(65, 238, (3, 2, 12, 12))
    widths[0, 0, 0, 0] = 0
    design = make_design(lay_out_kernels(optics, 3), widths, 293 * NM)
    made = {}
    for tone in ("pillars", "cleared"):
        _, found = write_layout(folder / f"{tone}.oas", design, LayoutOptions(tone=tone))
        made[tone] = pick_drawing(found)
    return made, widths


@pytest.mark.parametrize("tone", ["pillars", "cleared"])
def test_it_shows_the_corner_pillar_by_pillar(drawings, tone):
    made, widths = drawings
    drawing = made[tone]
    assert drawing.cleared == (tone == "cleared")
    boxes = np.array(drawing.pillars)
    assert len(boxes) == 4 * (8 * 8 - 1)
    assert boxes[:, 0].min() > 0
    assert boxes[:, 3].max() < 0
    row, column = 2, 5
    inside = (boxes[:, 0] // 586 == column) & (-boxes[:, 3] // 586 == row)
    assert inside.sum() == 4
    assert np.allclose(boxes[inside][:, 2] - boxes[inside][:, 0], widths[0, 0, row, column])


def test_it_shows_the_chip(drawings):
    drawing = drawings[0]["pillars"]
    assert len(drawing.apertures) == 6
    assert len(drawing.marks) == 4
    assert drawing.outline == (-50e3, -30e3, 50e3, 30e3)
    figure = draw_layout_file(drawing)
    chip, corner = figure.axes
    assert chip.get_title(loc="left") == "the whole chip: 6 sub-optics"
    left, right = chip.get_xlim()
    assert left < drawing.bounds[0] / 1e6
    assert right > drawing.bounds[2] / 1e6
    assert len(corner.collections[-1].get_paths()) == len(drawing.pillars)


def test_it_is_kept_as_plain_numbers(drawings):
    for drawing in drawings[0].values():
        assert LayoutDrawing.from_dict(json.loads(json.dumps(drawing.to_dict()))) == drawing


def test_only_the_file_of_this_design_is_shown(drawings, tmp_path):
    assert read_drawing(tmp_path) is None
    (tmp_path / "metasurface").mkdir()
    (tmp_path / "metasurface" / "stage.json").write_text('{"fingerprint": "new"}')
    drawing = drawings[0]["pillars"]
    record = {"metasurface": "new", "drawing": drawing.to_dict()}
    path = tmp_path / "layout_file.json"
    path.write_text(json.dumps(record))
    assert read_drawing(tmp_path) == drawing
    path.write_text(json.dumps(record | {"metasurface": "old"}))
    assert read_drawing(tmp_path) is None
    path.write_text(json.dumps(record | {"drawing": {"apertures": []}}))
    with pytest.raises(ArtefactError, match=r"layout_file\.json cannot be used.*lacks the key"):
        read_drawing(tmp_path)


@pytest.mark.parametrize("value", [None, "1", True, 10**400, float("nan"), [1], {"x": 1}])
@pytest.mark.parametrize("key", ["corner", "outline", "pillars", "marks"])
def test_a_drawing_with_a_value_that_is_no_length_is_refused(drawings, key, value):
    tree = json.loads(json.dumps(drawings[0]["pillars"].to_dict()))
    place = tree[key]
    if key == "corner":
        tree[key] = value
    else:
        while isinstance(place[0], list):
            place = place[0]
        place[0] = value
    with pytest.raises(ArtefactError, match="wrong kind"):
        LayoutDrawing.from_dict(tree)
