"""Widths whose point spread functions are the kernels."""

from dataclasses import replace

import pytest
import torch

from hybridonn.core.errors import OpticsError
from hybridonn.optics.meta_atoms.pillar_table import tabulate
from hybridonn.optics.meta_atoms.pillars import default_library, transmit
from hybridonn.optics.metasurface.image_error import PictureLoss
from hybridonn.optics.metasurface.inverse_design import (
    AUTHORS,
    DesignContext,
    Recipe,
    design,
    limit_widths,
    make_loss,
    measure_residuals,
    share_light,
)
from hybridonn.optics.metasurface.sub_optic import Metasurface, intensity, measure_psf, pixel_psf
from hybridonn.optics.metasurface.targets import split_kernels, whole_kernel_errors

NM = 1e-9
RGB = (635 * NM, 532 * NM, 450 * NM)


SHORT = Recipe(steps=3, start_rounds=2)


def design_context(recipe=SHORT, cells=200, pixel_cells=10, distance=3e-4, wavelengths=RGB):
    library = default_library().at(wavelengths)
    surface = Metasurface(586 * NM, cells, distance, pixel_cells, wavelengths)
    return DesignContext(surface, library, limit_widths(library, 65 * NM, 53 * NM, NM), recipe)


def kernels(count=1, colours=3, size=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return split_kernels(torch.randn(count, colours, size, size, generator=generator))


def errors(widths, targets, shop):
    field = transmit(shop.library, widths).movedim(0, -3)
    there = shop.metasurface.propagator(targets.parts.shape[-1])
    return whole_kernel_errors(measure_psf(field, shop.metasurface, there), targets)


def test_a_small_design_reaches_its_kernel_and_beats_the_authors_recipe():
    targets = kernels()
    ours = design_context(Recipe(steps=15, schedule="constant"))
    error = errors(design(targets, ours, [0]), targets, ours)
    theirs = design_context(replace(AUTHORS, steps=20))
    baseline = errors(design(targets, theirs, [0]), targets, theirs)
    assert error < 0.12
    assert error < 0.5 * baseline


def test_the_limits_hold_in_the_result():
    shop = design_context(Recipe(steps=4, start_rounds=2, learning_rate=0.1), cells=64)
    tight = replace(shop, limits=limit_widths(shop.library, 80 * NM, 100 * NM, 2 * NM))
    widths = design(kernels(), tight, [3]).double() / NM
    assert widths.min() > 79.99
    assert widths.max() < 192.01
    assert ((widths / 2) - (widths / 2).round()).abs().max() < 1e-4
    with pytest.raises(OpticsError):
        limit_widths(shop.library, 200 * NM, 120 * NM, NM)


def test_a_kernel_is_designed_alike_alone_and_in_company():
    shop = design_context(cells=64)
    targets = kernels(2)
    both = design(targets, shop, [7, 8])
    alone = design(targets.take(slice(1, 2)), shop, [8])
    assert torch.equal(both[1:], alone)
    assert not torch.equal(both[:1], alone)


def test_one_colour_and_a_part_without_light():
    targets = split_kernels(torch.rand(1, 1, 3, 3) + 0.1)
    assert targets.parts[:, 1].sum() == 0
    recipe = Recipe(steps=15, start_rounds=4, learning_rate=0.02)
    shop = design_context(recipe, cells=128, wavelengths=RGB[1:2])
    widths = design(targets, shop, [0])
    assert errors(widths, targets, shop) < 0.15


def test_the_gradient_of_the_losses_is_right():
    shop = design_context(cells=12, pixel_cells=2, distance=5e-5)
    table = tabulate(shop.library, torch.complex128)
    targets = kernels()
    targets = replace(targets, parts=targets.parts.double(), scale=targets.scale.double())
    widths = 40 + 600 * torch.rand(1, 2, 12, 12).double().mul(600).round() / 600 + 0.4
    wide = shop.metasurface.propagator(5, torch.complex128)
    for recipe in (Recipe(), Recipe(loss="cells")):
        loss = make_loss(targets, replace(shop, recipe=recipe), 5)

        def from_steps(steps, loss=loss):
            return loss(intensity(wide(table.transmit_steps(steps))))

        assert torch.autograd.gradcheck(from_steps, (widths.requires_grad_(),), eps=1e-4, atol=1e-7)


def test_residuals_are_the_authors():
    shop = design_context(cells=40, pixel_cells=4, distance=2e-4)
    targets = kernels()
    light = torch.rand(1, 2, 3, 36, 36).double()
    target = torch.zeros_like(light)
    block = targets.parts.repeat_interleave(4, -1).repeat_interleave(4, -2).double()
    target[..., 12:24, 12:24] = block.flip(-1, -2)
    unit = [x / x.flatten(3).norm(dim=3)[..., None, None] for x in (light, target)]
    expected = (unit[0] - unit[1]).square().sum((-1, -2))
    found = measure_residuals(
        light, replace(targets, parts=targets.parts.double()), shop.metasurface
    )
    torch.testing.assert_close(found, expected)


def test_the_darker_part_sends_more_of_its_light_than_it_wants():
    targets = kernels()
    light = targets.parts.sum((-1, -2))
    share = share_light(targets)
    assert torch.equal(share.amax(1), torch.ones(1, 3))
    ratio = light.amin(1) / light.amax(1)
    torch.testing.assert_close(share.amin(1), ratio.sqrt())


def test_light_around_the_block_is_balanced_where_scenes_see_it():
    targets, scenes = kernels(), torch.rand(16, 3, 12, 12) * 0.2 + 0.6
    shop = design_context(Recipe(steps=8, start_rounds=2), cells=200, pixel_cells=10, distance=6e-4)
    window, found = 15, {}
    judge = PictureLoss(targets, window, scenes)
    there = shop.metasurface.propagator(window)
    for name, some in (("blind", {}), ("seeing", {"window": window, "scenes": scenes})):
        widths = design(targets, shop, [0], **some)
        field = transmit(shop.library, widths).movedim(0, -3)
        found[name] = float(judge(measure_psf(field, shop.metasurface, there)))
    assert found["seeing"] < 0.5 * found["blind"]


@pytest.mark.parametrize("width", [65, 120, 237])
def test_light_is_conserved_up_to_what_pillars_reflect(width):
    shop = design_context(cells=100, pixel_cells=10, distance=3e-4)
    field = transmit(shop.library, torch.full((100, 100), width * NM))
    there = shop.metasurface.propagator(15)
    arrived = pixel_psf(intensity(there(field)), shop.metasurface).sum((-1, -2))
    sent = intensity(field).mean((-1, -2))
    assert (arrived < 1.001 * sent).all()
    assert (arrived > 0.97 * sent).all()


def test_a_library_of_other_wavelengths_is_refused():
    surface = Metasurface(586 * NM, 100, 3e-4, 10, (532 * NM,))
    limits = limit_widths(default_library(), 65 * NM, 53 * NM, NM)
    with pytest.raises(OpticsError, match=r"635, 532, 450 nm.*532 nm.*library\.at"):
        DesignContext(surface, default_library(), limits)
    assert DesignContext(surface, default_library().at((532 * NM,)), limits).recipe == Recipe()


def test_kernels_that_do_not_fit_the_wavelengths_or_the_seeds_are_refused():
    shop = design_context(wavelengths=(532 * NM,))
    with pytest.raises(OpticsError, match=r"3 colours .* 1 wavelengths"):
        design(kernels(), shop, [0])
    with pytest.raises(OpticsError, match=r"2 kernels .* 1 are given"):
        design(kernels(2, colours=1), shop, [0])


def test_a_propagator_refuses_a_field_of_another_shape():
    there = design_context(cells=40, wavelengths=(532 * NM,)).metasurface.propagator(3)
    with pytest.raises(OpticsError, match=r"\(3, 40, 40\).*\(1, 40, 40\)"):
        there(torch.ones(3, 40, 40, dtype=torch.complex64))
    with pytest.raises(OpticsError, match=r"\(1, 30, 30\)"):
        there.adjoint(torch.ones(1, 40, 40, dtype=torch.complex64))
