"""Models whose samples interact or that draw random numbers are refused; others pass unseen."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from hybridonn.tangent import TangentError, ntk, sketch, tangent_features
from hybridonn.tangent.empirical.repeatability import run_repeatably


class Hidden(nn.Module):
    """A small network that does something between its two layers."""

    def __init__(self, between):
        super().__init__()
        self.first, self.last, self.between = nn.Linear(7, 64), nn.Linear(64, 3), between

    def forward(self, x):
        return self.last(self.between(torch.relu(self.first(x))))


own_generator = torch.Generator().manual_seed(0)
RANDOM = {
    "functional dropout": lambda h: F.dropout(h, 0.5),
    "random leaky ReLU": lambda h: F.rrelu(h - 0.5, training=True),
    "noise": lambda h: h + 1e-6 * torch.randn_like(h),
    "noise of a generator of its own": lambda h: h + torch.randn(h.shape, generator=own_generator),
    "stochastic depth": lambda h: h * (torch.rand(len(h), 1) > 0.5),
}
INTERACTING = {
    "batch statistics": lambda h: F.batch_norm(h, None, None, training=True),
    "sums over samples": lambda h: h.cumsum(0),
    "attention over samples": lambda h: torch.softmax(h @ h.T, -1) @ h,
    "a switch for all samples": lambda h: h if len(h) > 5 else 2 * h,
}
X = torch.randn(9, 7, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("make", [ntk, lambda m, x: sketch(m, x, 1), tangent_features])
@pytest.mark.parametrize("name", [*RANDOM, *INTERACTING])
def test_what_is_no_function_of_a_sample_is_refused(name, make):
    model = Hidden((RANDOM | INTERACTING)[name]).eval()
    with pytest.raises(TangentError, match=r"Hidden.*random numbers or its samples interact"):
        make(model, X)


def test_random_numbers_that_change_nothing_are_allowed():
    model = Hidden(lambda h: h + 0 * torch.randn_like(h))
    assert run_repeatably(model, X).shape == (9, 3)


def test_nothing_is_drawn_from_the_users_generator():
    model = Hidden(torch.tanh)
    before = torch.get_rng_state()
    ntk(model, X)
    assert torch.equal(before, torch.get_rng_state())


def test_an_interaction_of_samples_that_are_not_run_once_more_is_not_caught():
    """What the promise of `ntk` leaves out: four samples of a block stand for all of it."""

    def disturb(h):
        return torch.cat([h[:1], h[1:2] + h[:1], h[2:]]) if len(h) == 9 else h

    ntk(Hidden(disturb), X)
