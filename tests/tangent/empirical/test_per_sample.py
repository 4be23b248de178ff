"""What no rule accounts for is exact all the same, and said."""

import pytest
import torch
from torch import nn

from hybridonn.tangent import TangentError, TangentWarning, explain, ntk


def close(actual, expected):
    return float((actual - expected).norm() / expected.norm()) < 1e-10


class Functional(nn.Module):
    """A dense layer whose weight is also used outside it."""

    def __init__(self):
        super().__init__()
        self.dense = nn.Linear(5, 5)
        self.last = nn.Linear(5, 2)

    def forward(self, x):
        return self.last(torch.tanh(self.dense(x)) + x @ self.dense.weight)


class Tied(nn.Module):
    """Two dense layers with one weight."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.last = nn.Linear(5, 5), nn.Linear(5, 5), nn.Linear(5, 2)
        self.b.weight = self.a.weight

    def forward(self, x):
        return self.last(torch.tanh(self.b(torch.tanh(self.a(x)))))


class Scale(nn.Module):
    """A layer of nobody's rule."""

    def __init__(self):
        super().__init__()
        self.before = nn.Linear(5, 4)
        self.gain = nn.Parameter(torch.randn(4))

    def forward(self, x):
        return torch.tanh(self.before(x)) * self.gain


class Merged(nn.Module):
    """Positions that lead with the samples' axis merged away."""

    def __init__(self):
        super().__init__()
        self.dense, self.last = nn.Linear(5, 4), nn.Linear(12, 2)

    def forward(self, x):
        return self.last(torch.tanh(self.dense(x.reshape(-1, 5))).reshape(len(x), -1))


class TimeFirst(nn.Module):
    """As many positions as samples, positions first: shapes alone do not tell."""

    def __init__(self):
        super().__init__()
        self.dense, self.last = nn.Linear(5, 4), nn.Linear(12, 2)

    def forward(self, x):
        return self.last(torch.tanh(self.dense(x.transpose(0, 1))).transpose(0, 1).flatten(1))


class Derived(nn.Linear):
    """A dense layer that does more than its class."""

    def forward(self, x):
        return nn.functional.linear(x, self.weight * self.weight.norm(), self.bias)


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(6, 2, batch_first=True)

    def forward(self, x):
        return self.attention(x, x, x, need_weights=False)[0].sum(1)


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell, self.last = nn.GRU(5, 4, batch_first=True), nn.Linear(4, 2)

    def forward(self, x):
        return self.last(self.cell(x)[0][:, -1])


def reparametrised():
    model = nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 2))
    nn.utils.parametrizations.weight_norm(model[0])
    return model


FALLBACKS = {
    "functional": (Functional, (5,), "dense"),
    "tied": (Tied, (5,), "a"),
    "unknown": (Scale, (5,), "gain"),
    "merged": (Merged, (3, 5), "dense"),
    "time first": (TimeFirst, (3, 5), "dense"),
    "derived": (lambda: nn.Sequential(Derived(5, 4), nn.Tanh(), nn.Linear(4, 2)), (5,), "0"),
    "attention": (Attention, (4, 6), "attention"),
    "recurrent": (Recurrent, (4, 5), "cell"),
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
