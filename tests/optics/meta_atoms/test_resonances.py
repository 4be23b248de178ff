"""Widths at which light is guided along the pillars are not used."""

import pytest
import torch

from hybridonn.core.errors import OpticsError
from hybridonn.optics.meta_atoms.pillars import NM, PillarLibrary, default_library, transmit
from hybridonn.optics.meta_atoms.published_phase import phase_difference
from hybridonn.optics.meta_atoms.resonances import avoid_resonances, drop_resonances, find_steady
from hybridonn.optics.metasurface.inverse_design import (
    DesignContext,
    Limits,
    Recipe,
    design,
    limit_widths,
)
from hybridonn.optics.metasurface.sub_optic import Metasurface
from hybridonn.optics.metasurface.targets import split_kernels


@pytest.fixture(scope="module")
def library():
    return default_library()


def make(widths_nm, powers):
    """A library of one wavelength that transmits given powers."""
    values = torch.tensor([powers], dtype=torch.float64).sqrt().to(torch.complex128)
    widths = torch.tensor(widths_nm, dtype=torch.float64) * NM
    return PillarLibrary(torch.tensor([532 * NM]), widths, values, 293 * NM, 750 * NM)


def test_a_faint_width_goes_with_its_two_neighbours():
    library = make([0, 100, 110, 120, 130, 140, 150], [0.2, 0.9, 0.9, 0.4, 0.9, 0.9, 0.9])
    assert find_steady(library, 0.5).tolist() == [True, True, False, False, False, True, True]
    steady = drop_resonances(library, 0.5)
    assert (steady.widths_m / NM).round().tolist() == [0, 100, 140, 150]
    assert bool(find_steady(library, 0.0).all())


def test_widths_that_can_be_made_lie_beside_the_gap():
    library = make([0, 100, 110, 120, 130, 140, 150], [0.2, 0.9, 0.9, 0.4, 0.9, 0.9, 0.9])
    every = Limits(torch.arange(100, 151, 2, dtype=torch.float64) * NM)
    limits = avoid_resonances(every, library, 0.5)
    assert (limits.widths_m / NM).round().tolist() == [100, *range(140, 151, 2)]
    asked = torch.tensor([90, 100.9, 119, 121, 142.9, 143.1, 170]) * NM
    assert (limits.fit(asked) / NM).round().tolist() == [100, 100, 100, 140, 142, 144, 150]
    same = avoid_resonances(every, library, 0.0)
    assert torch.equal(same.widths_m, every.widths_m)
    torch.testing.assert_close(same.fit(asked[1:]), every.fit(asked[1:]))


def test_without_its_resonances_the_library_is_steady(library):
    steady = drop_resonances(library, 0.64)
    left_nm = (steady.widths_m / NM).round().tolist()
    assert left_nm[0] == 0
    assert len(left_nm) > 120
    assert not {158, 174, 218, 226, 157, 159} & set(left_nm)
    assert steady.transmission[:, 1:].abs().min() >= 0.8
    widths = torch.linspace(65, left_nm[-1], 3000, dtype=torch.float64) * NM
    across = transmit(steady, widths).abs()
    assert across.min() > 0.75
    assert across.max() < 1.05
    rms = [phase_difference(lib, 2).square().mean().sqrt() for lib in (library, steady)]
    assert rms[1] < 0.7 * rms[0]


def test_the_limits_of_the_default_chip_transmit_what_is_asked(library):
    steady = drop_resonances(library, 0.5)
    limits = avoid_resonances(limit_widths(steady, 65 * NM, 53 * NM, NM), library, 0.5)
    power = transmit(library, limits.widths_m).abs().square()
    assert power.min() >= 0.5
    assert 130 < len(limits.widths_m) < 173
    torch.testing.assert_close(
        transmit(steady, limits.widths_m), transmit(library, limits.widths_m), atol=1e-9, rtol=0
    )


def test_a_design_does_not_depend_on_what_resonances_transmit(library):
    steady = drop_resonances(library, 0.5)
    limits = avoid_resonances(limit_widths(steady, 65 * NM, 53 * NM, NM), library, 0.5)
    surface = Metasurface(586 * NM, 64, 3e-4, 10, tuple(library.wavelengths_m.tolist()))
    shop = DesignContext(
        surface, steady, limits, Recipe(steps=3, start_rounds=2, learning_rate=0.1)
    )
    kernels = torch.randn(1, 3, 3, 3, generator=torch.Generator().manual_seed(0))
    widths_m = design(split_kernels(kernels), shop, [0])
    distance_m = (widths_m.double().flatten()[:, None] - limits.widths_m).abs().amin(1)
    assert distance_m.max() < 1e-13
    torch.testing.assert_close(
        transmit(library, widths_m), transmit(steady, widths_m), atol=2e-5, rtol=0
    )


@pytest.mark.parametrize(
    ("powers", "message"),
    [([0.3] * 4, "0 of 4 pillars"), ([0.9, 0.3, 0.9, 0.9], "1 of 4 pillars")],
)
def test_a_library_of_resonances_is_refused(powers, message):
    with pytest.raises(OpticsError, match=message + ".*least transmittance"):
        find_steady(make([100, 110, 120, 130], powers), 0.5)


def test_a_grid_that_holds_nothing_else_is_refused():
    library = make([100, 110, 120, 130, 140, 150], [0.9, 0.9, 0.9, 0.4, 0.9, 0.9])
    every = Limits(torch.tensor([112.0, 118, 124, 130, 136, 142]) * NM)
    with pytest.raises(OpticsError, match=r"0 of the 6 widths .*least transmittance"):
        avoid_resonances(every, library, 0.5)
