"""Channels last: the same numbers, and layers that torch cannot differentiate so left alone."""

import copy

import pytest
import torch
from torch import nn

from hybridonn.networks.frontends.correlation import correlate
from hybridonn.networks.memory import convolve, lay_channels_last
from hybridonn.tangent import ntk


def network():
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 8, 1, stride=2, bias=False)
    return nn.Sequential(*layers, nn.ReLU(), nn.AvgPool2d(4), nn.Flatten(), nn.Linear(32, 5))


def is_channels_last(weight):
    return weight.is_contiguous(memory_format=torch.channels_last)


def test_a_strided_layer_of_few_channels_stays_as_it_is():
    model = network()
    lay_channels_last(model)
    lay_channels_last(model)  # the student of an interrupted training goes through it again
    assert is_channels_last(model[0].weight)
    assert model[2].weight.is_contiguous()
    assert len(model[2]._forward_pre_hooks) == 1


@pytest.mark.parametrize("wide", [(16, 8, 1, 2), (4, 8, 1, 1), (4, 8, 3, 2)])
def test_others_do_not(wide):
    layer = nn.Conv2d(*wide)
    lay_channels_last(layer)
    assert is_channels_last(layer.weight)
    assert not layer._forward_pre_hooks


@pytest.mark.parametrize(
    ("side", "stride", "padding"), [(1, 2, 0), (1, 3, (0, 0)), (1, 2, 1), (3, 2, 1)]
)
def test_kernels_of_one_pixel_meet_every_so_many(side, stride, padding):
    torch.manual_seed(0)
    scene, kernels = torch.rand(2, 4, 9, 8), torch.rand(3, 4, side, side)
    expected = torch.nn.functional.conv2d(scene, kernels, stride=stride, padding=padding)
    torch.testing.assert_close(convolve(scene, kernels, stride, padding), expected)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_strided_layer_that_sees_the_scene_can_be_trained(channels):  # one channel ended it
    layer = nn.Conv2d(channels, 8, 1, stride=2)
    plain = copy.deepcopy(layer)
    lay_channels_last(layer)
    for _ in range(80):
        scene = torch.rand(128, channels, 8, 8)
        found = []
        for one, seen in ((plain, scene), (layer, scene.to(memory_format=torch.channels_last))):
            found.append(torch.autograd.grad(one(seen).square().sum(), one.weight)[0])
        torch.testing.assert_close(*found)


@pytest.mark.parametrize("channels", [1, 4])
def test_optics_of_one_pixel_and_a_stride_can_be_trained(channels):  # torch 2.13 ended it
    kernels = torch.rand(2, channels, 1, 1, requires_grad=True)
    scene = torch.rand(128, channels, 8, 8)
    for _ in range(60):
        laid = scene.to(memory_format=torch.channels_last)
        found = [
            torch.autograd.grad(correlate(one, kernels, 2).square().sum(), kernels)[0]
            for one in (scene, laid)
        ]
        torch.testing.assert_close(*found)


def test_numbers_and_gradients_are_the_same():  # torch 2.13 ends the process where it is not laid
    plain, laid = network(), network()
    lay_channels_last(laid)
    x = torch.rand(6, 3, 16, 16)
    for _ in range(20):
        results = []
        for model, scene in ((plain, x), (laid, x.to(memory_format=torch.channels_last))):
            model.zero_grad()
            model(scene).square().sum().backward()
            results.append([p.grad for p in model.parameters()])
        torch.testing.assert_close(*results)


def test_it_can_be_copied_and_has_a_tangent_kernel():
    model = network()
    x = torch.rand(3, 3, 16, 16)
    expected = ntk(model, x)
    lay_channels_last(model)
    scene = x.to(memory_format=torch.channels_last)
    torch.testing.assert_close(ntk(copy.deepcopy(model), scene), expected)


def test_what_has_no_channels_of_images_stays_as_it_is():
    layer = nn.Conv3d(1, 2, 3)
    layer.register_buffer("psfs", torch.rand(2, 2, 1, 3, 3))
    lay_channels_last(layer)
    assert layer.weight.is_contiguous()
    assert layer.psfs.is_contiguous()
