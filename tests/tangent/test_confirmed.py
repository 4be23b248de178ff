"""What is found out about a model is found out once, and again when the model has changed."""

import gc
import weakref

import pytest
import torch
from torch import nn

import hybridonn.tangent.kernel as kernel_module
from hybridonn.tangent import TangentWarning, ntk
from hybridonn.tangent.confirmed import once


@pytest.fixture
def checks(monkeypatch):
    """The number of times that rules are compared with autograd."""
    count = []
    failures = kernel_module.failures
    monkeypatch.setattr(
        kernel_module, "failures", lambda *a, **k: (count.append(1), failures(*a, **k))[1]
    )
    return count


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3)).double()


def test_rules_are_compared_once_for_a_model_and_its_graph(checks, dense_kernel):
    model = network()
    for seed in range(3):
        x = torch.rand(5 + seed, 4, generator=torch.Generator().manual_seed(seed)).double()
        with torch.no_grad():
            model[0].weight += 0.1
        torch.testing.assert_close(ntk(model, x), dense_kernel(model, x), rtol=1e-9, atol=1e-9)
    assert len(checks) == 1
    ntk(network(), x)
    assert len(checks) == 2


def test_a_hook_that_comes_later_is_noticed(checks, dense_kernel):
    model, x = network(), torch.rand(5, 4).double()
    ntk(model, x)

    def double(module, args, output):
        if output.requires_grad:
            output.register_hook(lambda gradient: 2 * gradient)

    handle = model[0].register_forward_hook(double)
    with pytest.warns(TangentWarning, match=r"0\.weight"):
        hooked = ntk(model, x)
    assert not torch.allclose(hooked, dense_kernel(network(), x))
    handle.remove()
    torch.testing.assert_close(ntk(model, x), dense_kernel(model, x), rtol=1e-9, atol=1e-9)
    assert len(checks) == 2


def test_another_graph_of_the_same_modules_is_compared_again(checks, dense_kernel):
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
    with pytest.warns(TangentWarning, match="used"):
        found = ntk(model, x)
    torch.testing.assert_close(found, dense_kernel(model, x), rtol=1e-9, atol=1e-9)
    assert len(checks) == 2


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
        once(model, "key", lambda: 1 / 0)
    assert once(model, "key", lambda: 1) == 1
    assert once(model, "key", lambda: 2) == 1
    for number in range(20):
        assert once(model, number, lambda number=number: number) == number
