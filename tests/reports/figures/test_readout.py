"""Accuracy against what the camera reads out."""

from hybridonn.reports.figures.readout import draw_readout


def point(optics, kernels, numbers, mean, bits, half=None):
    ends = {"low": half and mean - half, "high": half and mean + half}
    place = {"optics": optics, "kernels": kernels, "bits": bits, "numbers": numbers, "mean": mean}
    return place | ends


def table(*points, seeds=1):
    return {
        "points": list(points),
        "seeds": list(range(seeds)),
        "design": "d$",
        "label": "accuracy",
    }


def test_one_panel_a_depth_and_one_line_an_optics():
    figure = draw_readout(
        table(
            *(point("lens", 1, 4 * n, 0.5 * n, bits, 0.01) for n in (2, 1) for bits in (4, 8)),
            *(point("ideal", k, 8 * k, 0.9, bits, 0.01) for k in (4, 16) for bits in (4, 8)),
            seeds=3,
        )
    )
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["4 bits", "8 bits"]
    for axes in figure.axes:
        lines = [container[0] for container in axes.containers]
        assert [list(line.get_xdata()) for line in lines] == [[4, 8], [32], [128]]
    (legend,) = figure.legends
    names = [text.get_text() for text in legend.get_texts()]
    assert names == ["plain lens", "4 ideal kernels", "16 ideal kernels"]
    assert "3 seeds, mean and 95 % interval" in figure.get_suptitle()


def test_one_seed_has_no_interval_and_a_lens_alone_is_drawn():
    figure = draw_readout(table(point("lens", 1, 4, 0.5, 1)))
    assert figure.axes[0].get_title(loc="left") == "1 bit"
    assert "interval" not in figure.get_suptitle()
