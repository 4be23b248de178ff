"""Sums over averaged windows equal autograd's gradients, for every average pooling."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from hybridonn.tangent import explain, ntk
from hybridonn.tangent.empirical.compiled import (
    ConvolutionGeometry,
    GradientsOfRows,
    Windows,
    inputs_behind_pooling,
    is_available,
)
from hybridonn.tangent.empirical.pooling import AveragePooling, read_pooling

pytestmark = pytest.mark.skipif(
    not is_available(torch.zeros(1)), reason="there is no C compiler on this machine"
)

POOLINGS = {
    "tiles": lambda x: F.avg_pool2d(x, 2),
    "overlapping windows": lambda x: F.avg_pool2d(x, 3, 2),
    "padding": lambda x: F.avg_pool2d(x, 3, 2, 1),
    "padding that does not count": lambda x: F.avg_pool2d(x, 3, 3, 1, count_include_pad=False),
    "short windows": lambda x: F.avg_pool2d(x, 4, 4, ceil_mode=True),
    "adaptive": lambda x: F.adaptive_avg_pool2d(x, (3, 2)),
    "one window": lambda x: F.avg_pool2d(x, x.shape[2:]),
}


def of_samples_and_outputs(pooled, gradients, wanted):
    """Gradients (n, C, ...) of each sample and output."""
    rows = [
        [
            torch.autograd.grad((pooled[i] * g).sum(), wanted, retain_graph=True)[0]
            for g in gradients[i]
        ]
        for i in range(len(pooled))
    ]
    return torch.stack([torch.stack(row) for row in rows])


@pytest.mark.parametrize("name", POOLINGS)
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_gradients_are_those_of_autograd(name, shared, bias):
    torch.manual_seed(0)
    n, outputs = 3, 4
    conv = nn.Conv2d(3, 5, 3, (1, 2), padding=1, bias=bias).double()
    x = torch.randn(n, 3, 11, 13, dtype=torch.float64, requires_grad=True)
    relu = torch.relu(conv(x))
    pooled = POOLINGS[name](relu)
    pooling = read_pooling(pooled.grad_fn)
    assert isinstance(pooling, AveragePooling)
    g = torch.randn(1 if shared else n, outputs, *pooled.shape[1:], dtype=torch.float64)
    g = g.expand(n, *g.shape[1:])
    geometry = ConvolutionGeometry(conv.kernel_size, conv.stride, conv.dilation, conv.padding)
    windows = Windows(*pooling.windows, relu.shape, geometry)

    make = GradientsOfRows(x, relu.flatten(2), windows, g.flatten(3), bias=bias)
    weights = torch.randn(n, outputs)
    found, sums = make.compute(slice(0, 5), weights)
    expected = of_samples_and_outputs(pooled, g, conv.weight)
    expected = expected.permute(0, 2, 1, 4, 5, 3).flatten(3)
    taps = expected.shape[3]
    torch.testing.assert_close(found[..., :taps], expected, rtol=1e-12, atol=1e-12)
    if bias:
        shift = of_samples_and_outputs(pooled, g, conv.bias).transpose(1, 2)
        torch.testing.assert_close(found[..., taps], shift, rtol=1e-12, atol=1e-12)
    assert not found[..., taps + bias :].any()
    whole = torch.einsum("ic,iock->ok", weights.double(), found)
    torch.testing.assert_close(sums, whole, rtol=1e-12, atol=1e-12)
    parts = [make.compute(part)[0] for part in (slice(0, 2), slice(2, 5))]
    assert torch.equal(torch.cat(parts, 1), found)

    if pooling.tiles:
        gate = (relu.detach() > 0).double().flatten(2)
        inputs = inputs_behind_pooling(conv.weight, gate, windows, g.flatten(3), x.shape)
        expected = of_samples_and_outputs(pooled, g, x)
        expected = torch.stack([expected[i, :, i] for i in range(n)])
        torch.testing.assert_close(inputs, expected, rtol=1e-12, atol=1e-12)


def network(pool):
    return nn.Sequential(
        *(nn.Conv2d(2, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), pool),
        *(nn.Conv2d(6, 4, 3), pool, nn.ReLU()),
        *(nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(), pool),
        *(nn.Flatten(), nn.LazyLinear(12)),
    ).double()


@pytest.mark.parametrize(
    "pool",
    [
        nn.AvgPool2d(2),
        nn.AvgPool2d(3, 2, 1),
        nn.AvgPool2d(2, ceil_mode=True),
        nn.AvgPool2d(3, 3, 1, count_include_pad=False),
    ],
    ids=str,
)
def test_the_kernel_is_that_of_the_jacobian_in_any_budget(pool, dense_kernel):
    torch.manual_seed(0)
    model = network(pool)
    x, y = torch.rand(9, 2, 16, 16).double(), torch.rand(4, 2, 16, 16).double()
    model(x)
    model.eval()
    for pair in ((x,), (x, y)):
        expected = dense_kernel(model, *pair)
        for memory in (2.0, 1e-3):
            found = ntk(model, *pair, memory_gb=memory)
            torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


def test_explain_tells_what_is_compiled(monkeypatch):
    # Each thread holds patches, which so small a layer would not repay on many threads.
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    model = nn.Sequential(
        *(nn.Conv2d(2, 6, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2)),
        *(nn.Flatten(), nn.Linear(6 * 64, 12)),
    ).double()
    first, _ = explain(model, torch.rand(4, 2, 16, 16).double()).splitlines()
    assert first == "0: convolution, compiled, by its averages"
