"""Orders of a lattice by hand, and who is told of them."""

import math
import warnings

import pytest
import torch

from hybridonn.core.errors import OpticsError
from hybridonn.optics.meta_atoms.diffraction import (
    DiffractionWarning,
    check_orders,
    check_steep_orders,
    list_orders,
)
from hybridonn.optics.meta_atoms.pillars import NM, PillarLibrary, default_library


def test_orders_of_a_square_lattice():
    # lambda / p = 0.75: in index 1.5 the circle of radius 2 steps holds 8 orders and touches 4.
    found = list_orders(600 * NM, 450 * NM, 1.5)
    assert found.count == 8
    assert found.degrees == pytest.approx(math.degrees(math.asin(0.5)))
    assert list_orders(450 * NM, 450 * NM, 1.0).count == 0  # they graze
    assert list_orders(451 * NM, 450 * NM, 1.0).count == 4
    assert math.isnan(list_orders(300 * NM, 450 * NM, 1.45).degrees)


def test_steep_light_takes_orders_with_it():
    # sine 0.4 less a step of 1.3: -0.9 travels, straight light's -1.3 does not.
    assert list_orders(100 * NM, 130 * NM, 1.0).count == 0
    found = list_orders(100 * NM, 130 * NM, 1.0, 0.4)
    assert (found.count, found.degrees) == (1, pytest.approx(math.degrees(math.asin(0.9))))
    with pytest.warns(DiffractionWarning, match="sine of up to 0.4.*below 92.86 nm"):
        check_steep_orders(100 * NM, [130 * NM], 0.4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_steep_orders(92 * NM, [130 * NM, 200 * NM], 0.4)


def library(period_nm, substrate_index=None, wavelengths_nm=(635, 450)):
    return PillarLibrary(
        torch.tensor(wavelengths_nm) * NM,
        torch.tensor([0, 100, 200]) * NM,
        torch.ones(len(wavelengths_nm), 3),
        period_nm * NM,
        600 * NM,
        substrate_index=substrate_index,
    )


def test_a_library_of_others_is_checked_at_the_wavelengths_that_are_used():
    wide = library(340, 1.46)
    with pytest.warns(DiffractionWarning, match="4 orders .* at 450 nm.*below 308.2 nm.*496.4 nm"):
        wide.at([635 * NM, 450 * NM])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        wide.at([635 * NM])
        library(300, 1.46).at([450 * NM])
        default_library().at([635 * NM, 532 * NM, 450 * NM])
    with pytest.raises(OpticsError, match=r"4 orders .* into the air at 450 nm.*below 450 nm"):
        library(460, 1.0).at([450 * NM])


def test_a_substrate_that_is_not_stated_is_fused_silica_at_least():
    with pytest.warns(DiffractionWarning, match="is assumed: state '# substrate_index"):
        library(340).at([450 * NM])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        library(340, 1.0).at([450 * NM])


def test_the_index_of_the_substrate_stands_in_the_file(tmp_path):
    library(300, 1.4656).write_csv(tmp_path / "a.csv")
    assert PillarLibrary.read_csv(tmp_path / "a.csv").substrate_index == 1.4656
    library(300).write_csv(tmp_path / "b.csv")
    assert PillarLibrary.read_csv(tmp_path / "b.csv").substrate_index is None


@pytest.mark.parametrize("index", [1.0, 1.45, 2.4])
def test_the_cure_that_is_named_cures(index):
    wavelength_m = 450 * NM
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_orders(wavelength_m / index * (1 - 1e-6), [wavelength_m], index)
