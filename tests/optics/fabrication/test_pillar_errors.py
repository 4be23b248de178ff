"""Errors of pillars, by closed forms and against rigorous coupled waves."""

import cmath
import math
import warnings

import pytest
import torch

from hybridonn.core.errors import OpticsError
from hybridonn.optics.fabrication.pillar_errors import (
    bias_widths,
    couple_neighbours,
    etch_deeper,
    sample_band,
    shift_wavelengths,
    stitch,
)
from hybridonn.optics.meta_atoms.materials import packaged_file, read_material
from hybridonn.optics.meta_atoms.pillars import PillarLibrary, default_library, transmit
from hybridonn.optics.meta_atoms.rcwa import PillarCell, compute_point, load_solver
from hybridonn.optics.waves.sampling import SamplingWarning

NM = 1e-9


def make_library(phase, wavelengths_nm):
    phase = torch.as_tensor(phase, dtype=torch.float64)
    widths = torch.linspace(60e-9, 240e-9, phase.shape[1], dtype=torch.float64)
    values = torch.polar(torch.full_like(phase, 0.9), phase)
    wavelengths = NM * torch.tensor(wavelengths_nm, dtype=torch.float64)
    return PillarLibrary(wavelengths, widths, values, 293e-9, 750e-9)


def test_no_pillar_grows_where_none_stands_and_none_leaves_the_library():
    library = default_library()
    widths = torch.tensor([0.0, 65e-9, 150e-9, 237e-9]).repeat(1000, 1)
    made = bias_widths(widths, 5e-9, 3e-9, library, torch.Generator().manual_seed(0))
    assert (made[:, 0] == 0).all()
    transmit(library, made)  # refuses what it does not hold
    grown = (made - widths)[:, 2]
    assert grown.mean() == pytest.approx(5e-9, rel=0.1)
    assert grown.std() == pytest.approx(3e-9, rel=0.1)


def test_a_deeper_etch_scales_the_phase_across_wraps():
    phase = torch.linspace(0, 9, 40, dtype=torch.float64)[None]
    library = make_library(phase, [532])
    wanted = torch.polar(torch.full_like(phase, 0.9), 1.05 * phase)
    assert torch.allclose(etch_deeper(library, 0.05).transmission, wanted)
    assert torch.equal(etch_deeper(library, 0.0).transmission, library.transmission)


def test_a_constant_index_has_a_phase_that_falls_with_the_wavelength():
    phase = torch.linspace(0, 9, 40, dtype=torch.float64)[None]
    found = shift_wavelengths(make_library(phase, [500]), [510e-9])
    assert torch.allclose(found.transmission, make_library(phase / 1.02, [510]).transmission)
    assert found.wavelengths_m.tolist() == [510e-9]


def test_an_index_that_is_a_parabola_in_the_wavenumber_is_found_exactly():
    rise = torch.linspace(0, 1, 40, dtype=torch.float64)
    held = [450.0, 532.0, 635.0, 900.0]

    def phase(wavelength_nm):
        k = 500 / wavelength_nm
        return k * rise * (2 + 3 * k + 4 * k**2)

    library = make_library(torch.stack([phase(w) for w in held]), held)
    found = shift_wavelengths(library, [540e-9, 450e-9])
    wanted = torch.stack([phase(540.0), phase(450.0)])
    assert torch.allclose(found.transmission, torch.polar(torch.full_like(wanted, 0.9), wanted))


def test_wavelengths_of_the_library_give_it_back():
    library = default_library()
    found = shift_wavelengths(library, library.wavelengths_m.tolist())
    assert torch.allclose(found.transmission, library.transmission, atol=1e-12)


@pytest.mark.parametrize(
    ("held_nm", "wanted_nm"), [([532], 515), ([532, 635], 550), ([450, 532, 635], 400)]
)
def test_a_wavelength_far_from_those_of_the_library_is_said(held_nm, wanted_nm):
    phase = torch.linspace(0, 3, 4).expand(len(held_nm), 4)
    library = make_library(phase, held_nm)
    with pytest.warns(SamplingWarning, match=f"is asked for {wanted_nm} nm.*--wavelengths-nm"):
        shift_wavelengths(library, [wanted_nm * NM])
    for near_nm in (held_nm[0] + 9, held_nm[-1] - 9):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            shift_wavelengths(library, [near_nm * NM])


@pytest.mark.parametrize("wanted_nm", [300, 800, 0.532, -5, float("nan")])
def test_a_wavelength_beyond_those_of_the_library_is_refused(wanted_nm):
    library = make_library(torch.linspace(0, 3, 4).expand(3, 4), [450, 532, 635])
    with pytest.raises(OpticsError, match=f"is asked for {wanted_nm:g} nm, more than 20% beyond"):
        shift_wavelengths(library, [wanted_nm * NM])


def compute_turn(width_m, wavelengths_m, heights_m):
    pillar = read_material(packaged_file("Si3N4") / "Beliaev.yml")
    substrate = read_material(packaged_file("SiO2") / "Malitson.yml")
    before, after = (
        compute_point(
            PillarCell(293e-9, height_m, pillar, substrate), width_m, wavelength_m, 5, load_solver()
        ).transmission
        for wavelength_m, height_m in zip(wavelengths_m, heights_m, strict=True)
    )
    return cmath.phase(after / before)


@pytest.mark.parametrize("width_m", [110e-9, 140e-9, 200e-9])
def test_dispersion_and_depth_are_near_rigorous_coupled_waves(width_m):
    # Within 20 %, far from resonances: first-order laws of a library that knows three colours.
    pytest.importorskip("meent")
    library = default_library()
    width = torch.tensor([width_m], dtype=torch.float64)
    before, after = (
        transmit(shift_wavelengths(library, [w]), width)[0, 0] for w in (532e-9, 535e-9)
    )
    wanted = compute_turn(width_m, (532e-9, 535e-9), (750e-9, 750e-9))
    assert float((after / before).angle()) == pytest.approx(wanted, rel=0.2)
    own = library.at([532e-9])
    before, after = (transmit(some, width)[0, 0] for some in (own, etch_deeper(own, 0.02)))
    wanted = compute_turn(width_m, (532e-9, 532e-9), (750e-9, 765e-9))
    assert float((after / before).angle()) == pytest.approx(wanted, rel=0.2)


def test_coupling_leaves_equal_neighbours_and_mixes_others():
    light = torch.ones(2, 5, 5, dtype=torch.complex128)
    assert torch.allclose(couple_neighbours(light, 0.3), light)
    light[0, 2, 2] = torch.tensor(-1j)
    mixed = couple_neighbours(light, 0.2)
    assert mixed[0, 2, 2] == pytest.approx(0.8 * -1j + 0.2)
    assert mixed[0, 2, 1] == pytest.approx(1 + 0.05 * (-1j - 1))
    assert torch.allclose(mixed[1], light[1])


def test_stitching_of_a_plane_wave_turns_it_by_its_phase():
    # 2 and 3 waves a field: a shift by s cells is a phase of 2 pi f s, another in each field.
    place = torch.arange(16, dtype=torch.float64)
    angle = 2 * math.pi * (2 * place[:, None] + 3 * place) / 8
    wave = torch.polar(torch.ones_like(angle), angle)[None]
    draws = torch.randn(4, 2, generator=torch.Generator().manual_seed(5), dtype=torch.float32)
    moved = stitch(wave, 30e-9, 8e-7, 1e-7, torch.Generator().manual_seed(5))
    turned = (moved / wave)[0]
    for field, (down, right) in enumerate(0.3 * draws):
        rows, columns = 8 * (field // 2), 8 * (field % 2)
        wanted = cmath.exp(-2j * math.pi * (2 * float(down) + 3 * float(right)) / 8)
        some = turned[rows : rows + 8, columns : columns + 8]
        assert torch.allclose(some, torch.full_like(some, wanted), atol=1e-5)


def test_stitching_keeps_the_power_of_any_light_and_a_field_may_be_cut():
    generator = torch.Generator().manual_seed(0)
    light = torch.randn(2, 13, 13, generator=generator, dtype=torch.complex128)
    moved = stitch(light, 20e-9, 5e-7, 1e-7, generator)
    assert torch.linalg.norm(moved) == pytest.approx(float(torch.linalg.norm(light)))
    assert torch.linalg.norm(moved - light) > 0.1
    assert torch.allclose(stitch(light, 0.0, 5e-7, 1e-7, generator), light)


def test_a_band_has_its_centre_and_its_width():
    places, weights = sample_band(532e-9, 2e-9, 10e-9)
    assert sum(weights) == pytest.approx(1)
    mean = sum(w * p for w, p in zip(weights, places, strict=True))
    variance = sum(w * (p - mean) ** 2 for w, p in zip(weights, places, strict=True))
    assert mean == pytest.approx(534e-9)
    assert math.sqrt(variance) == pytest.approx(10e-9 / 2.3548, rel=1e-4)
    assert sample_band(532e-9, 0.0, 0.0) == ([532e-9], [1.0])
