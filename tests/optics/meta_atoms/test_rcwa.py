import cmath
import warnings
from dataclasses import replace
from math import pi, sqrt

import numpy as np
import pytest

from hybridonn.core.errors import OpticsError
from hybridonn.optics.meta_atoms.diffraction import DiffractionWarning, list_orders
from hybridonn.optics.meta_atoms.materials import Block, Material, packaged_file, read_material
from hybridonn.optics.meta_atoms.pillars import NM, default_library
from hybridonn.optics.meta_atoms.rcwa import (
    PillarCell,
    compute_convergence,
    compute_library,
    compute_point,
    load_solver,
)
from hybridonn.optics.waves.sampling import SamplingWarning

meent = pytest.importorskip("meent")

NITRIDE = read_material(packaged_file("Si3N4/Beliaev.yml"))
QUARTZ = read_material(packaged_file("SiO2/Malitson.yml"))
CELL = PillarCell(293 * NM, 750 * NM, NITRIDE, QUARTZ)


def solve_film(n, substrate, height, wavelength):
    """Airy's formula: field through a film from a substrate into air, and back."""
    into, out = (substrate - n) / (substrate + n), (n - 1) / (n + 1)
    turn = cmath.exp(2j * pi * n * height / wavelength)
    between = 1 + into * out * turn**2
    t = 4 * substrate * n / ((substrate + n) * (n + 1)) * turn / between
    return t, (into + out * turn**2) / between


def couple_dense(eps_x, eps_y, eps_z, Kx, Ky):
    """Maxwell's equations with E_z and H_z eliminated, as in any textbook."""
    one, inverse = np.eye(len(Kx)), np.linalg.inv(eps_z)
    P = [
        [Kx @ inverse @ Ky, one - Kx @ inverse @ Kx],
        [Ky @ inverse @ Ky - one, -Ky @ inverse @ Kx],
    ]
    Q = [[-Kx @ Ky, Kx @ Kx - eps_y], [eps_x - Ky @ Ky, Ky @ Kx]]
    return np.block(P), np.block(Q)


def solve_modes(P, Q):
    square, W = np.linalg.eig(P @ Q)
    kz = np.sqrt(square + 0j)
    kz = np.where(kz.real + kz.imag < 0, -kz, kz)
    return W, Q @ W / kz, kz


def factorise(inside, n, by_turns):
    """The permittivity as it acts on E_x, E_y and E_z, x before y in every product.

    Across an edge the inverse rule, along it Laurent's (Li 1997, J. Opt. Soc. Am. A 14, 2758).
    The two rules of a direction may be taken in either order: E_x takes its inverse rule first,
    E_y as well or, by turns, last; with all harmonics both are the same.
    """
    one = np.eye(len(inside))
    along = one + (n**2 - 1) * inside
    across = np.linalg.inv(one + (1 / n**2 - 1) * inside)
    eps_x = np.kron(one, one - inside) + np.kron(across, inside)
    eps_y = np.kron(one - inside, one) + np.kron(inside, across)
    if by_turns:
        bare = np.eye(len(inside) ** 2)
        eps_y = np.linalg.inv(bare + np.kron(np.linalg.inv(along) - one, inside))
    return eps_x, eps_y, np.eye(len(inside) ** 2) + (n**2 - 1) * np.kron(inside, inside)


def solve_dense(width, period, height, wavelength, n, substrate, harmonics, by_turns=True):
    """A textbook's way: E along x, plane waves, matched by the reflection of the top."""
    m = np.arange(-harmonics, harmonics + 1)
    one, whole = np.eye(len(m)), np.eye(len(m) ** 2)
    inside = width / period * np.sinc(width / period * (m[:, None] - m[None]))
    K = wavelength / period * np.diag(m)
    Kx, Ky = np.kron(K, one), np.kron(one, K)

    def admit(index):
        W, V, _ = solve_modes(*couple_dense(*(index**2 * whole,) * 3, Kx, Ky))
        return V @ np.linalg.inv(W)

    W, V, kz = solve_modes(*couple_dense(*factorise(inside, n, by_turns), Kx, Ky))
    below, above = admit(substrate), admit(1.0)
    X = np.exp(2j * pi * height / wavelength * kz)
    back = np.linalg.solve(above @ W + V, V - above @ W) * X
    E, H = W + W * X @ back, V - V * X @ back
    incident = np.zeros(2 * len(whole))
    middle = len(whole) // 2
    incident[middle] = 1
    c = np.linalg.solve(below @ E + H, 2 * below @ incident)
    return (W @ (X * c + back @ c))[middle], (E @ c - incident)[middle]


@pytest.mark.parametrize("n", [2.05, 1.9 + 0.03j])
def test_a_cell_filled_to_its_edge_is_a_film(n):
    found = load_solver()(293, 293, 750, 532, n, 1.46, 3)
    assert found == pytest.approx(solve_film(n, 1.46, 750, 532), abs=1e-11)


def test_an_empty_cell_is_the_bare_surface():
    found = load_solver()(0, 293, 750, 532, 2.05, 1.46, 2)
    fresnel = 2 * 1.46 / 2.46 * cmath.exp(2j * pi * 750 / 532)
    assert found == pytest.approx((fresnel, 0.46 / 2.46), abs=1e-11)


@pytest.mark.parametrize("width", [65, 150, 237])
@pytest.mark.parametrize("n", [2.05, 1.9 + 0.03j])
def test_a_dense_solver_that_is_not_meents_finds_the_same(width, n):
    arguments = (width, 293, 750, 450, n, 1.46, 3)
    assert load_solver()(*arguments) == pytest.approx(solve_dense(*arguments), abs=1e-10)


def test_the_order_of_the_rules_matters_less_with_more_harmonics():
    gaps = []
    for harmonics in (3, 5, 7):
        arguments = (150, 293, 750, 532, 2.05, 1.46, harmonics)
        other = solve_dense(*arguments, by_turns=False)
        gaps.append(abs(load_solver()(*arguments)[0] - other[0]))
    assert 4e-3 > gaps[0] > 1.5 * gaps[1] > 1.5 * 1.5 * gaps[2] > 0


@pytest.mark.parametrize("width", [90, 225])
@pytest.mark.parametrize("wavelength", [450, 635])
def test_no_power_is_lost_or_won(width, wavelength):
    t, r = load_solver()(width, 293, 750, wavelength, 2.05, 1.46, 5)
    assert abs(t) ** 2 / 1.46 + abs(r) ** 2 == pytest.approx(1, abs=1e-11)


def test_absorption_and_diffraction_take_power_from_the_zero_order():
    t, r = load_solver()(150, 293, 750, 532, 2 + 0.02j, 1.46, 4)
    assert 0.5 < abs(t) ** 2 / 1.46 + abs(r) ** 2 < 0.97
    t, r = load_solver()(300, 700, 750, 532, 2.0, 1.46, 4)  # orders of 700 nm propagate
    assert abs(t) ** 2 / 1.46 + abs(r) ** 2 < 0.99


def test_the_convention_of_amplitude_and_phase():
    points = [compute_point(CELL, w * NM, 635 * NM, 4, load_solver()) for w in (0, 100, 150)]
    n = QUARTZ.index(635 * NM).real
    assert points[0].transmission == pytest.approx(sqrt(1 - ((n - 1) / (n + 1)) ** 2), abs=1e-10)
    phases = [cmath.phase(point.transmission) for point in points]
    assert 0 < phases[1] < phases[2]  # a wider pillar has more phase


def test_light_from_the_other_side_is_transmitted_alike():
    """Reciprocity: what the library says holds for both sides."""
    side, middle = np.array(150.0), np.array(146.5)

    def solve(top, bottom):
        cell = [[1.0 + 0j, [["rectangle", middle, middle, side, side, 2.05]]]]
        solver = meent.call_mee(
            backend=0, n_top=top, n_bot=bottom, theta=0.0, phi=0.0, pol=0.0, fto=(4, 4),
            wavelength=532.0, period=[293.0, 293.0], thickness=[750.0], ucell=cell,
            type_complex=np.complex128,
        )  # fmt: skip
        return solver.conv_solve().res.T_s[4, 4]

    up, down = solve(1.46, 1.0) / sqrt(1.46), solve(1.0, 1.46) * sqrt(1.46)
    assert up == pytest.approx(down, abs=1e-10)


def test_the_packaged_library_is_what_the_command_computes():
    library = default_library()
    for colour, width in ((0, 65), (1, 150), (2, 190)):
        wavelength = library.wavelengths_m[colour].item()
        position = int((library.widths_m - width * NM).abs().argmin())
        point = compute_point(CELL, width * NM, wavelength, 7, load_solver())
        kept = complex(library.transmission[colour, position])
        assert point.transmission == pytest.approx(kept, abs=2e-6)


class StopError(Exception):
    pass


def test_an_interrupted_library_goes_on_where_it_was(tmp_path, monkeypatch):
    calls, stops = [], [4]

    def counted(*arguments):
        calls.append(arguments)
        if len(calls) in stops:
            stops.clear()
            raise StopError
        return solve(*arguments)

    solve = load_solver()
    monkeypatch.setattr("hybridonn.optics.meta_atoms.rcwa.load_solver", lambda: counted)
    journal, widths = tmp_path / "points", [0, 100 * NM, 150 * NM, 200 * NM]
    arguments = (CELL, widths, [635 * NM, 450 * NM], 3, journal)
    with pytest.raises(StopError):
        compute_library(*arguments)
    with journal.open("a") as file:
        file.write('{"2.0000')  # the line that was being written when the power failed
    resumed = compute_library(*arguments)
    assert len(calls) == 4 + 5 + 2  # two pillars with more harmonics
    fresh = compute_library(*arguments[:-1], tmp_path / "other")
    assert (resumed.transmission == fresh.transmission).all()
    calls.clear()
    compute_library(*arguments)
    assert not calls
    other = PillarCell(CELL.period_m, 700 * NM, NITRIDE, QUARTZ)
    compute_library(other, *arguments[1:])  # another height: nothing of the journal holds
    assert len(calls) == 8 + 2


def test_convergence_is_told_against_the_highest(tmp_path):
    rows = compute_convergence(
        CELL, [150 * NM, 180 * NM], [532 * NM], [5, 2, 3], tmp_path / "points"
    )
    assert [row["harmonics"] for row in rows] == [2, 3, 5] * 2
    changes = [abs(row["phase_change_rad"]) for row in rows[:3]]
    assert changes[0] > changes[1] > changes[2] == 0
    assert rows[0]["width_nm"] == 150
    assert max(abs(row["lost_power"]) for row in rows) < 1e-9


@pytest.mark.parametrize(
    ("widths_nm", "wavelengths_nm", "harmonics", "sentence"),
    [
        ([65, 250], [532], 3, "250 nm wide every 293 nm leave gaps of 43 nm; at least 50 nm"),
        ([65, 300], [532], 3, "300 nm wide touch at a period of 293 nm"),
        ([65, 65, 80], [532], 3, "65 nm twice"),
        ([-5, 65, 80], [532], 3, "the width -5 nm"),
        ([float("nan"), 65, 80], [532], 3, "the width nan nm"),
        ([65, 80], [2000], 3, "Si3N4/Beliaev gives nk from 211.4 to 1688.16 nm, not at 2000 nm"),
        ([65, 80], [532], 0, "0 harmonics; allowed are 1 to 20"),
        ([65, 80], [532], 21, "21 harmonics; allowed are 1 to 20"),
        ([65], [532], 3, "two pillars"),
    ],
)
def test_what_cannot_be_made_is_one_sentence(
    tmp_path, widths_nm, wavelengths_nm, harmonics, sentence
):
    widths, wavelengths = ([n * NM for n in lengths] for lengths in (widths_nm, wavelengths_nm))
    with pytest.raises(OpticsError, match=sentence):
        compute_library(CELL, widths, wavelengths, harmonics, tmp_path / "points")
    assert not (tmp_path / "points").exists()


def test_a_lattice_that_diffracts_into_its_substrate_is_said_before_it_is_tabulated(tmp_path):
    glass = replace(CELL, period_m=420 * NM)
    with pytest.warns(DiffractionWarning, match="4 orders .* index 1.466 at 450 nm") as caught:
        compute_library(glass, [0, 150 * NM, 300 * NM], [635 * NM, 450 * NM], 2, tmp_path / "a")
    assert "below 307 nm" in str(caught[0].message)
    with pytest.raises(OpticsError, match=r"4 orders .* into the air at 450 nm"):
        compute_library(
            replace(CELL, period_m=500 * NM), [150 * NM, 300 * NM], [450 * NM], 2, tmp_path / "b"
        )
    assert not (tmp_path / "b").exists()


def test_light_of_other_orders_is_what_is_lost():
    # Lossless pillars: what the rule says of orders agrees with the power that the solver misses.
    fixed = Material("n 2.05", "", (Block("n", 3e-7, 1e-6, lambda w: 2.05 + 0 * w),))
    for period_nm in (300, 306, 309, 420):
        cell = replace(CELL, period_m=period_nm * NM, pillar=fixed)
        lost = compute_point(cell, 150 * NM, 450 * NM, 3, load_solver()).lost
        orders = list_orders(cell.period_m, 450 * NM, QUARTZ.index(450 * NM).real)
        assert (lost > 1e-6) == (orders.count > 0)


def test_too_few_harmonics_are_said(tmp_path):
    widths = [0, 100 * NM, 150 * NM, 200 * NM]
    with pytest.warns(SamplingWarning, match="1 harmonics leave the transmission .* 5 change"):
        compute_library(CELL, widths, [450 * NM], 1, tmp_path / "few")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        compute_library(CELL, widths, [450 * NM], 3, tmp_path / "enough")


@pytest.mark.parametrize("gap_nm", [float("nan"), -1])
def test_no_gap_is_refused(tmp_path, gap_nm):
    cell = replace(CELL, minimum_gap_m=gap_nm * NM)
    with pytest.raises(OpticsError, match=r"gaps of at least .* state 0 or more"):
        compute_library(cell, [65 * NM, 80 * NM], [532 * NM], 3, tmp_path / "points")


def test_an_order_that_grazes_the_surface_harms_nothing():
    """Rayleigh's anomaly: at it the transmission is what it is just beside it."""
    for period in (532, 532 / 1.46):  # first orders along the air, along the substrate
        on, before, after = (
            load_solver()(150, period * stretch, 750, 532, 2.0, 1.46, 3)
            for stretch in (1, 1 - 1e-10, 1 + 1e-10)
        )
        assert on == pytest.approx(before, abs=1e-4)
        assert on == pytest.approx(after, abs=1e-4)
