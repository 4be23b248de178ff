"""Every known layer with every option, against the dense float64 Jacobian."""

import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from hybridonn.tangent import ntk


def frozen(layer, name):
    getattr(layer, name).requires_grad_(False)
    return layer


def conv(*args, **kwargs):
    return nn.Conv2d(*args, **kwargs)


def running(norm):
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.5, 2)
    norm.weight.data.normal_()
    return norm


IMAGE, LINE, VOLUME = (4, 9, 8), (4, 12), (4, 5, 6, 4)
LAYERS = {
    "dense": ((7,), lambda: nn.Linear(7, 5)),
    "dense without bias": ((7,), lambda: nn.Linear(7, 5, bias=False)),
    "dense at positions": ((3, 2, 7), lambda: nn.Linear(7, 5)),
    "dense, frozen weight": ((3, 7), lambda: frozen(nn.Linear(7, 5), "weight")),
    "dense, frozen bias": ((3, 7), lambda: frozen(nn.Linear(7, 5), "bias")),
    "conv1": (LINE, lambda: nn.Conv1d(4, 6, 3)),
    "conv1 same, dilated": (LINE, lambda: nn.Conv1d(4, 6, 4, padding="same", dilation=2)),
    "conv1 reflect, groups": (
        LINE,
        lambda: nn.Conv1d(4, 6, 3, padding=2, padding_mode="reflect", groups=2),
    ),
    "conv2": (IMAGE, lambda: conv(4, 6, 3)),
    "conv2 1x1": (IMAGE, lambda: conv(4, 6, 1)),
    "conv2 strided": (IMAGE, lambda: conv(4, 6, (3, 2), stride=(2, 3), padding=(1, 0))),
    "conv2 dilated": (IMAGE, lambda: conv(4, 6, 3, dilation=(2, 1), padding=2)),
    "conv2 groups": (IMAGE, lambda: conv(4, 6, 3, groups=2, bias=False)),
    "conv2 depthwise": (IMAGE, lambda: conv(4, 8, 3, groups=4, padding=1)),
    "conv2 same": (IMAGE, lambda: conv(4, 6, (4, 3), padding="same", dilation=(1, 2))),
    "conv2 valid": (IMAGE, lambda: conv(4, 6, 3, padding="valid", stride=2)),
    "conv2 circular": (IMAGE, lambda: conv(4, 6, 3, padding=(1, 2), padding_mode="circular")),
    "conv2 reflect": (IMAGE, lambda: conv(4, 6, 3, padding=1, padding_mode="reflect")),
    "conv2 replicate same": (
        IMAGE,
        lambda: conv(4, 6, 4, padding="same", padding_mode="replicate"),
    ),
    "conv2, frozen weight": (IMAGE, lambda: frozen(conv(4, 6, 3), "weight")),
    "conv2, frozen bias": (IMAGE, lambda: frozen(conv(4, 6, 3), "bias")),
    "conv3": (VOLUME, lambda: nn.Conv3d(4, 2, (2, 3, 2), padding=1, stride=(1, 2, 1))),
    "conv3 groups, dilated": (VOLUME, lambda: nn.Conv3d(4, 2, 2, groups=2, dilation=(2, 1, 3))),
    "conv3 circular": (VOLUME, lambda: nn.Conv3d(4, 2, 3, padding=1, padding_mode="circular")),
    "transposed1": (LINE, lambda: nn.ConvTranspose1d(4, 3, 3, stride=2, output_padding=1)),
    "transposed2": (IMAGE, lambda: nn.ConvTranspose2d(4, 3, 3)),
    "transposed2 strided": (
        IMAGE,
        lambda: nn.ConvTranspose2d(4, 6, (3, 2), stride=2, padding=(1, 0), groups=2),
    ),
    "transposed2 output padding beyond the stride": (
        IMAGE,
        lambda: nn.ConvTranspose2d(4, 3, 2, stride=1, dilation=3, output_padding=2),
    ),
    "transposed2, frozen weight": (IMAGE, lambda: frozen(nn.ConvTranspose2d(4, 3, 2), "weight")),
    "transposed2 without bias": (IMAGE, lambda: nn.ConvTranspose2d(4, 3, 2, bias=False)),
    "transposed3": (VOLUME, lambda: nn.ConvTranspose3d(4, 2, 2, stride=2, padding=1)),
    "batch norm 1": ((4,), lambda: running(nn.BatchNorm1d(4))),
    "batch norm 1 at positions": (LINE, lambda: running(nn.BatchNorm1d(4))),
    "batch norm 2": (IMAGE, lambda: running(nn.BatchNorm2d(4))),
    "batch norm 2, frozen weight": (IMAGE, lambda: frozen(running(nn.BatchNorm2d(4)), "weight")),
    "batch norm 3": (VOLUME, lambda: running(nn.BatchNorm3d(4))),
    "group norm": (IMAGE, lambda: nn.GroupNorm(2, 4)),
    "instance norm": (IMAGE, lambda: nn.InstanceNorm2d(4, affine=True)),
    "instance norm, running": (
        IMAGE,
        lambda: running(nn.InstanceNorm2d(4, affine=True, track_running_stats=True)),
    ),
    "layer norm": ((3, 7), lambda: nn.LayerNorm(7)),
    "layer norm of two axes": ((3, 2, 7), lambda: nn.LayerNorm((2, 7))),
    "RMS norm": ((3, 7), lambda: nn.RMSNorm(7)),
    "PReLU": (IMAGE, lambda: nn.PReLU(4)),
}


class Between(nn.Module):
    """A layer between two others, so that its inputs and gradients are those of a network."""

    def __init__(self, shape, layer):
        super().__init__()
        self.before = nn.Conv1d(shape[0], shape[0], 1) if len(shape) > 1 else nn.Linear(*shape * 2)
        self.layer = layer
        self.after = nn.LazyLinear(3)

    def forward(self, x):
        before = self.before(x.flatten(2) if x.ndim > 2 else x).reshape(x.shape)
        return self.after(torch.tanh(self.layer(torch.tanh(before))).flatten(1))


def network(shape, make):
    torch.manual_seed(0)
    model = Between(shape, make()).double().eval()
    with torch.no_grad():
        model(torch.randn(2, *shape, dtype=torch.float64))
    return model


def close(actual, expected, tolerance=1e-10):
    return float((actual - expected).norm() / expected.norm()) < tolerance


@pytest.mark.parametrize("name", LAYERS)
def test_layer_agrees_with_the_dense_jacobian(name, dense_kernel):
    shape, make = LAYERS[name]
    model = network(shape, make)
    x1, x2 = (torch.randn(n, *shape, dtype=torch.float64) for n in (4, 3))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert close(ntk(model, x1), dense_kernel(model, x1))
        assert close(ntk(model, x1, layers="layer"), only(dense_kernel, model, x1))
        assert close(ntk(model, x1, x2), dense_kernel(model, x1, x2))
        assert close(ntk(model, x1, x2, outputs="full"), dense_kernel(model, x1, x2, "full"))


def only(dense_kernel, model, x):
    others = [p for n, p in model.named_parameters() if not n.startswith("layer.")]
    for parameter in others:
        parameter.requires_grad_(False)
    expected = dense_kernel(model, x)
    for parameter in others:
        parameter.requires_grad_(True)
    return expected


@settings(max_examples=25, deadline=None)
@given(
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    stride=st.integers(1, 3),
    padding=st.integers(0, 3),
    dilation=st.integers(1, 2),
    groups=st.sampled_from([1, 2]),
    transposed=st.booleans(),
    bias=st.booleans(),
    size=st.tuples(st.integers(7, 10), st.integers(7, 10)),
)
def test_any_convolution(kernel, stride, padding, dilation, groups, transposed, bias, size):
    kind = nn.ConvTranspose2d if transposed else nn.Conv2d
    options = {"stride": stride, "dilation": dilation, "groups": groups, "bias": bias}
    model = kind(2, 4, kernel, padding=padding, **options).double()
    x = torch.randn(3, 2, *size, dtype=torch.float64)
    mask = torch.randn(model(x).shape[1:], dtype=torch.float64)
    model = nn.Sequential(model, nn.Tanh(), Weighted(mask))
    jacobian = torch.stack([flat_gradient(model, one) for one in x])
    assert close(ntk(model, x), jacobian @ jacobian.T)


class Weighted(nn.Module):
    def __init__(self, weights):
        super().__init__()
        self.register_buffer("weights", weights)

    def forward(self, x):
        return (x * self.weights).flatten(1).sum(1, keepdim=True)


def flat_gradient(model, x):
    found = torch.autograd.grad(model(x[None]).sum(), list(model.parameters()))
    return torch.cat([gradient.flatten() for gradient in found])
