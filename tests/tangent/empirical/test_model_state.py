"""What is found out about a model is found out once, and again when the model has changed."""

import gc
import warnings
import weakref

import pytest
import torch
from torch import nn

from hybridonn.tangent import TangentWarning, ntk
from hybridonn.tangent.empirical.model_state import remember

# Forward passes of a kernel: of all samples, and of some once more; where the model is new or has
# changed, one to measure the memory.
KNOWN, NEW = 2, 3


class Counted(nn.Sequential):
    """A network that counts its forward passes."""

    passes = 0

    def forward(self, x):
        self.passes += 1
        return super().forward(x)


def network():
    torch.manual_seed(0)
    return Counted(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3)).double()


def count_passes(model, x):
    """The forward passes that a kernel takes."""
    before = model.passes
    ntk(model, x)
    return model.passes - before


def test_memory_is_measured_once_for_a_model_as_it_is(dense_kernel):
    model = network()
    for seed, expected in enumerate((NEW, KNOWN, KNOWN)):
        x = torch.rand(5 + seed, 4, generator=torch.Generator().manual_seed(seed)).double()
        assert count_passes(model, x) == expected
        torch.testing.assert_close(ntk(model, x), dense_kernel(model, x), rtol=1e-9, atol=1e-9)
    with torch.no_grad():
        model[0].weight += 0.1
    assert count_passes(model, x) == NEW
    torch.testing.assert_close(ntk(model, x), dense_kernel(model, x), rtol=1e-9, atol=1e-9)
    assert count_passes(network(), x) == NEW


class Gained(nn.Linear):
    """A layer that does more than its class, by chance nothing more at first."""

    def __init__(self):
        super().__init__(4, 4)
        self.gain, self.factor = nn.Parameter(torch.ones(4, 1)), 1.0
        self.register_buffer("mean", torch.zeros(4))
        self.register_buffer("variance", torch.ones(4))
        self.how = "gain"

    def forward(self, x):
        if self.how == "gain":
            return nn.functional.linear(x, self.weight * self.gain, self.bias)
        h = nn.functional.linear(x, self.weight, self.bias)
        if self.how == "factor":
            return h * self.factor
        if self.how == "alpha":
            return torch.add(x, h, alpha=self.factor)
        return nn.functional.batch_norm(h, self.mean, self.variance, eps=1e-12)


@pytest.mark.parametrize("how", ["gain", "factor", "alpha", "norm"])
def test_a_layer_that_agreed_with_its_rule_by_chance_is_found_out_later(how, dense_kernel):
    torch.manual_seed(0)
    layer = Gained()
    layer.how = how
    model, x = (
        nn.Sequential(layer, nn.ReLU(), nn.Linear(4, 3)).double().eval(),
        torch.rand(6, 4).double(),
    )
    if how != "gain":
        layer.gain.requires_grad_(False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TangentWarning)
        torch.testing.assert_close(ntk(model, x), dense_kernel(model, x), rtol=1e-9, atol=1e-9)
        layer.factor = 2.0
        with torch.no_grad():
            layer.gain.fill_(3.0)
            layer.variance.fill_(0.25)
        torch.testing.assert_close(ntk(model, x), dense_kernel(model, x), rtol=1e-9, atol=1e-9)


def test_a_hook_that_comes_later_is_noticed(dense_kernel):
    model, x = network(), torch.rand(5, 4).double()
    assert count_passes(model, x) == NEW

    def double(module, args, output):
        if output.requires_grad:
            output.register_hook(lambda gradient: 2 * gradient)

    handle = model[0].register_forward_hook(double)
    with pytest.warns(TangentWarning, match=r"0\.weight"):
        hooked = ntk(model, x)
    assert not torch.allclose(hooked, dense_kernel(network(), x))
    handle.remove()
    assert count_passes(model, x) == KNOWN  # as it was at first
    torch.testing.assert_close(ntk(model, x), dense_kernel(model, x), rtol=1e-9, atol=1e-9)


def test_another_graph_of_the_same_modules_is_found_out(dense_kernel):
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer, self.again = nn.Linear(4, 4), False

        def forward(self, x):
            h = torch.tanh(self.layer(x))
            return torch.nn.functional.linear(h, self.layer.weight) if self.again else h

    model, x = Twice().double(), torch.rand(5, 4).double()
    torch.testing.assert_close(ntk(model, x), dense_kernel(model, x), rtol=1e-9, atol=1e-9)
    model.again = True
    found = ntk(model, x)
    torch.testing.assert_close(found, dense_kernel(model, x), rtol=1e-9, atol=1e-9)


def test_freezing_is_a_change(dense_kernel):
    model, x = network(), torch.rand(5, 4).double()
    ntk(model, x)
    model[0].weight.requires_grad_(False)
    torch.testing.assert_close(ntk(model, x), dense_kernel(model, x), rtol=1e-9, atol=1e-9)


def test_a_model_is_not_kept_alive():
    model = network()
    ntk(model, torch.rand(5, 4).double())
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None


def test_what_fails_is_not_remembered_and_there_is_an_end():
    model = network()
    with pytest.raises(ZeroDivisionError):
        remember(model, ("key",), lambda: 1 / 0)
    assert remember(model, ("key",), lambda: 1) == 1
    assert remember(model, ("key",), lambda: 2) == 1
    assert remember(model, ("key", None), lambda: 2) == 2
    for number in range(20):
        assert remember(model, (number,), lambda number=number: number) == number
