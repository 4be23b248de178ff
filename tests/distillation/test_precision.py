"""Mixed precision: bfloat16 where it pays, and nowhere that its gradients are wrong."""

import math

import pytest
import torch
from torch import nn

from hybridonn.core.errors import TrainingError
from hybridonn.core.random import seeded
from hybridonn.distillation import precision
from hybridonn.distillation.precision import mixed_precision


def dilated(groups, dilation):
    with seeded("dilated"):
        convolutions = [nn.Conv2d(16, 16, 3, padding=dilation, dilation=dilation, groups=groups)]
        convolutions += [nn.Conv2d(16, 16, 1) for _ in range(4)]
    return nn.Sequential(*convolutions).to(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    ("groups", "dilation", "halved"), [(16, 1, True), (1, 2, True), (8, 2, True), (16, 2, False)]
)
def test_no_gradient_is_made_of_unwritten_memory(monkeypatch, groups, dilation, halved):
    """torch 2.13's weight gradient of a dilated depthwise convolution in bfloat16 is."""
    monkeypatch.setattr(precision, "has_bfloat16_units", lambda: True)
    net, cpu = dilated(groups, dilation), torch.device("cpu")
    scene = torch.rand(4, 16, 16, 16, generator=torch.Generator().manual_seed(0))
    scene = scene.contiguous(memory_format=torch.channels_last)
    (exact,) = torch.autograd.grad(net.double()(scene.double()).square().mean(), [net[0].weight])
    net.float()
    for count in range(1, 30):
        spoilt = torch.full((1000 * count,), math.nan)  # what freed memory may hold
        del spoilt
        with mixed_precision("auto", cpu, net):
            outputs = net(scene)
        assert (outputs.dtype == torch.bfloat16) == halved
        (found,) = torch.autograd.grad(outputs.float().square().mean(), [net[0].weight])
        assert (found - exact).abs().max() < 0.1 * exact.abs().max()


def test_bfloat16_is_refused_where_its_gradients_are_wrong():
    with pytest.raises(TrainingError, match=r"layer '0', a dilated depthwise.*use float32 or auto"):
        mixed_precision("bfloat16", torch.device("cpu"), dilated(16, 4))
