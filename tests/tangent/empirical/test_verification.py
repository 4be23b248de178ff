"""Rules are compared with autograd: right layers pass, layers that do more are found out."""

import pytest
import torch
from torch import nn

from hybridonn.tangent.empirical.forward_pass import ForwardPass
from hybridonn.tangent.empirical.layer_io import Recorder, ruled_layers
from hybridonn.tangent.empirical.output_vectors import unit_vectors
from hybridonn.tangent.empirical.verification import find_reached, verify


class Twice(nn.Linear):
    """A dense layer that does more than its class."""

    def forward(self, x):
        return 2 * super().forward(x)


class Used(nn.Module):
    """A weight that is used outside its layer, too."""

    def __init__(self):
        super().__init__()
        self.inner, self.last, self.idle = nn.Linear(4, 4), nn.Linear(4, 2), nn.Linear(4, 2)

    def forward(self, x):
        self.idle(x)
        return self.last(torch.tanh(self.inner(x)) + x @ self.inner.weight)


class Mixed(nn.Module):
    """A network whose samples interact behind its first layer."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, x):
        return self.last(self.first(x).cumsum(0))


def dense(middle=nn.Linear):
    return nn.Sequential(nn.Linear(4, 4), nn.Tanh(), middle(4, 4), nn.Tanh(), nn.Linear(4, 2))


def found_of(model, vectors=None):
    torch.manual_seed(0)
    model = model.double()
    recorder = Recorder(model)
    with recorder.recording():
        outputs = model(torch.randn(5, 4).double())
    forward = ForwardPass(outputs, ruled_layers(recorder.selected(), 5))
    return verify(forward, recorder.parameters(), vectors and vectors(outputs))


@pytest.mark.parametrize("vectors", [None, lambda y: unit_vectors(y.shape[1:], slice(0, 2), y)])
@pytest.mark.parametrize(
    ("make", "right", "wrong"),
    [
        (dense, {"0", "2", "4"}, set()),
        (lambda: dense(Twice), {"0", "4"}, {"2"}),
        (Used, {"last", "idle"}, {"inner"}),
        (Mixed, {"last"}, {"first"}),
    ],
)
def test_layers_whose_gradients_autograd_does_not_confirm_are_named(make, right, wrong, vectors):
    found = found_of(make(), vectors)
    assert found.layers == right
    assert set(found.wrong) == wrong
    assert all("weight" in reason for reason in found.wrong.values())


def test_parameters_that_no_output_depends_on_are_not_reached():
    assert found_of(Used()).reached == {"inner.weight", "inner.bias", "last.weight", "last.bias"}


def test_a_layer_of_small_gradients_is_not_taken_for_rounding():
    model = dense(Twice)
    nn.init.normal_(model[4].weight, std=1e-3)  # what lies before has a thousandth of the gradient
    assert set(found_of(model).wrong) == {"2"}


def test_reached_parameters_of_some():
    model = Used()
    outputs = model(torch.rand(3, 4))
    some = {"a": model.last.weight, "b": model.idle.weight}
    assert find_reached(outputs, some) == {"a"}
    assert find_reached(outputs, {}) == frozenset()
