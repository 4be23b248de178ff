import numpy as np
import pytest

from hybridonn.reports.figures.features import draw_features
from hybridonn.reports.figures.save import render_figure


@pytest.mark.parametrize(
    ("bands", "kernels", "shape"), [(1, 1, (8, 8)), (3, 16, (22, 22)), (5, 7, (8, 20))]
)
def test_scene_and_difference_signals_are_shown_as_they_are(bands, kernels, shape):
    rng = np.random.default_rng(0)
    scene, features = rng.random((bands, 28, 28)), rng.normal(size=(kernels, *shape))
    figure = draw_features(scene, features, "a scene")
    panels = [axes for axes in figure.axes if axes.images]
    assert len(panels) == kernels + 1
    first = np.asarray(panels[0].images[0].get_array())
    if bands == 3:
        assert np.allclose(first, scene.transpose(1, 2, 0))
    else:
        assert np.allclose(first, scene.mean(axis=0))
    limit = np.abs(features).max()
    for signal, axes in zip(features, panels[1:], strict=True):
        assert np.array_equal(np.asarray(axes.images[0].get_array()), signal)
        assert axes.images[0].get_clim() == (-limit, limit)
    assert len(render_figure(figure, "png", {})) > 5000


def test_a_mean_of_bands_is_called_so():
    figure = draw_features(np.zeros((4, 8, 8)), np.zeros((2, 8, 8)), "a scene")
    assert "a scene (mean of 4 bands)" in {axes.get_title() for axes in figure.axes}
