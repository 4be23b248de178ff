import numpy as np
import pytest
from matplotlib.collections import QuadMesh

from hybridonn.reports.figures.kernels import draw_kernels


def meshes(figure):
    return [item for item in figure.axes[0].collections if isinstance(item, QuadMesh)]


@pytest.mark.parametrize(("count", "bands"), [(1, 1), (8, 1), (5, 3)])
def test_each_band_shows_the_signed_kernel_and_what_light_makes_of_it(count, bands):
    kernels = np.random.default_rng(0).normal(size=(count, bands, 7, 7)).astype(np.float32)
    drawn = meshes(draw_kernels(kernels))
    assert len(drawn) == 3 * count * bands
    maps = kernels.reshape(-1, 7, 7)
    for index, kernel in enumerate(maps):
        signed, positive, negative = (
            np.asarray(mesh.get_array()).reshape(7, 7) for mesh in drawn[3 * index : 3 * index + 3]
        )
        assert np.array_equal(signed, kernel)
        assert np.array_equal(positive + negative, kernel)
        assert positive.min() >= 0 >= negative.max()


def test_all_kernels_share_a_scale_whose_zero_is_white():
    kernels = np.zeros((2, 1, 3, 3), np.float32)
    kernels[0, 0, 1, 1], kernels[1, 0, 0, 0] = 0.1, -2.0
    figure = draw_kernels(kernels)
    limits = {(mesh.norm.vmin, mesh.norm.vmax) for mesh in meshes(figure)}
    assert limits == {(-2.0, 2.0)}
    assert meshes(figure)[0].to_rgba(0.0)[:3] == pytest.approx((1.0, 1.0, 1.0))


def test_the_kernel_is_not_turned_over():
    kernels = np.zeros((1, 1, 3, 3), np.float32)
    kernels[0, 0, 0, 2] = 1.0  # top right, as in the array
    figure = draw_kernels(kernels)
    figure.canvas.draw()
    mesh = meshes(figure)[0]
    corner = mesh.get_coordinates()[0, 2]
    middle = mesh.get_coordinates().mean(axis=(0, 1))
    transform = figure.axes[0].transData.transform
    (x, y), (middle_x, middle_y) = transform(corner), transform(middle)
    assert x > middle_x
    assert y > middle_y


def test_wavelengths_are_named():
    kernels = np.ones((2, 3, 3, 3), np.float32)
    written = [
        t.get_text() for t in draw_kernels(kernels, np.array([635.0, 532, 450])).axes[0].texts
    ]
    assert {"635 nm", "532 nm", "450 nm", "kernel 0", "kernel 1"} <= set(written)
    written = [text.get_text() for text in draw_kernels(kernels).axes[0].texts]
    assert {"band 0", "band 1", "band 2"} <= set(written)
