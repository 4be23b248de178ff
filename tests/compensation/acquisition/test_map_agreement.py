"""Maps without point spread functions: what their best convolution and simulation explain."""

import numpy as np
import pytest
from scipy.signal import correlate
from typer.testing import CliRunner

from hybridonn.cli.captures import app
from hybridonn.compensation.acquisition.map_agreement import measure_agreement, read_maps
from hybridonn.core.errors import DataError

SIZE = 5


def record(noise=0.0, scenes=1):
    dice = np.random.default_rng(0)
    shown = dice.random((scenes, 24, 20))
    kernels = dice.random((3, SIZE, SIZE))
    maps = np.stack([[correlate(one, k, "same") for k in kernels] for one in shown])
    return shown, kernels, maps * 3 + 7 + noise * dice.normal(size=maps.shape)


def test_a_convolution_is_found_and_explains_all():
    shown, kernels, maps = record()
    found = measure_agreement(shown, maps, SIZE, maps)
    np.testing.assert_allclose(found.convolution, 1)
    np.testing.assert_allclose(found.simulation, 1)
    np.testing.assert_allclose(found.kernels, 3 * kernels)
    assert (found.identity < 0.9).all()


def test_noise_and_other_scenes_are_not_explained():
    shown, _, maps = record(noise=200.0, scenes=2)
    assert np.abs(measure_agreement(shown, maps, SIZE).convolution).max() < 0.3
    _, _, maps = record(scenes=2)
    assert np.abs(measure_agreement(shown[::-1], maps, SIZE).convolution).max() < 0.3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scenes": np.ones((1, 9, 9))}, r"maps have the shape \(1, 3, 24, 20\) and the images"),
        ({"size": 4}, "the side of a kernel is 4; it is odd"),
        ({"size": 21}, "half of each map has 0 pixels, too few for a kernel of 21 x 21"),
        ({"simulated": np.ones((1, 2, 24, 20))}, "name as many simulations as maps"),
        ({"maps": np.full((1, 3, 24, 20), np.nan)}, "the maps hold values that are not finite"),
        ({"scenes": np.ones((1, 24, 20))}, "the displayed image is constant in its upper or lower"),
    ],
)
def test_what_does_not_belong_together_is_refused(change, message):
    shown, _, maps = record()
    with pytest.raises(DataError, match=message):
        measure_agreement(**{"scenes": shown, "maps": maps, "size": SIZE} | change)


def test_arrays_are_found_by_name(tmp_path):
    shown, _, maps = record()
    np.savez(tmp_path / "a.npz", img=shown[0], plus=maps[0], minus=maps[0, :2])
    found = read_maps(tmp_path / "a.npz", "img", ["plus", "minus"], [])
    assert (found.scenes.shape, found.maps.shape) == ((1, 24, 20), (1, 5, 24, 20))
    assert found.labels == ["plus 0", "plus 1", "plus 2", "minus 0", "minus 1"]
    with pytest.raises(DataError, match="lacks the array image; it holds img, plus, minus"):
        read_maps(tmp_path / "a.npz", "image", ["plus"], [])
    with pytest.raises(DataError, match=r"img is float64 of the shape \(24, 20\); .* \(M, H, W\)"):
        read_maps(tmp_path / "a.npz", "img", ["img"], [])


def test_the_command_says_how_far_the_maps_go(tmp_path):
    shown, _, maps = record()
    np.savez(tmp_path / "a.npz", img=shown[0], plus=maps[0])
    asked = ["agreement", str(tmp_path / "a.npz"), "--image", "img", "--maps", "plus"]
    said = CliRunner().invoke(app, [*asked, "--kernel-size", "5"]).output
    assert "plus 2" in said
    assert "1.000" in said
    assert "no chip can be compensated" in " ".join(said.split())


def test_with_a_dark_sub_optic_there_is_no_correlation(tmp_path):
    shown, _, maps = record()
    maps[:, 1] = 0.0
    found = measure_agreement(shown, maps, SIZE, maps)
    for column in (found.convolution, found.identity, found.simulation):
        assert np.isnan(column).tolist() == [False, True, False]
    np.savez(tmp_path / "a.npz", image=shown[0], plus=maps[0])
    asked = ["agreement", str(tmp_path / "a.npz"), "--maps", "plus", "--kernel-size", "5"]
    said = " ".join(CliRunner().invoke(app, asked).output.split())
    assert "plus 1: constant in half of the pixels" in said
    assert "medians: best convolution 1.000" in said
