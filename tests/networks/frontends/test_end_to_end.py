"""Pillars that train with a gain for each kernel."""

import pytest
import torch

from hybridonn.networks.frontends.end_to_end import EndToEndMetasurface, keep_blocks
from hybridonn.networks.frontends.metasurface import TrainableMetasurface
from hybridonn.optics.meta_atoms.pillar_table import tabulate
from hybridonn.optics.meta_atoms.pillars import default_library
from hybridonn.optics.metasurface.inverse_design import DesignContext, limit_widths
from hybridonn.optics.metasurface.lens_start import start_as_lens
from hybridonn.optics.metasurface.sub_optic import Metasurface, measure_psf

WINDOW = 9


@pytest.fixture(scope="module")
def context():
    metasurface = Metasurface(
        cells=24, cell_m=586e-9, wavelengths_m=(532e-9,), distance_m=1e-4, pixel_cells=4
    )
    library = default_library().at(metasurface.wavelengths_m)
    return DesignContext(metasurface, library, limit_widths(library, 65e-9, 53e-9, 1e-9))


def build(context, kind=EndToEndMetasurface, **keys):
    widths_m = start_as_lens(2, context, seed=1)
    return kind(widths_m, context.metasurface, context.library, context.limits, WINDOW, 3, **keys)


def test_lenses_send_their_light_to_the_middle_and_differ(context):
    widths_m = start_as_lens(2, context, seed=1, unlike=0.0)
    assert widths_m.shape == (2, 2, 24, 24)
    assert torch.equal(widths_m[0, 0], widths_m[1, 1])
    geometry = context.metasurface
    field = tabulate(context.library).transmit(widths_m[0, 0])
    psf = measure_psf(field, geometry, geometry.propagator(WINDOW))[0]
    assert int(psf.argmax()) == WINDOW * WINDOW // 2
    assert psf[3:6, 3:6].sum() > 0.5 * psf.sum()
    unlike = start_as_lens(2, context, seed=1)
    assert not torch.equal(unlike[0, 0], unlike[0, 1])
    assert torch.equal(unlike, start_as_lens(2, context, seed=1))


def test_sub_optics_that_share_transforms_give_the_same(context):
    scene, gradients = torch.rand(1, 1, 12, 12), []
    for optics in (build(context, TrainableMetasurface), build(context, at_once=3),
                   build(context, at_once=8)):  # fmt: skip
        (seen,) = optics(scene)
        seen.square().sum().backward()
        gradients.append((seen.detach(), optics.position.grad))
    for seen, gradient in gradients[1:]:
        torch.testing.assert_close(seen, gradients[0][0], rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(gradient, gradients[0][1], rtol=1e-3, atol=1e-6)


def test_the_gain_of_a_kernel_trains_and_is_part_of_the_gains(context):
    optics, scene = build(context), torch.rand(1, 1, 12, 12)
    (seen,) = optics(scene)
    seen.square().sum().backward()
    assert optics.strength.grad.all()
    with torch.no_grad():
        optics.strength += torch.tensor([0.5, 1.0]).log()
        (other,) = optics(scene)
    torch.testing.assert_close(other[:, 0], seen[:, 0] / 2)
    torch.testing.assert_close(optics.final_gains()[:, 0, 0], torch.tensor([0.5, 1.0]))


def test_inference_computes_once_until_widths_change(context):
    optics, scene = build(context).eval(), torch.rand(1, 1, 12, 12)
    state = {name: value.clone() for name, value in optics.state_dict().items()}
    with torch.no_grad():
        (first,) = optics(scene)
        assert optics.effective_kernels() is optics.effective_kernels()
    optics.load_state_dict(state | {"strength": torch.full((2,), 1.0)})
    with torch.no_grad():
        torch.testing.assert_close(optics(scene)[0], first * torch.e)


def test_cropped_psfs_are_dark_around_their_kernels(context):
    optics = build(context, kept=keep_blocks((3, 1), WINDOW))
    kernels = optics.effective_kernels()
    assert (kernels[0] != 0).sum() == 9
    assert (kernels[1] != 0).sum() == 1
    whole = build(context).effective_kernels()
    torch.testing.assert_close(kernels[0, 0, 3:6, 3:6], whole[0, 0, 3:6, 3:6])
