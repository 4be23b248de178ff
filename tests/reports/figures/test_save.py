import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from hybridonn.core.errors import ArtefactError
from hybridonn.reports.figures.kernels import draw_kernels
from hybridonn.reports.figures.save import save_figure


def small():
    return draw_kernels(np.random.default_rng(0).normal(size=(2, 1, 3, 3)))


def test_both_files_are_written_and_the_dot_in_a_name_stays(tmp_path):
    png, svg = save_figure(small(), tmp_path / "figures" / "kernels.v1")
    assert (png.name, svg.name) == ("kernels.v1.png", "kernels.v1.svg")
    assert sorted(path.name for path in png.parent.iterdir()) == [png.name, svg.name]
    with Image.open(png) as image:
        assert image.info["dpi"][0] == pytest.approx(150, abs=0.1)
        assert np.asarray(image.convert("L")).std() > 10


def test_the_same_figure_is_the_same_bytes(tmp_path):
    first = [path.read_bytes() for path in save_figure(small(), tmp_path / "one")]
    second = [path.read_bytes() for path in save_figure(small(), tmp_path / "two")]
    assert first == second
    assert b"dc:date" not in first[1]


def test_a_figure_that_cannot_be_written_names_its_file(tmp_path):
    (tmp_path / "figures").write_text("a file, not a folder")
    with pytest.raises(ArtefactError, match="figures"):
        save_figure(Figure(), tmp_path / "figures" / "kernels")
