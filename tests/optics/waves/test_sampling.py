import math
import warnings

import pytest
import torch

from hybridonn.core.errors import OpticsError, SamplingError
from hybridonn.optics.waves.propagation import Propagator
from hybridonn.optics.waves.sampling import SamplingWarning, check_sampling, measure_band
from hybridonn.optics.waves.sources import gaussian_beam, plane_wave, thin_lens

RED, BLUE = 635e-9, 450e-9
GRID = {"shape": (256, 256), "pitch_m": 1e-6, "wavelengths_m": [RED], "distance_m": 1e-4}


def quietly(**grid):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return check_sampling(**grid)


def test_the_metasurface_of_the_paper_is_sampled_rightly():
    grid = {"shape": (1600, 1600), "pitch_m": 586e-9, "distance_m": 2.4e-3}
    report = quietly(**grid, wavelengths_m=[RED, 532e-9, BLUE])
    assert report.kept_sine == pytest.approx(math.sin(math.atan(1600 * 0.586e-3 / 2.4)))
    assert report.carried_sine == pytest.approx(450 / (2 * 586))
    assert report.needed_sine == pytest.approx(635 / (2 * 586))


def test_light_steeper_than_the_pitch_carries():
    with pytest.raises(
        SamplingError, match=r"aperture 0.5 at 450 nm .* at most 450 nm, found 1000"
    ):
        quietly(**GRID | {"wavelengths_m": [RED, BLUE]}, numerical_aperture=0.5)
    assert quietly(**GRID, numerical_aperture=0.3).needed_sine == 0.3


def test_an_aliased_transfer_function_raises_with_a_cure_that_works():
    grid = GRID | {"distance_m": 2e-3, "numerical_aperture": 0.2, "band_limited": False}
    with pytest.raises(SamplingError, match="padding of at least 4"):
        quietly(**grid)
    assert quietly(**grid, padding=4).kept_sine > 0.2


def test_the_transfer_function_aliases_where_the_check_says():
    """The largest jump of phase between neighbouring frequencies reaches half a turn there."""
    n, pitch, z = 256, 1e-6, 2e-3
    sine = check_sampling((n // 2, n // 2), pitch, [RED], z, numerical_aperture=0.01).kept_sine
    transfer = Propagator(
        (n, 1), pitch, [RED], z, padding=1, dtype=torch.complex128, band_limited=False
    ).transfer[0, : n // 2, 0]
    jumps = (transfer[1:] / transfer[:-1]).angle().abs()
    step = RED / (n * pitch)  # in sines
    last = int(sine / step)
    assert float(jumps[: last - 1].max()) < math.pi
    assert float(jumps[: last - 1].max()) > math.pi * (1 - 3 / last)


def test_an_aperture_that_is_cut_off_warns_with_a_cure_that_works():
    grid = GRID | {"distance_m": 2e-3, "numerical_aperture": 0.2}
    with pytest.warns(SamplingWarning, match=r"cut off; use padding of at least 4"):
        check_sampling(**grid)
    quietly(**grid, padding=4)


def test_light_of_which_nothing_is_known_may_leave_the_window_up_to_a_half():
    quietly(**GRID | {"distance_m": 4e-4})
    with pytest.warns(SamplingWarning, match="cut off"):
        check_sampling(**GRID | {"distance_m": 4e-3})


def test_light_that_comes_in_again():
    with pytest.raises(SamplingError, match="come in again on the other side"):
        quietly(**GRID, padding=1)
    quietly(**GRID | {"distance_m": 0.0}, padding=1)


@pytest.mark.parametrize(("distance", "near"), [(1e-7, True), (1e-5, False)])
def test_evanescent_loss(distance, near):
    grid = GRID | {"pitch_m": 150e-9, "distance_m": distance}
    with pytest.warns(SamplingWarning, match=r"evanescent, found details down to 150 nm") as seen:
        check_sampling(**grid)
    assert ("not over yet" in str(seen[0].message)) == near
    quietly(**grid, numerical_aperture=0.9)


def test_the_light_itself_decides():
    grid = GRID | {"distance_m": 2e-3}
    narrow = gaussian_beam((256, 256), 1e-6, [RED], 20e-6)
    report = quietly(**grid, field=narrow)
    # All but a thousandth of a Gaussian's power in both axes, whose spectrum is exp(-2 (pi w f)^2).
    sigma = RED / (2 * math.pi * 20e-6)
    assert 3 * sigma < report.needed_sine < 4 * sigma
    wide = thin_lens((256, 256), 1e-6, [RED], 0.4e-3, 0.25e-3)
    with pytest.warns(SamplingWarning, match="cut off"):
        check_sampling(**grid, field=wide)


def test_an_undersampled_field_is_found():
    noise = torch.randn(64, 64, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    with pytest.warns(SamplingWarning, match=r"\d\d % of the field's power .* undersampled"):
        check_sampling((64, 64), 1e-6, [RED], 1e-5, field=noise)


def test_the_band_of_a_tilted_wave():
    wave = plane_wave((128, 128), 1e-6, [RED], (0.0, 20 * RED / 128e-6))
    reach, edge = measure_band(wave, 1e-6)
    assert reach == pytest.approx(20 / 128e-6)
    assert edge < 1e-9


@pytest.mark.parametrize("value", [0.0, math.nan, math.inf])
def test_a_field_without_light(value):
    with pytest.raises(SamplingError, match="power of the field"):
        measure_band(torch.full((4, 4), value, dtype=torch.complex64), 1e-6)


def test_lengths_are_checked():
    with pytest.raises(OpticsError, match="pitch_m is -1"):
        check_sampling(**GRID | {"pitch_m": -1.0})
