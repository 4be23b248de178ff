"""The frames by which a user judges an import."""

import numpy as np
import pytest

from hybridonn.reports.figures.registration import draw_psfs, draw_registration
from hybridonn.reports.figures.save import save_figure


def found(number):
    return {
        "sub_optic": f"{number // 2}{'+-'[number % 2]}",
        "correlation": 0.98,
        "shift_y_pixels": -1.25,
        "shift_x_pixels": 0.5,
        "rotation_degrees": 0.75,
    }


@pytest.mark.parametrize(("count", "columns"), [(2, 2), (8, 8), (10, 5)])
def test_each_sub_optic_is_drawn_three_times_with_what_was_found(tmp_path, count, columns):
    simulated = np.random.default_rng(0).random((count, 12, 14))
    figure = draw_registration(simulated, 1.1 * simulated, [found(n) for n in range(count)])
    shown = [axes for axes in figure.axes if axes.images]
    assert len(shown) == 3 * count
    assert sum("r = 0.980" in axes.get_xlabel() for axes in shown) == count
    difference = [axes.images[0].get_array() for axes in shown][2 * columns]
    np.testing.assert_allclose(difference, 0.1 * simulated[0], atol=1e-12)
    assert all(path.stat().st_size > 1000 for path in save_figure(figure, tmp_path / "r"))


@pytest.mark.parametrize("colours", [1, 3])
def test_designed_and_measured_psfs_stand_side_by_side(colours):
    designed = np.random.default_rng(1).random((3, 2, colours, 7, 7))
    figure = draw_psfs(designed, designed)
    titles = [axes.get_title("center") for axes in figure.axes if axes.get_title("center")]
    assert len(titles) == 6 * colours
    assert titles[0] == ("0+" if colours == 1 else "0+ colour 0")
    assert all("r = 1.000" in a.get_xlabel() for a in figure.axes if a.get_xlabel())
