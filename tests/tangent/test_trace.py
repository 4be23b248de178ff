"""A training step's forward pass also serves the tangent kernel."""

import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from hybridonn.tangent import (
    ScaleShiftRule,
    TangentError,
    TangentWarning,
    centred_alignment,
    ntk,
    record,
    register_rule,
)


class ChannelBias(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.bias = nn.Parameter(torch.randn(channels))

    def forward(self, x):
        return x + self.bias[:, None, None]


class UnknownBias(ChannelBias):
    """The same layer in a class that no rule is registered for, by way of an odd operation."""

    def forward(self, x):
        return x + self.bias.flip(0).flip(0)[:, None, None]


def student(bias=nn.Identity, inplace=False):
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 5, padding=2, bias=False),
        bias(4),
        nn.ReLU(inplace=inplace),
        nn.AdaptiveAvgPool2d(3),
        nn.Flatten(),
        nn.Linear(36, 12),
        nn.ReLU(inplace=inplace),
        nn.Linear(12, 5),
    ).double()


def images(n=6):
    return torch.rand(n, 1, 12, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def close(actual, expected, tolerance=1e-10):
    return float((actual - expected).norm() / expected.norm()) < tolerance


@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize("layers", ["last", "first", "all", ["0", "7"], "5"])
def test_recorded_kernel_is_the_kernel(layers, inplace, dense_kernel):
    model, x = student(inplace=inplace), images()
    with record(model, layers) as trace:
        logits = model(x)
    kernel = trace.kernel(logits)
    assert close(kernel, ntk(student(), x, layers=layers))
    if layers == "all":
        assert close(kernel, dense_kernel(student(), x))


def test_what_the_graph_says_of_the_last_layer_needs_no_comparison(monkeypatch):
    model, x = student(), images()
    monkeypatch.setattr("hybridonn.tangent.trace.compare", lambda *_: pytest.fail("compared"))
    with record(model, "last") as trace:
        logits = model(x)
    assert close(trace.kernel(logits), ntk(student(), x, layers="last"))


class Last(nn.Module):
    """A dense last layer that is more than one, by what is done to its input or its weight."""

    def __init__(self, odd):
        super().__init__()
        self.odd, self.first, self.last = odd, nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x):
        hidden = torch.tanh(self.first(x))
        if self.odd == "weight used twice":
            hidden = hidden @ self.last.weight
        if self.odd == "bias used twice":
            hidden = hidden + self.last.bias
        return self.last(hidden)


@pytest.mark.parametrize(
    "odd", ["weight used twice", "bias used twice", "input scaled", "normalised weight", "no bias"]
)
def test_a_last_layer_that_is_no_mere_dense_one_is_compared(odd, dense_kernel):
    torch.manual_seed(0)
    model, x = Last(odd).double(), torch.randn(3, 4, dtype=torch.float64)
    if odd == "input scaled":
        model.last.register_forward_pre_hook(lambda _, given: (given[0].clamp(-0.1, 0.1),))
    if odd == "normalised weight":
        nn.utils.parametrizations.weight_norm(model.last)
    if odd == "no bias":
        model.last.bias = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TangentWarning)
        with record(model, ["last"]) as trace:
            logits = model(x)
        kernel = trace.kernel(logits)
    model.first.requires_grad_(False)
    assert close(kernel, dense_kernel(model, x))


def test_the_last_dense_layer_needs_no_backward_pass_before_it():
    model, x = student(), images()

    def refuse(gradient):
        raise AssertionError("a gradient went beyond the last layer")

    model[-2].register_forward_hook(lambda module, args, out: out.register_hook(refuse) and None)
    with record(model) as trace:
        logits = model(x)
    kernel = trace.kernel(logits)
    model[-2]._forward_hooks.clear()
    hidden = model[:-1](x)
    assert close(kernel, 5 * (hidden @ hidden.T + 1))
    assert trace.methods == {"7": "dense"}


@pytest.mark.parametrize(
    "tail",
    [
        lambda: nn.Conv2d(3, 4, 3, padding=1, groups=1),
        lambda: nn.Conv2d(3, 6, 3, groups=3, bias=False),
        lambda: nn.Sequential(nn.Conv2d(3, 2, 1), nn.Flatten()),
        lambda: nn.ConvTranspose2d(3, 2, 2),
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(3 * 64, 6), nn.Unflatten(1, (2, 3))),
        lambda: nn.Sequential(nn.Conv2d(3, 2, 1), nn.LogSoftmax(1)),
        lambda: nn.BatchNorm2d(3),
    ],
)
def test_last_layers_of_every_kind(tail, dense_kernel):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 3, 5), nn.Tanh(), tail()).double().eval()
    x = images(4)
    with record(model) as trace:
        outputs = model(x)
    for parameter in model[0].parameters():
        parameter.requires_grad_(False)
    assert close(trace.kernel(outputs), dense_kernel(model, x))


@pytest.mark.parametrize("layers", ["last", "all"])
def test_its_derivative_is_that_of_the_exact_kernel(layers):
    model, x = student(), images()
    target = torch.randn(6, 9, dtype=torch.float64)
    target = target @ target.T
    with record(model, layers) as trace:
        logits = model(x)
    labels = torch.arange(6) % 5
    loss = F.cross_entropy(logits, labels) - centred_alignment(trace.kernel(logits), target)
    found = torch.autograd.grad(loss, list(model.parameters()))
    kernel = ntk(model, x, layers=layers, method="vector_products", create_graph=True)
    expected_loss = F.cross_entropy(model(x), labels) - centred_alignment(kernel, target)
    expected = torch.autograd.grad(expected_loss, list(model.parameters()))
    assert all(close(a, b, 1e-8) for a, b in zip(found, expected, strict=True))


def test_a_functional_that_is_not_symmetric_has_the_exact_derivative():
    model, x = student(), images()
    weight = torch.randn(6, 6, dtype=torch.float64)
    with record(model, "all") as trace:
        logits = model(x)
    found = torch.autograd.grad(
        (trace.kernel(logits) * weight).sum(), list(model.parameters())[:-1]
    )
    kernel = ntk(model, x, method="vector_products", create_graph=True)
    expected = torch.autograd.grad((kernel * weight).sum(), list(model.parameters())[:-1])
    assert all(close(a, b, 1e-8) for a, b in zip(found, expected, strict=True))


def test_probes_estimate_the_kernel_of_all_layers():
    model, x = student(), images()
    with record(model, "all") as trace:
        logits = model(x)
    exact = trace.kernel(logits).detach()
    generator = torch.Generator().manual_seed(0)
    mean = sum(trace.kernel(logits, 2, generator).detach() for _ in range(200)) / 200
    assert close(mean, exact, 0.1)


def test_a_registered_rule_replaces_the_slow_way():
    model, x = student(UnknownBias), images(4)
    with record(model, "all") as trace:
        logits = model(x)
    with pytest.warns(TangentWarning, match=r"1\.bias"):
        slow = trace.kernel(logits)
    assert trace.methods["1"].startswith("vector products: no rule for UnknownBias")
    register_rule(ChannelBias, ScaleShiftRule(shift="bias"))  # UnknownBias derives from it
    with record(model, "all") as trace:
        logits = model(x)
    with warnings.catch_warnings():
        warnings.simplefilter("error", TangentWarning)
        assert close(trace.kernel(logits), slow)
    assert trace.methods["1"] == "scale and shift"


def test_check_accepts_right_layers_and_names_wrong_ones():
    class Twice(nn.Linear):
        def forward(self, x):
            return 2 * super().forward(x)

    right = student()
    wrong = nn.Sequential(nn.Flatten(), Twice(144, 4), nn.Tanh(), nn.Linear(4, 2)).double()
    x = images()
    with record(right, "all") as trace:
        logits = right(x)
    trace.check(logits)
    with record(wrong, "all") as trace:
        logits = wrong(x)
    with pytest.raises(TangentError, match="layer '1'"):
        trace.check(logits)


def test_a_new_forward_pass_replaces_the_one_before():
    model, x = student(), images()
    with record(model, "all") as trace:
        model(x[:2])
        logits = model(x)
    assert close(trace.kernel(logits), ntk(model, x))


def test_outputs_of_another_forward_pass_are_refused():
    model, x = student(), images()
    with record(model, ["0"]) as trace:
        model(x)
    with pytest.raises(TangentError, match=r"kernel\(\).*record\(\)"):
        trace.kernel(model(x))


def test_a_kernel_after_the_backward_pass_is_refused():
    model, x = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten()), torch.rand(3, 1, 5, 5)
    with record(model, layers="all") as trace:
        outputs = model(x)
    outputs.sum().backward()
    with pytest.raises(TangentError, match="freed by a backward pass"):
        trace.kernel(outputs)


def test_nothing_recorded_is_said():
    model = student()
    with record(model) as trace:
        pass
    with pytest.raises(TangentError, match=r"Sequential.*record\(\)"):
        trace.kernel(model(images()))


def test_an_unknown_layer_names_the_nearest():
    with pytest.raises(TangentError, match=r"'7x'.*nearest is '7'"), record(student(), ["7x"]):
        pass


def test_an_input_changed_in_place_names_its_layer():
    class Spoiler(nn.Module):
        def __init__(self):
            super().__init__()
            self.last = nn.Linear(3, 2)
            self.register_buffer("hidden", torch.rand(2, 3))

        def forward(self, x):
            hidden = self.hidden * 1
            outputs = self.last(hidden)
            with torch.no_grad():
                hidden.zero_()
            return outputs

    model = Spoiler()
    with record(model) as trace:
        outputs = model(torch.rand(2, 3))
    with pytest.raises(TangentError, match=r"layer 'last'.*inplace=True"):
        trace.kernel(outputs)


def test_half_precision_features_give_a_single_precision_kernel():
    model, x = student().bfloat16(), images().bfloat16()
    with record(model) as trace:
        logits = model(x)
    kernel = trace.kernel(logits)
    assert kernel.dtype == torch.float32
    assert close(kernel.double(), ntk(student(), images(), layers="last"), 0.05)


class Cosine(nn.Linear):
    """A cosine classifier: more than the dense layer that its class is derived from."""

    def forward(self, x):
        return F.linear(F.normalize(x, dim=-1), F.normalize(self.weight, dim=-1))


def hooked():
    layer = nn.Linear(6, 2)
    layer.register_forward_hook(lambda module, args, outputs: outputs.log_softmax(-1))
    return layer


@pytest.mark.parametrize("layers", ["last", "all"])
@pytest.mark.parametrize("last", [lambda: Cosine(6, 2, bias=False), hooked])
def test_a_layer_that_does_more_than_its_class_is_found_out(last, layers, dense_kernel):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(7, 6), nn.ReLU(), last()).double()
    x = torch.randn(5, 7).double()
    if layers == "last":
        model[0].requires_grad_(False)
    with record(model, layers) as trace:
        outputs = model(x)
    if last is hooked:  # its parameters are used by a known operation
        kernel = trace.kernel(outputs)
    else:
        with pytest.warns(TangentWarning, match=r"2\.weight"):
            kernel = trace.kernel(outputs)
    assert close(kernel, dense_kernel(model, x))


def test_a_slow_layer_is_said_once_in_a_training():
    model = nn.Sequential(nn.Linear(7, 6), nn.ReLU(), Cosine(6, 2, bias=False))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for _ in range(4):
            with record(model) as trace:
                outputs = model(torch.randn(5, 7))
            trace.kernel(outputs)
    assert len(told) == 1
