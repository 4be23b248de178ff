"""Layers whose gradients are taken behind shift, ReLU and pooling give the dense kernel."""

import pytest
import torch
from torch import nn

from hybridonn.tangent import ScaleShiftRule, ntk, record, register_rule
from hybridonn.tangent.empirical.forward_pass import record_forward
from hybridonn.tangent.empirical.layer_io import ruled_layers
from hybridonn.tangent.empirical.pooled_convolution import find_pooled_layers


class Shift(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels).normal_())

    def forward(self, x):
        return x + self.bias[:, None, None]


register_rule(Shift, ScaleShiftRule(shift="bias"))


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(2, 6, 3, padding=1), nn.Conv2d(2, 6, 1)
        self.head = nn.Linear(6 * 16, 16)

    def forward(self, x):
        joined = torch.relu(torch.add(self.first(x), self.second(x)))
        return self.head(nn.functional.max_pool2d(joined, 2).flatten(1))


def norm():
    layer = nn.BatchNorm2d(6).eval()
    layer.running_mean.normal_()
    layer.running_var.uniform_(0.5, 2)
    return layer


def chain(*layers, width):
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(width, 16))


def conv(**options):
    return nn.Conv2d(2, 6, 3, **{"padding": 1, **options})


# The model, and how many of its layers are looked at behind their pooling.
MODELS = {
    "max": (lambda: chain(conv(), nn.ReLU(), nn.MaxPool2d(2), width=96), 1),
    "max, overlapping": (lambda: chain(conv(), nn.ReLU(), nn.MaxPool2d(3, 2, 1), width=96), 1),
    "max before ReLU": (lambda: chain(conv(), nn.MaxPool2d(2), nn.ReLU(), width=96), 1),
    "adaptive max": (lambda: chain(conv(), nn.ReLU(), nn.AdaptiveMaxPool2d(3), width=54), 1),
    "average": (lambda: chain(conv(bias=False), nn.ReLU(), nn.AvgPool2d(3, 2), width=54), 1),
    "average alone": (lambda: chain(conv(), nn.AvgPool2d(4), width=24), 1),
    "average, padded": (lambda: chain(conv(), nn.ReLU(), nn.AvgPool2d(4, padding=1), width=24), 1),
    "average of a part of a window": (
        lambda: chain(conv(), nn.ReLU(), nn.AvgPool2d(3, ceil_mode=True), width=54),
        1,
    ),
    "average by another divisor": (
        lambda: chain(conv(), nn.ReLU(), nn.AvgPool2d(4, divisor_override=5), width=24),
        0,
    ),
    "adaptive average": (
        lambda: chain(conv(), nn.ReLU(True), nn.AdaptiveAvgPool2d(3), width=54),
        1,
    ),
    "groups": (lambda: chain(conv(groups=2), nn.ReLU(), nn.MaxPool2d(2), width=96), 1),
    "groups, average": (lambda: chain(conv(groups=2), nn.ReLU(), nn.AvgPool2d(4), width=24), 1),
    "depthwise, average": (
        lambda: chain(
            nn.Conv2d(2, 2, 3, padding=1, groups=2), nn.ReLU(), nn.AdaptiveAvgPool2d(3), width=18
        ),
        1,
    ),
    "dilated, strided": (
        lambda: chain(
            conv(dilation=(2, 1), stride=(1, 2)), nn.ReLU(), nn.MaxPool2d(2), width=6 * 3 * 2
        ),
        1,
    ),
    "electronic shift": (
        lambda: chain(conv(bias=False), Shift(6), nn.ReLU(), nn.AdaptiveAvgPool2d(3), width=54),
        2,
    ),
    "norm": (lambda: chain(conv(), norm(), nn.ReLU(), nn.MaxPool2d(2), width=96), 1),
    "norm, average": (lambda: chain(conv(), norm(), nn.ReLU(), nn.AvgPool2d(4), width=24), 1),
    "smooth": (lambda: chain(conv(), nn.GELU(), nn.AvgPool2d(2), width=96), 0),
    "residual": (Residual, 2),
    "two levels": (
        lambda: chain(
            *(conv(), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(6, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1)),
            width=4,
        ),
        1,
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_pooled_layers_give_the_dense_kernel(name, dense_kernel):
    torch.manual_seed(0)
    make, followed = MODELS[name]
    model = make().double()
    x, y = torch.rand(4, 2, 8, 8).double(), torch.rand(3, 2, 8, 8).double()
    outputs, recorder = record_forward(model, x, "all")
    assert len(find_pooled_layers(ruled_layers(recorder.selected(), 4), outputs, 16)) == followed
    torch.testing.assert_close(ntk(model, x), dense_kernel(model, x), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(ntk(model, x, y), dense_kernel(model, x, y), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", MODELS)
def test_the_kernel_of_a_step_has_the_derivative_of_the_exact_kernel(name):
    torch.manual_seed(1)
    model = MODELS[name][0]().double()
    x = torch.rand(4, 2, 8, 8).double()
    weight = torch.rand(4, 4).double()

    def derivative(kernel):
        loss = (kernel * weight).sum()
        return torch.autograd.grad(loss, list(model.parameters()), materialize_grads=True)

    with record(model, "all") as trace:
        outputs = model(x)
    pooled = derivative(trace.kernel(outputs))
    plain = derivative(ntk(model, x, method="vector_products", create_graph=True))
    for mine, expected in zip(pooled, plain, strict=True):
        torch.testing.assert_close(mine, expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name", ["max", "groups", "average", "electronic shift", "norm, average"])
def test_channels_last_gives_the_same(name):
    torch.manual_seed(0)
    model, x = MODELS[name][0]().double(), torch.rand(4, 2, 8, 8).double()
    kernel = ntk(model, x)
    last = model.to(memory_format=torch.channels_last)
    torch.testing.assert_close(ntk(last, x.to(memory_format=torch.channels_last)), kernel)
