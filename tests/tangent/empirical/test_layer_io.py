"""A forward pass is recorded: what each layer was given, in which order, and what does not fit."""

import warnings

import pytest
import torch
from torch import nn
from torch.func import functional_call

from hybridonn import tangent
from hybridonn.tangent import TangentError, ntk
from hybridonn.tangent.empirical.layer_io import Recorder, ruled_layers
from hybridonn.tangent.empirical.torch_internals import hooks_of


class Crossed(nn.Module):
    """Layers that are executed in another order than they are registered, one of them twice."""

    def __init__(self):
        super().__init__()
        self.late, self.early, self.idle = nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 3)
        self.block = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.BatchNorm1d(3))

    def forward(self, x):
        return self.early(self.late(self.block(self.early(x))))


def record(model, x, wanted="all"):
    recorder = Recorder(model, wanted)
    with recorder.recording():
        model(x)
    return recorder


def names(layers):
    return [layer.name for layer in layers]


def test_layers_are_selected_in_order_of_execution():
    model, x = Crossed().eval(), torch.rand(4, 3)
    assert names(record(model, x).selected()) == ["early", "block.0", "block.2", "late"]
    assert names(record(model, x, "first").selected()) == ["early"]
    assert names(record(model, x, "last").selected()) == ["early"]  # executed again, last
    assert names(record(model, x, "block").selected()) == ["block.0", "block.2"]
    assert names(record(model, x, ["late", "block.2"]).selected()) == ["block.2", "late"]


def test_parameters_are_those_of_the_wanted_layers():
    model, x = Crossed().eval(), torch.rand(4, 3)
    assert set(record(model, x).parameters()) == set(dict(model.named_parameters()))
    assert set(record(model, x, "last").parameters()) == {"early.weight", "early.bias"}
    model.early.bias.requires_grad_(False)
    assert set(record(model, x, "last").parameters()) == {"early.weight"}


def test_a_shared_parameter_counts_once_and_goes_by_no_rule():
    model = nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 3))
    model[2].weight = model[0].weight
    recorder = record(model, torch.rand(4, 3))
    assert set(recorder.parameters()) == {"0.weight", "0.bias", "2.bias"}
    assert ruled_layers(recorder.selected(), 4) == []


def test_executions_hold_what_the_layer_was_given():
    model, x = Crossed().eval(), torch.rand(4, 3)
    (early,) = ruled_layers(record(model, x, "early").selected(), 4)
    first, second = early.executions
    assert torch.equal(first.inputs, x)
    assert (first.order, second.order) == (0, 1)
    assert first.shape == second.shape == (4, 3)
    assert early.full_names == ("early.weight", "early.bias")


def test_an_input_that_was_changed_in_place_is_refused():
    model, x = nn.Sequential(nn.Linear(3, 3)), torch.rand(4, 3)
    (layer,) = ruled_layers(record(model, x).selected(), 4)
    assert torch.equal(layer.inputs(layer.executions[0], keep_graph=False), x)
    x.zero_()
    with pytest.raises(TangentError, match=r"layer '0'.*inplace=True"):
        layer.inputs(layer.executions[0], keep_graph=False)


class Pair(nn.Linear):
    def forward(self, x):
        return super().forward(x), x


class Turned(nn.Linear):
    def forward(self, x):
        return super().forward(x).T


@pytest.mark.parametrize(
    ("layer", "x"),
    [
        (Pair(3, 3), torch.rand(4, 3)),  # two outputs
        (Turned(3, 5), torch.rand(4, 3)),  # samples last
        (nn.Linear(3, 3), torch.rand(3)),  # no samples
        (nn.Conv2d(3, 2, 1), torch.rand(3, 5, 5)),  # one image
        (nn.Linear(3, 3), torch.rand(2, 3)),  # other samples than the outputs have
    ],
)
def test_executions_that_do_not_fit_the_rule_are_described(layer, x):
    recorder = record(nn.Sequential(layer), x)
    assert ruled_layers(recorder.selected(), 4) == []
    (found,) = recorder.selected()
    assert found.problem


def test_a_second_forward_pass_replaces_the_first():
    model, recorder = Crossed().eval(), None
    recorder = Recorder(model, "late")
    with recorder.recording():
        model(torch.rand(2, 3))
        model(torch.rand(4, 3))
    (late,) = ruled_layers(recorder.selected(), 4)
    assert len(late.executions) == 1


def test_hooks_are_gone_afterwards_even_after_an_error():
    model = Crossed()
    with pytest.raises(RuntimeError), Recorder(model).recording():
        model(torch.rand(4, 7))
    assert not any(hooks for module in model.modules() for hooks in hooks_of(module))


@pytest.mark.parametrize(("wanted", "near"), [("lat", "late"), (["early", "block.1"], r"block\.")])
def test_an_unknown_layer_is_named_with_the_nearest(wanted, near):
    with pytest.raises(TangentError, match=f"nearest is '{near}"):
        Recorder(Crossed(), wanted)


def test_a_model_without_trainable_parameters_is_named():
    with pytest.raises(TangentError, match="Tanh"):
        Recorder(nn.Tanh())
    with pytest.raises(TangentError, match="requires_grad"):
        Recorder(nn.Linear(2, 2).requires_grad_(False))


class Tokens(nn.Module):
    """A network whose root holds parameters: a token in front, and a gain behind if wanted."""

    def __init__(self, gain=False):
        super().__init__()
        self.token = nn.Parameter(torch.randn(1, 4))
        self.body, self.head, self.idle = nn.Linear(4, 4), nn.Linear(4, 2), nn.Linear(2, 2)
        self.gain = nn.Parameter(torch.ones(2)) if gain else None

    def forward(self, x):
        h = self.head(torch.tanh(self.body(x + self.token)))
        self.idle(h)  # executed last, but not on the way to the outputs
        return h if self.gain is None else h * self.gain


@pytest.mark.parametrize(
    ("gain", "wanted", "expected"),
    [
        (False, "last", ["head.weight", "head.bias"]),
        (False, "first", ["token"]),
        (True, "last", ["token", "gain"]),
    ],
)
def test_the_last_layer_is_the_one_whose_parameters_are_used_last(gain, wanted, expected):
    torch.manual_seed(0)
    model, x = Tokens(gain), torch.randn(5, 4)
    recorder = Recorder(model, wanted)
    with recorder.recording():
        model(x)
    assert list(recorder.parameters()) == expected
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kernel = ntk(model, x, layers=wanted)
        with tangent.record(model, wanted) as trace:
            outputs = model(x)
        torch.testing.assert_close(trace.kernel(outputs), kernel, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("wanted", ["last", ["2"]])
def test_a_layer_owns_what_its_normalised_weight_is_made_of(bias, wanted):
    torch.manual_seed(0)
    head = nn.utils.parametrizations.weight_norm(nn.Linear(3, 2, bias=bias))
    model, x = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), head).double(), torch.randn(5, 4).double()
    recorder = Recorder(model, wanted)
    with recorder.recording():
        model(x)
    parts = [f"2.parametrizations.weight.original{i}" for i in (0, 1)]
    assert sorted(recorder.parameters()) == sorted([*["2.bias"] * bias, *parts])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kernel = ntk(model, x, layers=wanted)
    jacobian = torch.func.jacrev(lambda own: functional_call(model, own, x))(
        {name: parameter.detach() for name, parameter in recorder.parameters().items()}
    )
    flat = torch.cat([one.flatten(2) for one in jacobian.values()], 2)
    torch.testing.assert_close(kernel, torch.einsum("ick,jck->ij", flat, flat))
