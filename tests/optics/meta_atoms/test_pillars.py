import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridonn.core.errors import ArtefactError, OpticsError
from hybridonn.optics.meta_atoms.pillars import NM, PillarLibrary, default_library, transmit
from hybridonn.optics.meta_atoms.published_phase import (
    FITS,
    phase_difference,
    published_phase,
    summarise,
)

WIDTHS_NM = [0, *range(65, 238, 4)]  # 45 widths


def make_library(widths_nm=WIDTHS_NM, wavelengths_nm=(635, 532, 450), **changes):
    """Pillars of the authors' phase with an amplitude that falls gently."""
    widths = torch.tensor(widths_nm, dtype=torch.float64) * NM
    values = torch.stack(
        [
            torch.polar(0.98 - 1e5 * widths, published_phase(widths, wavelength * NM))
            for wavelength in wavelengths_nm
        ]
    )
    wavelengths = torch.tensor(wavelengths_nm, dtype=torch.float64) * NM
    arguments = {"transmission": values, "period_m": 293 * NM, "height_m": 750 * NM} | changes
    return PillarLibrary(wavelengths, widths, **arguments)


@pytest.fixture(scope="module")
def library():
    return default_library()


def test_every_shipped_width_is_there(library):
    assert (library.wavelengths_m / NM).round().tolist() == [635, 532, 450]
    assert (library.widths_m / NM).round().tolist() == [0, *range(65, 238)]
    assert library.transmission.shape == (3, 174)
    assert library.material == "Si3N4/Beliaev"
    assert library.substrate == "SiO2/Malitson"


def test_red_is_the_authors_within_three_hundredths_of_a_turn(library):
    rms = [phase_difference(library, c).square().mean().sqrt() / (2 * math.pi) for c in range(3)]
    assert rms[0] <= 0.03
    assert rms[1] <= 0.03
    assert rms[2] <= 0.08  # guided resonances near 225 nm, which a smooth fit does not hold
    assert f"{rms[0]:.4f}" in summarise(library)[0]


def test_phase_rises_with_width_and_empty_is_bare_quartz(library):
    assert library.transmission[:, 0].angle().abs().max() < 1e-6
    fresnel = math.sqrt(1 - (0.46008 / 2.46008) ** 2)
    assert library.transmission[1, 0].abs().item() == pytest.approx(fresnel, abs=2e-4)
    steps = (library.transmission[0, 2:] / library.transmission[0, 1:-1]).angle()
    assert bool((steps > 0).all())


def test_every_other_width_foretells_those_between_away_from_resonances(library):
    """A step of 1 nm is fine enough, save at the guided resonances, which jump within it."""
    coarse = PillarLibrary(
        library.wavelengths_m,
        torch.cat([library.widths_m[:1], library.widths_m[1::2]]),
        torch.cat([library.transmission[:, :1], library.transmission[:, 1::2]], dim=1),
        library.period_m,
        library.height_m,
    )
    left_out = library.widths_m[2:-1:2]
    error = (transmit(coarse, left_out) - library.transmission[:, 2:-1:2]).abs()
    assert error[0].max() < 1e-4
    narrow = left_out < 150 * NM
    assert error[1, left_out < 215 * NM].max() < 1e-3
    assert error[2, narrow].max() < 1e-3
    assert error[2].max() > 0.5  # what the resonances would cost if a coarser table were shipped


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_library_holds_at_its_own_widths(dtype):
    library = make_library()
    found = transmit(library, library.widths_m.to(dtype).reshape(3, 15))
    assert found.shape == (3, 3, 15)
    assert found.dtype == (torch.complex128 if dtype == torch.float64 else torch.complex64)
    torch.testing.assert_close(
        found.reshape(3, 45).to(torch.complex128), library.transmission, atol=2e-6, rtol=0
    )


def test_interpolation_falls_on_a_smooth_truth():
    coarse, fine = make_library([0, *range(65, 238, 4)]), make_library([0, *range(65, 238, 2)])
    widths = torch.linspace(65, 236, 333, dtype=torch.float64) * NM
    truth = make_library([0, *(widths / NM).tolist()]).transmission[:, 1:]
    errors = [(transmit(lib, widths) - truth).abs().max().item() for lib in (coarse, fine)]
    assert errors[0] < 2e-3
    assert errors[1] < errors[0] / 3


def test_a_parabola_is_interpolated_exactly_on_an_uneven_grid():
    nm = torch.tensor([70.0, 75, 84, 90, 110], dtype=torch.float64)
    law = lambda w: torch.complex(0.3 + 1e-5 * w**2, 0.1 + 1e-3 * w)  # noqa: E731
    library = PillarLibrary([532e-9], nm * NM, law(nm)[None], 293 * NM, 750 * NM)
    widths = torch.linspace(70, 110, 57, dtype=torch.float64)
    torch.testing.assert_close(transmit(library, widths * NM)[0], law(widths), atol=1e-12, rtol=0)


def test_the_gradient_is_right_and_continuous():
    library = make_library(range(65, 100, 5))
    widths_nm = torch.tensor([65.0, 66.3, 70, 77.7, 95], dtype=torch.float64, requires_grad=True)
    inner = torch.tensor([66.3, 71, 77.7, 94], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda w: transmit(library, w * NM), (inner,), eps=1e-6)
    (gradient,) = torch.autograd.grad(transmit(library, widths_nm * NM).real.sum(), widths_nm)
    assert torch.isfinite(gradient).all()
    knot = torch.tensor([75.0], dtype=torch.float64)
    slopes = [
        torch.func.jvp(lambda w: transmit(library, w * NM), (knot + s,), (knot * 0 + 1,))[1]
        for s in (-1e-7, 1e-7)
    ]
    torch.testing.assert_close(slopes[0], slopes[1], atol=1e-8, rtol=1e-6)


def test_no_pillar_is_not_interpolated_to_the_first():
    library = make_library()
    widths = torch.tensor([0.0, 65e-9], requires_grad=True)
    found = transmit(library, widths)
    torch.testing.assert_close(found[:, 0], library.transmission[:, 0].to(torch.complex64))
    found.abs().sum().backward()
    assert widths.grad is not None
    assert widths.grad[0] == 0
    assert widths.grad[1] != 0
    with pytest.raises(OpticsError, match=r"1 of 2 pillars .* 40 nm; allowed are 0 .*65 to 237 nm"):
        transmit(library, torch.tensor([100e-9, 40e-9]))


@pytest.mark.parametrize("width_nm", [-1.0, 64.9, 237.1, float("nan"), float("inf")])
def test_widths_outside_are_refused(width_nm):
    with pytest.raises(OpticsError, match="1 of 2 pillars"):
        transmit(make_library(), torch.tensor([100e-9, width_nm * NM]))


def test_without_width_zero_there_is_no_empty_cell():
    library = make_library(range(65, 100, 5))
    with pytest.raises(OpticsError, match="allowed are 65 to 95 nm"):
        transmit(library, torch.zeros(2))


def test_single_precision_limits_are_inside():
    limits = torch.tensor([65e-9, 237e-9], dtype=torch.float32)
    assert transmit(make_library(), limits).shape == (3, 2)


def test_some_wavelengths_in_any_order():
    library = make_library()
    picked = library.at([450e-9, 635e-9])
    assert torch.equal(picked.transmission, library.transmission[[2, 0]])
    with pytest.raises(OpticsError, match=r"600 nm is not in the library.*635, 532, 450 nm"):
        library.at([600e-9])


@pytest.mark.parametrize(
    ("widths", "sentence"),
    [
        ([65, 65, 70], "65 nm twice"),
        ([-65, 70, 80], "the width -65 nm"),
        ([65, math.nan, 80], "the width nan nm"),
        ([70, 65, 80], "ascend"),
        ([0, 70], "two pillars"),
        ([70, 80, 293], "293 nm wide touch at a period of 293 nm"),
    ],
)
def test_widths_that_no_library_has(widths, sentence):
    with pytest.raises(OpticsError, match=sentence):
        PillarLibrary([532e-9], [w * NM for w in widths], [[1.0] * len(widths)], 293 * NM, 750 * NM)


def test_values_that_no_library_has():
    values = make_library().transmission
    with pytest.raises(OpticsError, match=r"amplitude 1\.2000; a pillar transmits at most 1"):
        make_library(transmission=torch.full_like(values, 1.2))
    with pytest.raises(OpticsError, match="not a finite number"):
        make_library(transmission=values * math.nan)
    with pytest.raises(OpticsError, match=r"\(W,\), \(N,\) and \(W, N\)"):
        make_library(transmission=values[:, :5])
    with pytest.raises(OpticsError, match="height and period"):
        make_library(height_m=0.0)


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(65, 237), min_size=2, max_size=12, unique=True), st.booleans())
def test_written_and_read_it_is_the_same(tmp_path_factory, widths, empty):
    library = make_library([0] * empty + sorted(widths), (635, 450))
    path = tmp_path_factory.mktemp("library") / "pillars.csv"
    library.write_csv(path)
    again = PillarLibrary.read_csv(path)
    torch.testing.assert_close(again.widths_m, library.widths_m, atol=1e-18, rtol=1e-9)
    torch.testing.assert_close(again.wavelengths_m, library.wavelengths_m)
    torch.testing.assert_close(again.transmission, library.transmission, atol=2e-6, rtol=0)
    assert (again.period_m, again.height_m) == pytest.approx((293e-9, 750e-9))


def test_a_library_that_cannot_be_written_leaves_nothing(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtefactError):
        make_library().write_csv(tmp_path / "file" / "pillars.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("wavelength_nm", FITS)
def test_the_published_phase_is_as_printed(wavelength_nm):
    A, b, s = FITS[wavelength_nm]
    w = 0.2
    expected = 2 * math.pi * A * (1 - math.exp(-(w**2 - 2 * b * w) / s))
    found = published_phase(torch.tensor([200e-9], dtype=torch.float64), wavelength_nm * NM)
    assert found.item() == pytest.approx(expected, rel=1e-12)


def test_a_constant_phase_is_no_difference():
    library = make_library()
    turned = make_library(transmission=library.transmission * complex(0, 1))
    for colour in range(3):
        assert phase_difference(turned, colour).abs().max() < 1e-9


@pytest.mark.parametrize(
    ("width_nm", "wavelength_nm", "sentence"),
    [
        (100, 449.6, "published at 635, 532, 450 nm, not at 449.6 nm"),
        (100, 633, "not at 633 nm"),
        (50, 532, "65 to 240 nm wide, not 50 nm"),
        (250, 532, "not 250 nm"),
        (float("nan"), 532, "not nan nm"),
    ],
)
def test_the_published_phase_is_not_used_beyond_what_was_published(
    width_nm, wavelength_nm, sentence
):
    with pytest.raises(OpticsError, match=sentence):
        published_phase(torch.tensor([150e-9, width_nm * NM]), wavelength_nm * NM)


def test_other_pillars_are_not_held_against_the_published_phase():
    wide = make_library().at([532 * NM])
    wide = replace(wide, widths_m=torch.cat([wide.widths_m[:-1], torch.tensor([250e-9])]))
    assert "RMS" in summarise(make_library())[1]
    assert "RMS" not in summarise(wide)[0]
