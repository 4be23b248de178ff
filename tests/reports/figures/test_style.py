import subprocess
import sys

import numpy as np
import pytest
from matplotlib import rcParams
from matplotlib.figure import Figure

from hybridonn.reports.figures.style import colour_of, diverging, marker_of, styled, zero_white


def test_zero_is_white_and_the_scale_is_the_same_up_and_down():
    norm = zero_white(np.array([-3.0, 1.0]), np.array([2.0]))
    assert (norm.vmin, norm.vmax) == (-3.0, 3.0)
    assert diverging()(norm(0.0))[:3] == pytest.approx((1.0, 1.0, 1.0))
    red, _, blue, _ = diverging()(norm(3.0))
    assert red > blue
    red, _, blue, _ = diverging()(norm(-3.0))
    assert red < blue


def test_images_of_nothing_but_zero_are_white():
    norm = zero_white(np.zeros((2, 2)))
    assert diverging()(norm(0.0))[:3] == pytest.approx((1.0, 1.0, 1.0))


def test_no_two_of_a_hundred_classes_look_alike():
    assert len({(colour_of(index), marker_of(index)) for index in range(100)}) == 100


def test_drawing_leaves_the_settings_of_matplotlib_as_they_were():
    before = dict(rcParams)

    @styled
    def draw() -> Figure:
        assert rcParams["axes.titlelocation"] == "left"
        return Figure()

    draw()
    assert dict(rcParams) == before


def test_importing_the_reports_loads_nothing_heavy():
    program = (
        "import sys, hybridonn.reports.page, hybridonn.reports.figures.comparison\n"
        "heavy = ('matplotlib', 'jinja2', 'torch', 'scipy')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert output.stdout.strip() == "[]", output.stderr
