"""A metasurface against its design: each error by what it must do, and by what it must leave."""

from dataclasses import replace

import pytest
import torch

from hybridonn.core.errors import OpticsError
from hybridonn.core.random import generator_of, seed_of
from hybridonn.optics.fabrication.crosstalk import count_reach, leak_light
from hybridonn.optics.fabrication.fabricated_psf import (
    DesignedChip,
    count_steps,
    draw_process,
    make_field,
    measure_fabricated_psfs,
    refuse_unsampled,
)
from hybridonn.optics.fabrication.kernel_errors import ChipPsfs, fabricate
from hybridonn.optics.fabrication.pillar_errors import sample_band
from hybridonn.optics.meta_atoms.pillars import PillarLibrary, default_library
from hybridonn.optics.metasurface.sub_optic import Metasurface
from hybridonn.optics.metasurface.sub_optic_numbers import measure_optics
from hybridonn.optics.metasurface.targets import split_kernels
from hybridonn.pipeline.from_spec import lay_out_kernels, read_chip_errors
from hybridonn.spec import Fabrication, Optics


def errors_of(**stated):
    return read_chip_errors(Fabrication.model_validate(stated))


ALL = {
    "width_bias_nm": 3.0,
    "width_noise_nm": 2.0,
    "etch_depth_fraction": 0.02,
    "coupling_fraction": 0.05,
    "stitching_nm": 20.0,
    "wavelength_offset_nm": 2.0,
    "bandwidth_nm": 10.0,
    "defocus_um": 5.0,
    "stray_light": True,
}
DRAWN = [name for name in ALL if name not in ("coupling_fraction", "bandwidth_nm", "stray_light")]


@pytest.fixture(scope="module")
def chip():
    optics = Optics(
        kernel_site_mm=0.0375,
        gap_mm=0.004,
        metasurface_width_mm=0.2,
        metasurface_height_mm=0.2,
    )
    metasurface = Metasurface(586e-9, 64, 0.2e-3, 8, (532e-9, 635e-9))
    steps = torch.randint(65, 238, (2, 2, 64, 64), generator=torch.Generator().manual_seed(0))
    return DesignedChip(
        1e-9 * steps.float(), metasurface, default_library(), lay_out_kernels(optics, 2), 5
    )


@pytest.fixture(scope="module")
def designed(chip):
    """By the functions of the stage ``metasurface``."""
    kernels = torch.randn(2, 2, 3, 3, generator=torch.Generator().manual_seed(1))
    library = chip.library.at(chip.metasurface.wavelengths_m)
    reach = count_reach(chip.metasurface, chip.layout, chip.window)
    targets = split_kernels(kernels)
    return measure_optics(chip.widths_m, targets, chip.metasurface, library, chip.window, reach)


def change(found, from_):
    return float(torch.linalg.norm(found - from_) / torch.linalg.norm(from_))


def test_no_errors_leave_the_design(chip, designed):
    # The library's table is within 1e-4 of its cubics.
    assert change(measure_fabricated_psfs(chip, errors_of(seed=3)), designed.psfs) < 1e-4


@pytest.mark.parametrize("name", ALL)
def test_every_error_can_be_switched_on_alone(chip, designed, name):
    made = measure_fabricated_psfs(chip, errors_of(**{name: ALL[name]}))
    assert 2e-4 < change(made, designed.psfs) < 1
    assert made.min() >= 0


@pytest.mark.parametrize("name", DRAWN)
def test_the_same_seed_is_the_same_chip_and_another_is_another(chip, name):
    first, again, other = (
        measure_fabricated_psfs(chip, errors_of(**{name: ALL[name], "seed": seed}))
        for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert change(other, first) > 1e-4


def test_an_error_has_draws_of_its_own(chip):
    alone = draw_process(2, errors_of(width_bias_nm=3.0))
    every = draw_process(2, errors_of(**ALL))
    assert every.bias_m == alone.bias_m
    drawn = {
        every.bias_m / 3e-9,
        every.depth_fraction / 0.02,
        every.defocus_m / 5e-6,
        *(offset / 2e-9 for offset in every.offsets_m),
    }
    assert len({round(value, 6) for value in drawn}) == 5


def test_draws_have_the_stated_magnitude(chip):
    chips = [draw_process(2, errors_of(**ALL | {"seed": seed})) for seed in range(400)]
    for name, size in (("bias_m", 3e-9), ("depth_fraction", 0.02), ("defocus_m", 5e-6)):
        values = torch.tensor([getattr(one, name) for one in chips])
        assert values.std() == pytest.approx(size, rel=0.1)
        assert abs(values.mean()) < 0.15 * size


def test_a_bias_is_the_chip_s_and_noise_is_each_sub_optic_s(chip):
    equal = replace(chip, widths_m=chip.widths_m[:1, :1].expand(2, 2, 64, 64).clone())
    made = measure_fabricated_psfs(equal, errors_of(width_bias_nm=3.0))
    assert torch.equal(made[0, 0], made[1, 1])
    made = measure_fabricated_psfs(equal, errors_of(width_noise_nm=3.0))
    assert change(made[0, 1], made[0, 0]) > 1e-4
    assert change(made[1, 0], made[0, 0]) > 1e-4


def test_the_noise_of_a_cell_is_the_mean_of_its_pillars(chip):
    # A library whose phase is the width: the field's phase shows what was made.
    widths = torch.linspace(60e-9, 240e-9, 1000, dtype=torch.float64)
    values = torch.polar(torch.ones_like(widths), 1e7 * (widths - 60e-9))[None]
    library = PillarLibrary(torch.tensor([532e-9]), widths, values, 293e-9, 750e-9)
    errors, wanted = errors_of(width_noise_nm=2.0), torch.full((64, 64), 150e-9)
    metasurface = replace(chip.metasurface, wavelengths_m=(532e-9,))
    process = draw_process(2, errors)
    field = make_field(wanted, metasurface, library, process, errors, (0, 0, 0))
    assert (field.angle() / 1e7).std() == pytest.approx(2e-9 / 2, rel=0.05)  # 2 x 2 pillars


def test_a_wavelength_offset_is_a_distance_off(chip):
    # Fresnel diffraction knows the product of wavelength and distance alone (Goodman 2005,
    # equation 4-17), for pillars whose phase is the same at all wavelengths.
    own = chip.library.at([532e-9])
    near = torch.tensor([525e-9, 532e-9, 539e-9], dtype=torch.float64)
    library = replace(own, wavelengths_m=near, transmission=own.transmission.expand(3, -1))
    metasurface = replace(chip.metasurface, wavelengths_m=(532e-9,))
    plain = replace(chip, metasurface=metasurface, library=library)
    errors = errors_of(wavelength_offset_nm=3.0, seed=4)
    (offset_m,) = draw_process(1, errors).offsets_m
    assert abs(offset_m) > 1e-9
    distance_m = metasurface.distance_m * (1 + offset_m / 532e-9)
    farther = replace(plain, metasurface=replace(metasurface, distance_m=distance_m))
    before = measure_fabricated_psfs(plain, errors_of())
    found = measure_fabricated_psfs(plain, errors)
    wanted = measure_fabricated_psfs(farther, errors_of())
    assert torch.linalg.norm(found - wanted) < 0.05 * torch.linalg.norm(wanted - before)


def test_defocus_is_another_distance(chip):
    errors = errors_of(defocus_um=5.0, seed=2)
    distance_m = chip.metasurface.distance_m + draw_process(2, errors).defocus_m
    moved = replace(chip, metasurface=replace(chip.metasurface, distance_m=distance_m))
    assert torch.equal(
        measure_fabricated_psfs(chip, errors),
        measure_fabricated_psfs(moved, errors_of(seed=2)),
    )


def test_a_band_is_the_sum_of_its_wavelengths(chip):
    one = replace(chip, metasurface=replace(chip.metasurface, wavelengths_m=(532e-9,)))
    total = torch.zeros(())
    for place, weight in zip(*sample_band(532e-9, 0.0, 10e-9), strict=True):
        at = replace(one, metasurface=replace(one.metasurface, wavelengths_m=(place,)))
        total = total + weight * measure_fabricated_psfs(at, errors_of())
    told = []
    found = measure_fabricated_psfs(one, errors_of(bandwidth_nm=10.0), lambda: told.append(1))
    assert torch.allclose(found, total, rtol=1e-5)
    assert len(told) == count_steps(one, errors_of(bandwidth_nm=10.0)) == 20


def test_stray_light_is_what_the_neighbours_throw(chip, designed):
    made = measure_fabricated_psfs(chip, errors_of(stray_light=True))
    leaked = leak_light(designed.landed, chip.layout, chip.metasurface, chip.window)
    own = measure_fabricated_psfs(chip, errors_of())
    assert leaked.sum() > 1e-3 * own.sum()
    assert change(made - own, leaked) < 1e-3


def test_where_no_pillar_stands_the_light_passes_freely(chip):
    bare = replace(chip, widths_m=torch.zeros_like(chip.widths_m))
    field = make_field(
        bare.widths_m[0, 0],
        chip.metasurface,
        chip.library.at(chip.metasurface.wavelengths_m),
        draw_process(2, errors_of()),
        errors_of(width_bias_nm=3.0),
        (0, 0, 0),
    )
    wanted = chip.library.at(chip.metasurface.wavelengths_m).transmission[:, 0]
    assert torch.allclose(field[:, 5, 7], wanted.to(field))


def test_every_error_chip_and_sub_optic_has_draws_of_its_own(monkeypatch, chip):
    made = []

    def note(*parts):
        made.append(parts)
        return generator_of(*parts)

    monkeypatch.setattr("hybridonn.optics.fabrication.chip_errors.generator_of", note)
    monkeypatch.setattr("hybridonn.optics.fabrication.sub_optic_errors.generator_of", note)
    # One wavelength a colour: pillars are drawn alike for each of a band.
    few = {"preset": "poor-mnist", "stray_light": False, "bandwidth_nm": 0}
    preset = errors_of(**few)
    psfs = torch.rand(2, 2, 2, 7, 7)
    for errors in (preset, preset.with_seed(1)):
        measure_fabricated_psfs(chip, errors)
        fabricate(ChipPsfs(psfs, torch.ones(2, 2, 2), chip.layout), errors)
    # Four errors of the process, two of each of four sub-optics, six of images; of two chips.
    assert len(made) == len(set(made)) == 2 * (4 + 2 * 4 + 6)
    # torch keeps 32 bits of a seed on the CPU.
    assert len({seed_of(*parts) % 2**32 for parts in made}) == len(made)


def test_a_chip_that_its_cells_cannot_simulate_is_refused_before_it_is_made(chip):
    errors = errors_of(defocus_um=120.0)
    refused = []
    for seed in range(8):
        try:
            measure_fabricated_psfs(chip, errors.with_seed(seed))
        except OpticsError:
            refused.append(seed)
            with pytest.raises(OpticsError, match=f"chip of seed {seed} has its sensor at"):
                refuse_unsampled(chip.metasurface, chip.window, errors.with_seed(seed))
        else:
            refuse_unsampled(chip.metasurface, chip.window, errors.with_seed(seed))
    assert 0 < len(refused) < 8
