import numpy as np
import pytest

from hybridonn.pipeline.from_spec import lay_out_kernels
from hybridonn.reports.figures.layout import draw_layout
from hybridonn.reports.figures.save import render_figure
from hybridonn.spec import Optics


def draw(width=4.0, height=4.0, site=0.938, gap=0.05, kernels=8):
    optics = Optics(
        metasurface_width_mm=width,
        metasurface_height_mm=height,
        kernel_site_mm=site,
        gap_mm=gap,
    )
    return draw_layout(lay_out_kernels(optics, kernels))


def texts(figure):
    return [text.get_text() for text in figure.axes[0].texts]


def test_the_dimensions_are_written():
    written = texts(draw(width=6.0, height=5.0, gap=0.075, kernels=2))
    for dimension in ("width 6 mm", "height 5 mm", "site 0.938 mm", "gap 0.075 mm"):
        assert dimension in written


def test_every_site_in_use_carries_its_kernel():
    written = texts(draw())
    for kernel in range(8):
        assert f"{kernel}+" in written
        assert f"{kernel}−" in written


@pytest.mark.parametrize(("width", "height"), [(4.0, 4.0), (12.0, 1.2), (1.1, 9.0)])
def test_the_drawing_is_to_scale(width, height):
    figure = draw(width, height, kernels=2)
    figure.canvas.draw()
    axes = figure.axes[0]
    origin, right, up = axes.transData.transform([(0, 0), (1, 0), (0, 1)])
    assert right[0] - origin[0] == pytest.approx(up[1] - origin[1])
    box = axes.get_window_extent()
    corners = axes.transData.transform([(-width / 2, -height / 2), (width / 2, height / 2)])
    assert box.x0 < corners[0][0] and corners[1][0] < box.x1
    assert box.y0 < corners[0][1] and corners[1][1] < box.y1


def test_the_squares_lie_where_the_layout_says():
    optics = Optics(metasurface_width_mm=6.0, metasurface_height_mm=5.0)
    layout = lay_out_kernels(optics, 4)
    collections = draw_layout(layout).axes[0].collections[:3]
    for sign, collection in zip((1, -1, 0), collections, strict=True):
        drawn = {
            tuple(np.round(path.vertices[:4].mean(axis=0), 9)) for path in collection.get_paths()
        }
        stated = {(s.x_m * 1e3, s.y_m * 1e3) for s in layout.sites if s.sign == sign}
        assert drawn == {(round(x, 9), round(y, 9)) for x, y in stated}


def test_extremes_can_be_drawn():
    for settings in (
        {"gap": 0.0, "kernels": 3},
        {"width": 10.0, "height": 8.0, "site": 0.1, "gap": 0.02, "kernels": 900},
        {"width": 2.0, "height": 1.0, "kernels": 1},
        {"width": 1.0, "height": 1.0, "kernels": 0},
        {"width": 0.004, "height": 0.004, "site": 0.001, "gap": 0.0, "kernels": 8},
    ):
        assert len(render_figure(draw(**settings), "png", {})) > 5000
