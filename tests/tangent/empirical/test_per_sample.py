"""What no rule accounts for is exact all the same, and said."""

import pytest
import torch
from torch import nn

from hybridonn.tangent import TangentError, TangentWarning, explain, ntk


def close(actual, expected):
    return float((actual - expected).norm() / expected.norm()) < 1e-10


class Scale(nn.Module):
    """A layer of nobody's rule: a gain that is not used as it is."""

    def __init__(self):
        super().__init__()
        self.before = nn.Linear(5, 4)
        self.gain = nn.Parameter(torch.randn(4))

    def forward(self, x):
        return torch.tanh(self.before(x)) * self.gain.exp()


class Pair(nn.Module):
    """An operation that has no rule."""

    def __init__(self):
        super().__init__()
        self.pair = nn.Bilinear(5, 5, 3)

    def forward(self, x):
        return self.pair(x, torch.tanh(x))


class Derived(nn.Linear):
    """A dense layer that does more than its class."""

    def forward(self, x):
        return nn.functional.linear(x, self.weight * self.weight.norm(), self.bias)


def reparametrised():
    model = nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 2))
    nn.utils.parametrizations.weight_norm(model[0])
    return model


FALLBACKS = {
    "unknown": (Scale, (5,), "gain"),
    "bilinear": (Pair, (5,), "pair"),
    "derived": (lambda: nn.Sequential(Derived(5, 4), nn.Tanh(), nn.Linear(4, 2)), (5,), "0"),
    "reparametrised": (reparametrised, (5,), "0"),
}


@pytest.mark.parametrize("name", FALLBACKS)
def test_what_no_rule_knows_is_exact_and_said(name):
    make, shape, culprit = FALLBACKS[name]
    torch.manual_seed(0)
    model, x = make().double().eval(), torch.randn(3, *shape, dtype=torch.float64)
    gradients = torch.stack([torch.stack(gradients_of(model, one)) for one in x])
    expected = torch.einsum("icp,jcp->ij", gradients, gradients)
    with pytest.warns(TangentWarning, match=culprit):
        assert close(ntk(model, x), expected)
    assert "vector products" in explain(model, x)
    with pytest.raises(TangentError, match="method='layers'"):
        ntk(model, x, method="layers")
    full = ntk(model, x[:2], x, outputs="full", memory_gb=1e-3)
    assert close(full, torch.einsum("icp,jdp->ijcd", gradients[:2], gradients))


def gradients_of(model, x):
    found = []
    for output in model(x[None])[0]:
        each = torch.autograd.grad(output, list(model.parameters()), retain_graph=True)
        found.append(torch.cat([gradient.flatten() for gradient in each]))
    return found


def test_the_slow_way_keeps_to_the_budget_or_says_what_it_needs():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 300), nn.Tanh(), nn.Linear(300, 6)).double()
    x = torch.randn(4, 5, dtype=torch.float64)
    exact = ntk(model, x)
    for memory_gb in (2e-3, 5e-4, 3e-4):  # all at once, some samples, single outputs
        slow = ntk(model, x, method="vector_products", memory_gb=memory_gb)
        assert close(slow, exact)
    with pytest.raises(TangentError, match="memory_gb by") as caught:
        ntk(model, x, method="vector_products", memory_gb=1e-4)
    factor = float(str(caught.value).split("memory_gb by")[1])
    assert close(ntk(model, x, method="vector_products", memory_gb=1e-4 * factor), exact)


def test_samples_that_interact_at_a_distance_are_noticed():
    class Rolled(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.head = nn.Linear(4, 5), nn.Linear(5, 3)

        def forward(self, x):
            hidden = torch.relu(self.first(x))
            return self.head(hidden + hidden.roll(2, 0))

    torch.manual_seed(0)
    with pytest.raises(TangentError, match=r"Rolled .*\.eval\(\)"):
        ntk(Rolled().double(), torch.rand(6, 4).double())
