"""A training step behind a chip: the chip of the stage, its gradient, its seed, no trace left."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from hybridonn.core.errors import OpticsError
from hybridonn.core.random import seeded
from hybridonn.networks.backends.dense import DenseBackend
from hybridonn.networks.backends.pyramid import PyramidBackend
from hybridonn.networks.frontends.chip_kernels import fabricate_kernels
from hybridonn.networks.frontends.convolution import BranchConvolution
from hybridonn.networks.frontends.drawn_chips import (
    behind_chip,
    convolve_with,
    draw_chip,
    make_kernels,
)
from hybridonn.networks.frontends.four_f import FourFFrontend
from hybridonn.networks.frontends.frontend import split_signs
from hybridonn.networks.frontends.ideal_convolution import IdealConvolution
from hybridonn.networks.frontends.measured import MeasuredFrontend
from hybridonn.networks.frontends.parallel import ParallelFrontend
from hybridonn.networks.hybrid import HybridNetwork
from hybridonn.optics.fabrication.chip_errors import ChipErrors
from hybridonn.optics.fabrication.kernel_errors import ChipPsfs, fabricate
from hybridonn.optics.waves.four_f import FourFSystem
from hybridonn.pipeline.from_spec import lay_out_kernels, read_chip_errors
from hybridonn.spec import Fabrication, Optics
from hybridonn.tangent import record


def errors_of(**stated):
    return read_chip_errors(Fabrication.model_validate(stated))


ERRORS = errors_of(preset="paper-mnist", seed=3)
LAYOUT = lay_out_kernels(Optics(), 3)


@pytest.mark.parametrize("colours", [1, 3])
def test_kernels_of_one_pixel_and_a_stride_can_be_trained(colours):  # torch 2.13 ended it
    made = BranchConvolution(torch.rand(8, colours, 1, 1), 2, 0)
    for _ in range(60):
        layer, scene = convolve_with(made, True), torch.rand(128, colours, 8, 8)
        laid = scene.to(memory_format=torch.channels_last)
        found = torch.autograd.grad(layer(laid).sum(), layer.weight)[0]
        expected = scene[..., ::2, ::2].sum((0, 2, 3))[:, None, None].expand_as(made.weight)
        torch.testing.assert_close(found, expected)


def network(colours=1, stride=1):
    with seeded("student"):
        frontend = IdealConvolution(3, 5, colours, stride)
        return HybridNetwork(frontend, DenseBackend(3, 3, (8,), 4)).double()


def scene(colours=1):
    with seeded("scene"):
        return torch.rand(6, colours, 11, 12, dtype=torch.float64)


@pytest.mark.parametrize(("colours", "stride"), [(1, 1), (3, 1), (3, 2)])
def test_it_is_the_chip_that_the_stage_as_built_makes(colours, stride):
    student, images = network(colours, stride), scene(colours)
    parts = torch.stack(split_signs(student.frontend.signed_kernels().detach()), 1)
    made = fabricate(ChipPsfs(parts.flip(-1, -2), torch.ones(3, 2, colours), LAYOUT), ERRORS)
    chip = MeasuredFrontend(made.psfs, made.gains, stride)
    with behind_chip(student, ERRORS, LAYOUT):
        torch.testing.assert_close(student.frontend(images), chip(images))
        torch.testing.assert_close(student.frontend.signed_kernels(), chip.signed_kernels())


def test_without_errors_it_is_the_ideal_network():
    student, images = network(), scene()
    ideal = student(images)
    ideal.square().sum().backward()
    wanted = student.frontend.convolution.weight.grad.clone()
    student.zero_grad()
    with behind_chip(student, errors_of(), LAYOUT):
        behind = student(images)
        behind.square().sum().backward()
    torch.testing.assert_close(behind, ideal)
    torch.testing.assert_close(student.frontend.convolution.weight.grad, wanted)


def test_the_gradient_of_made_kernels_is_that_of_small_changes():
    with seeded("kernels"):
        kernels = torch.randn(2, 3, 3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda k: fabricate_kernels([(k, 1)], ERRORS, lay_out_kernels(Optics(), 2)).psfs, kernels
    )


def test_the_gradient_reaches_the_ideal_kernels_and_the_backend():
    student, images = network(colours=3), scene(3)
    (made,) = make_kernels([(student.frontend, 1)], ERRORS, LAYOUT)
    loss = student.backend((made(images),)).logsumexp(1).sum()
    wanted = torch.autograd.grad(loss, list(student.parameters()))
    with behind_chip(student, ERRORS, LAYOUT):
        student(images).logsumexp(1).sum().backward()
    for parameter, gradient in zip(student.parameters(), wanted, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)
    assert wanted[0].abs().max() > 0


def test_kernels_that_do_not_train_stay_as_they_are():
    student = network()
    student.frontend.requires_grad_(False)
    with behind_chip(student, ERRORS, LAYOUT):
        assert [name for name, p in student.named_parameters() if p.requires_grad] == [
            name for name, _ in student.named_parameters() if name.startswith("backend")
        ]
        student(scene()).sum().backward()
    assert student.frontend.convolution.weight.grad is None
    assert next(student.backend.parameters()).grad is not None


@pytest.mark.parametrize("layers", ["first", "all", ("frontend.convolution",)])
def test_the_tangent_kernel_is_of_the_network_behind_the_chip(layers):
    student, images = network(colours=3), scene(3)
    (made,) = make_kernels([(student.frontend, 1)], ERRORS, LAYOUT)
    kernels = {"frontend.convolution.weight": made.weight.detach()}
    weights = dict(student.named_parameters()) | kernels if layers == "all" else kernels
    with behind_chip(student, ERRORS, LAYOUT), record(student, layers) as trace:
        found = trace.kernel(student(images))

        def answer(some):
            return torch.func.functional_call(student, some, (images,))

        rows = torch.func.jacrev(answer)(weights).values()
    dense = sum(torch.einsum("ack,bck->ab", r.flatten(2), r.flatten(2)) for r in rows)
    torch.testing.assert_close(found, dense)


class CutOffError(Exception):
    """Something that goes wrong within a step."""


def test_the_optics_are_as_designed_afterwards_whatever_happens():
    student = network()
    ideal, before = student.frontend.convolution, student(scene())
    names = list(student.state_dict())
    state = torch.random.get_rng_state()
    with behind_chip(student, ERRORS, LAYOUT):
        assert list(student.state_dict()) == names
        assert not torch.allclose(student(scene()), before)
    with pytest.raises(CutOffError), behind_chip(student, ERRORS, LAYOUT):
        raise CutOffError
    assert student.frontend.convolution is ideal
    assert torch.equal(student(scene()), before)
    assert torch.equal(torch.random.get_rng_state(), state)


def branched():
    with seeded("branches"):
        parts = [IdealConvolution(1, 5, 3), IdealConvolution(2, 3, 3)]
        backend = PyramidBackend((1, 2), (1, 4), (4, 4), 2, "none")
        return HybridNetwork(ParallelFrontend(parts, (1, 4)), backend).double()


def test_branches_are_those_of_the_chip_and_their_gradients_those_of_small_changes():
    student, images = branched(), scene(3)[:, :, :8, :8]
    chip = student.frontend.fabricate(ERRORS.without("pillars", "light"), LAYOUT)
    weights = [branch.convolution.weight for branch, _ in student.frontend.pairs()]
    features = [one(images) for one in make_kernels(student.frontend.pairs(), ERRORS, LAYOUT)]
    loss = student.backend(tuple(features)).logsumexp(1).sum()
    wanted = torch.autograd.grad(loss, list(student.parameters()))
    with behind_chip(student, ERRORS, LAYOUT):
        for one, other in zip(student.frontend(images), chip(images), strict=True):
            torch.testing.assert_close(one, other)
        student(images).logsumexp(1).sum().backward()
    for parameter, gradient in zip(student.parameters(), wanted, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)
    assert student.frontend.binnings == (1, 4)
    assert all(
        branch.convolution.weight is own
        for (branch, _), own in zip(student.frontend.pairs(), weights, strict=True)
    )


def test_branches_without_errors_are_the_ideal_network():
    student, images = branched(), scene(3)[:, :, :8, :8]
    ideal = student(images)
    with behind_chip(student, errors_of(), LAYOUT):
        torch.testing.assert_close(student(images), ideal)


def test_other_optics_are_refused():
    measured = IdealConvolution(2, 3, 1).measure()
    for optics in (measured, ParallelFrontend([measured], [1])):
        with (
            pytest.raises(
                OpticsError, match="; a chip is drawn for a 4f system and for ideal kernels"
            ),
            behind_chip(HybridNetwork(optics, nn.Identity()), ERRORS, LAYOUT),
        ):
            pass


@given(st.integers(0, 2**31 - 1), st.integers(0, 10**7))
def test_a_chip_of_training_is_none_that_a_spec_names(seed, step):
    chip = draw_chip(ERRORS, seed, step)
    assert chip.seed >= 2**31  # the seeds of a spec are below; 1 in 2^32 drawn ones is too
    assert chip == draw_chip(ERRORS.with_seed(7), seed, step)
    assert chip.with_seed(ERRORS.seed) == ERRORS


def test_steps_and_seeds_have_chips_of_their_own():
    seeds = {draw_chip(ERRORS, seed, step).seed for seed in range(5) for step in range(200)}
    assert len(seeds) == 1000


def test_a_4f_system_trains_behind_the_chip_that_would_be_made():
    with seeded("4f"):
        system = FourFSystem((532e-9,), 0.1, 15, 30e-6, 96e-6)
        frontend = FourFFrontend(2, 3, system, (11, 12)).double()
    student, images = HybridNetwork(frontend, nn.Flatten()), scene()
    errors = ChipErrors(2, {"mask_phase_radians": 0.3, "mask_rotation_radians": 0.05})
    designed, chip = frontend(images)[0], frontend.fabricate(errors)
    with behind_chip(student, errors, LAYOUT):
        (made,) = frontend(images)
        made.square().sum().backward()
    torch.testing.assert_close(made, chip(images)[0])
    assert all(one.grad is not None and one.grad.any() for one in frontend.parameters())
    assert torch.equal(frontend(images)[0], designed)
    idle = ChipErrors(2, {"crosstalk_fraction": 0.1})
    with pytest.raises(OpticsError, match="crosstalk_fraction"), behind_chip(student, idle, LAYOUT):
        pass
