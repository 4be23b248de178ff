"""Sums over maxima equal autograd's gradients, for every geometry of a convolution."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from hybridonn.tangent import explain, ntk
from hybridonn.tangent.empirical.compiled import (
    ConvolutionGeometry,
    GradientsOfRows,
    Maxima,
    gram,
    inputs_behind_pooling,
    is_available,
)

pytestmark = pytest.mark.skipif(
    not is_available(torch.zeros(1)), reason="there is no C compiler on this machine"
)


class Case:
    """A convolution, a ReLU and a maximum pooling, with output gradients at the pooled places."""

    def __init__(self, conv, pool, shape, outputs, *, shared=False, dtype=torch.float64):
        self.conv = conv.to(dtype)
        self.x = torch.randn(shape, dtype=dtype, requires_grad=True)
        whole = self.conv(self.x)
        self.relu = torch.relu(whole)
        pooled, index = pool(self.relu)
        n = len(self.x)
        g = torch.randn(1 if shared else n, outputs, *pooled.shape[1:], dtype=dtype)
        self.gradients = g.expand(n, *g.shape[1:])
        geometry = (conv.kernel_size, conv.stride, conv.dilation, conv.padding)
        self.where = Maxima(index.flatten(2), whole.shape, ConvolutionGeometry(*geometry))
        self.pooled = pooled

    def rows(self):
        return GradientsOfRows(
            self.x,
            self.relu.flatten(2),
            self.where,
            self.gradients.flatten(3),
            bias=self.conv.bias is not None,
        )

    def of_weight(self, part=None):
        maps = slice(0, self.conv.out_channels) if part is None else part
        return self.rows().compute(maps)[0]

    def sums(self, weights):
        return self.rows().compute(slice(0, self.conv.out_channels), weights)[1]

    def of_inputs(self):
        gate = (self.pooled.detach().flatten(2) > 0).to(self.x.dtype)
        g = self.gradients.flatten(3)
        return inputs_behind_pooling(self.conv.weight, gate, self.where, g, self.x.shape)

    def by_autograd(self, wanted):
        """Gradients (n, C, ...) of each sample and output."""
        rows = []
        for i in range(len(self.x)):
            row = [
                torch.autograd.grad((self.pooled[i] * g).sum(), wanted, retain_graph=True)[0]
                for g in self.gradients[i]
            ]
            rows.append(torch.stack(row))
        return torch.stack(rows)

    def check(self, **tolerance):
        found, weight = self.of_weight(), self.conv.weight
        expected = self.by_autograd(weight).permute(0, 2, 1, 4, 5, 3).flatten(3)
        taps = expected.shape[3]
        torch.testing.assert_close(found[..., :taps], expected, **tolerance)
        if self.conv.bias is not None:
            bias = self.by_autograd(self.conv.bias).transpose(1, 2)
            torch.testing.assert_close(found[..., taps], bias, **tolerance)
            taps += 1
        assert not found[..., taps:].any()
        inputs = self.by_autograd(self.x)
        inputs = torch.stack([inputs[i, :, i] for i in range(len(self.x))])
        torch.testing.assert_close(self.of_inputs(), inputs, **tolerance)


def maximum(*args, **options):
    return lambda x: F.max_pool2d(x, *args, return_indices=True, **options)


CASES = {
    "tiles": ({"kernel_size": 3, "padding": 1}, maximum(2)),
    "overlapping windows": ({"kernel_size": 3, "padding": 1}, maximum(3, 2, 1)),
    "adaptive": (
        {"kernel_size": 2},
        lambda x: F.adaptive_max_pool2d(x, (3, 2), return_indices=True),
    ),
    "no padding, no bias": ({"kernel_size": (4, 2), "bias": False}, maximum(2)),
    "strides": ({"kernel_size": 3, "stride": (2, 3), "padding": (1, 2)}, maximum(2)),
    "dilation": ({"kernel_size": 3, "dilation": (2, 1), "padding": 2}, maximum(3)),
    "stride beyond the kernel": ({"kernel_size": 2, "stride": 3}, maximum(2)),
    "one tap": ({"kernel_size": 1}, maximum(2)),
    "wide": ({"kernel_size": (1, 7), "padding": (0, 3)}, maximum(2)),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("shared", [True, False])
def test_gradients_are_those_of_autograd(name, shared):
    torch.manual_seed(0)
    options, pool = CASES[name]
    case = Case(nn.Conv2d(3, 5, **options), pool, (3, 3, 11, 13), 4, shared=shared)
    case.check(rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("outputs", [1, 2, 9, 10, 11, 23])
@pytest.mark.parametrize("channels", [1, 7, 8, 16, 17, 40])
def test_any_number_of_outputs_and_channels(outputs, channels):
    torch.manual_seed(0)
    conv = nn.Conv2d(channels, 3, 3, padding=1)
    Case(conv, maximum(2), (2, channels, 6, 6), outputs).check(rtol=1e-12, atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(
    taps=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    step=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    apart=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    before=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    size=st.tuples(st.integers(8, 15), st.integers(8, 15)),
    seed=st.integers(0, 99),
)
def test_any_geometry(taps, step, apart, before, size, seed):
    torch.manual_seed(seed)
    conv = nn.Conv2d(2, 3, taps, step, before, apart)
    if min(conv(torch.zeros(1, 2, *size)).shape[2:]) < 2:
        return
    Case(conv, maximum(2, 1), (2, 2, *size), 3).check(rtol=1e-12, atol=1e-12)


def test_single_precision():
    torch.manual_seed(0)
    conv = nn.Conv2d(16, 32, 3, padding=1)
    case = Case(conv, maximum(2), (4, 16, 14, 14), 10, dtype=torch.float32)
    case.check(rtol=1e-4, atol=1e-5)


def test_weighted_sums_come_with_the_gradients():
    torch.manual_seed(0)
    case, weights = Case(nn.Conv2d(3, 5, 3), maximum(2), (3, 3, 9, 9), 4), torch.randn(3, 4)
    found = case.of_weight()
    expected = torch.einsum("ic,iock->ok", weights.double(), found)
    torch.testing.assert_close(case.sums(weights), expected, rtol=1e-12, atol=1e-12)


def test_some_channels_at_a_time():
    torch.manual_seed(0)
    case = Case(nn.Conv2d(3, 5, 3), maximum(2), (3, 3, 9, 9), 4)
    parts = [case.of_weight(slice(0, 2)), case.of_weight(slice(2, 5))]
    assert torch.equal(torch.cat(parts, 1), case.of_weight())


@pytest.mark.parametrize("n", [1, 3, 4, 5, 64, 130])
@pytest.mark.parametrize("vectors", [1, 7, 300])
def test_inner_products_of_few_long_rows(n, vectors):
    torch.manual_seed(0)
    for dtype, tolerance in ((torch.float32, 1e-5), (torch.float64, 1e-13)):
        rows = torch.randn(n, vectors * 64 // dtype.itemsize, dtype=dtype)
        expected = rows.double() @ rows.double().T
        error = (gram(rows).double() - expected).norm() / expected.norm()
        assert error < tolerance


def network(channels=3):
    return nn.Sequential(
        *(nn.Conv2d(2, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(6, channels, 3), nn.MaxPool2d(2), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(9 * channels, 12)),
    ).double()


def test_the_kernel_is_the_same_in_any_budget(dense_kernel):
    torch.manual_seed(0)
    model = network()
    x, y = torch.rand(9, 2, 16, 16).double(), torch.rand(4, 2, 16, 16).double()
    for pair in ((x,), (x, y)):
        expected = dense_kernel(model, *pair)
        for memory in (2.0, 1e-3, 4e-4):
            found = ntk(model, *pair, memory_gb=memory)
            torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("frozen", ["0.weight", "0.bias", "3.weight", "3.bias"])
def test_frozen_parameters_are_left_out(frozen, dense_kernel):
    torch.manual_seed(0)
    model = network()
    model.get_parameter(frozen).requires_grad_(False)
    x = torch.rand(5, 2, 16, 16).double()
    torch.testing.assert_close(ntk(model, x), dense_kernel(model, x), rtol=1e-10, atol=1e-10)


def test_a_kernel_that_can_be_differentiated_goes_without_compiled_code():
    torch.manual_seed(0)
    model, x = network(), torch.rand(4, 2, 16, 16).double()
    kernel = ntk(model, x, create_graph=True)
    torch.testing.assert_close(kernel, ntk(model, x), rtol=1e-10, atol=1e-10)
    assert kernel.requires_grad


def test_explain_tells_what_is_compiled(monkeypatch):
    # Each thread holds patches, which so small a layer would not repay on many threads.
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    model, x = network(), torch.rand(4, 2, 16, 16).double()
    first, second, last = explain(model, x).splitlines()
    assert first == "0: convolution, compiled, at its maxima"
    assert second == "3: convolution, compiled, at its maxima"
    assert last == "7: dense"
