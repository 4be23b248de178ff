"""Cotangents through known operations are autograd's, and so are their derivatives."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd.graph import get_gradient_edge

from hybridonn.tangent import TangentWarning, ntk
from hybridonn.tangent.empirical.cotangents import (
    autograd_cotangents,
    batches_well,
    known_cotangents,
)
from hybridonn.tangent.empirical.output_vectors import unit_vectors


class Branches(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 4, 1, bias=False)

    def forward(self, x):
        return torch.relu(self.one(x) + x).add(self.two(x))


class Mean(nn.Module):
    def __init__(self, *axes):
        super().__init__()
        self.axes = axes

    def forward(self, x):
        return x.mean(self.axes)


class OneNumber(nn.Module):
    """Operations that are given lists of one number, which torch takes for both axes."""

    def __init__(self):
        super().__init__()
        self.register_buffer("kernel", torch.randn(3, 4, 2, 2))

    def forward(self, x):
        found = F.conv2d(x, self.kernel, None, [1], [1], [2])
        return F.max_pool2d(F.avg_pool2d(found, [2], [1], [0]), [2], [1])


def norm():
    layer = nn.BatchNorm2d(4).eval()
    layer.running_mean.normal_()
    layer.running_var.uniform_(0.5, 2)
    nn.init.normal_(layer.weight)
    return layer


# What stands between a first convolution, 4 channels of 9 x 9, and the outputs.
KNOWN = {
    "ReLU, maximum": lambda: [nn.ReLU(), nn.MaxPool2d(3)],
    "maximum that leaves a rest": lambda: [nn.MaxPool2d(2), nn.ReLU()],
    "maximum with a part of a window": lambda: [nn.MaxPool2d(2, ceil_mode=True)],
    "overlapping maximum": lambda: [nn.ReLU(), nn.MaxPool2d(3, 2, 1)],
    "maximum of maxima": lambda: [nn.MaxPool2d(3, 3), nn.ReLU(), nn.MaxPool2d(3, 2, 1)],
    "adaptive maximum": lambda: [nn.ReLU(inplace=True), nn.AdaptiveMaxPool2d((2, 4))],
    "average": lambda: [nn.ReLU(), nn.AvgPool2d(3)],
    "padded average": lambda: [nn.AvgPool2d((4, 3), 2, 1, ceil_mode=True)],
    "padded average of what is there": lambda: [nn.AvgPool2d(4, 3, 2, count_include_pad=False)],
    "adaptive average": lambda: [nn.ReLU(), nn.AdaptiveAvgPool2d((4, 2))],
    "average to one": lambda: [nn.AdaptiveAvgPool2d(1)],
    "mean": lambda: [nn.ReLU(), Mean(2, 3)],
    "mean of an axis": lambda: [nn.ReLU(), Mean(-1)],
    "norm": lambda: [norm(), nn.ReLU()],
    "convolution": lambda: [nn.ReLU(), nn.Conv2d(4, 3, 3, padding=1)],
    "wide padding": lambda: [nn.Conv2d(4, 3, 2, padding=(3, 0))],
    "strides, groups": lambda: [
        nn.ReLU(),
        nn.Conv2d(4, 6, (3, 2), (2, 1), (1, 0), (1, 2), groups=2),
    ],
    "no padding by its name": lambda: [nn.ReLU(), nn.Conv2d(4, 3, (3, 2), padding="valid")],
    "no padding by its name, average": lambda: [
        *(nn.ReLU(), nn.Conv2d(4, 3, (3, 2), padding="valid")),
        *(nn.ReLU(), nn.AvgPool2d(2)),
    ],
    "no padding by its name, maximum": lambda: [
        *(nn.Conv2d(4, 3, (3, 2), dilation=(1, 2), padding="valid"), nn.MaxPool2d((2, 3))),
    ],
    "one number for both axes": lambda: [OneNumber()],
    "transposed": lambda: [
        nn.ReLU(),
        nn.ConvTranspose2d(4, 6, 3, 2, 1, output_padding=1, groups=2, dilation=2),
    ],
    "branches": lambda: [Branches(), nn.MaxPool2d(3)],
    "dense layers": lambda: [nn.Flatten(), nn.Linear(324, 7, bias=False), nn.ReLU()],
    "one dimension": lambda: [nn.Flatten(2), nn.ReLU(), nn.Conv1d(4, 2, 5, 3, dilation=2)],
}


def network(middle):
    layers = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), *middle, nn.Flatten())
    with torch.no_grad():
        width = layers(torch.rand(1, 2, 9, 9)).shape[1]
    return layers.append(nn.Linear(width, 5)).double()


def reached(model, x):
    """The outputs, and the place of every layer's result."""
    edges = []
    hooks = [
        m.register_forward_hook(lambda m, i, o: edges.append(get_gradient_edge(o)))
        for m in model.modules()
        if next(m.parameters(recurse=False), None) is not None
    ]
    outputs = model(x)
    for hook in hooks:
        hook.remove()
    return outputs, edges


@pytest.mark.parametrize("name", KNOWN)
def test_known_operations_give_the_gradients_of_autograd(name):
    torch.manual_seed(0)
    model = network(KNOWN[name]())
    outputs, edges = reached(model, torch.rand(3, 2, 9, 9).double())
    vectors = unit_vectors(outputs.shape[1:], slice(0, 5), outputs)
    found = known_cotangents(outputs, edges, vectors)
    assert found is not None
    assert batches_well(outputs, edges)
    check_gradients(found, outputs, edges, vectors)


def check_gradients(found, outputs, edges, vectors):
    rows = [
        torch.autograd.grad(outputs, edges, vector.expand_as(outputs), retain_graph=True)
        for vector in vectors
    ]
    for mine, column in zip(found, zip(*rows, strict=True), strict=True):
        torch.testing.assert_close(mine, torch.stack(column, 1), rtol=1e-12, atol=1e-12)


class Looped(nn.Module):
    """An operation whose backward pass torch cannot batch: it looks at its numbers."""

    class Square(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx, gradient):
            (x,) = ctx.saved_tensors
            return 2 * x * gradient if float(gradient.abs().sum()) else torch.zeros_like(x)

    def forward(self, x):
        return self.Square.apply(x)


@pytest.mark.parametrize("count", [1, 4])
@pytest.mark.parametrize("middle", [[nn.GELU()], [Looped()]])
def test_autograd_gives_all_combinations_of_an_unknown_graph(middle, count):
    torch.manual_seed(0)
    outputs, edges = reached(network(middle), torch.rand(3, 2, 9, 9).double())
    vectors = unit_vectors(outputs.shape[1:], slice(0, count), outputs)
    found = autograd_cotangents(outputs, edges, vectors, create_graph=False)
    check_gradients(found, outputs, edges, vectors)


@pytest.mark.parametrize("name", ["branches", "norm", "strides, groups", "transposed"])
def test_gradients_are_differentiable_in_the_parameters(name):
    torch.manual_seed(0)
    model = network(KNOWN[name]())
    parameters = [p for p in model.parameters() if p.ndim > 1]
    outputs, edges = reached(model, torch.rand(3, 2, 9, 9).double())
    vector = torch.randn(1, 5).double()
    (mine, *_) = known_cotangents(outputs, edges, vector)
    (theirs, *_) = torch.autograd.grad(
        outputs, edges, vector.expand_as(outputs), create_graph=True, retain_graph=True
    )
    gradients = [
        torch.autograd.grad(g.square().sum(), parameters, retain_graph=True, allow_unused=True)
        for g in (mine, theirs)
    ]
    assert any(g is not None for g in gradients[0])
    for p, *pair in zip(parameters, *gradients, strict=True):
        a, b = (torch.zeros_like(p) if g is None else g for g in pair)
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    "middle",
    [
        [nn.GELU()],
        [nn.AvgPool2d(3, divisor_override=4)],
        [nn.Flatten(), nn.LayerNorm(324)],
        [nn.Upsample(scale_factor=2)],
    ],
)
def test_an_unknown_operation_is_left_to_autograd(middle, dense_kernel):
    torch.manual_seed(0)
    model, x = network(middle), torch.rand(3, 2, 9, 9).double()
    outputs, edges = reached(model, x)
    assert known_cotangents(outputs, edges, torch.ones(1, 5).double()) is None
    torch.testing.assert_close(ntk(model, x), dense_kernel(model, x), rtol=1e-10, atol=1e-10)


def test_a_hook_that_changes_gradients_is_noticed():
    class Hooked(nn.Module):
        def __init__(self, factor):
            super().__init__()
            self.first, self.head, self.factor = nn.Linear(6, 6), nn.Linear(6, 3), factor

        def forward(self, x):
            hidden = self.first(x)
            if self.factor is not None and hidden.requires_grad:
                hidden.register_hook(lambda g: self.factor * g)
            return self.head(torch.relu(hidden))

    torch.manual_seed(0)
    model, x = Hooked(2).double(), torch.rand(4, 6).double()
    with pytest.warns(TangentWarning, match="first"):
        kernel = ntk(model, x)
    model.factor = None
    first, head = (ntk(model, x, layers=name) for name in ("first", "head"))
    torch.testing.assert_close(kernel, 4 * first + head)
