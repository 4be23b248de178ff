"""Each layer's way is said, in order of execution."""

import torch
from torch import nn

from hybridonn.tangent import explain


def convnet():
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Conv2d(2, 5, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Conv2d(5, 6, 3),
        nn.GroupNorm(3, 6),
        nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(24, 4),
    ).double()


def images(n=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, 2, 10, 10, dtype=torch.float64, generator=generator)


def test_each_layer_is_named_with_its_rule():
    lines = explain(convnet(), images()).splitlines()
    # The first two may be compiled, too.
    assert [line.split(",")[0] for line in lines] == [
        "0: convolution",
        "3: convolution",
        "4: group norm",
        "8: dense",
    ]


class Scaled(nn.Module):
    """A parameter of the network itself, and a weight that is used twice."""

    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(3))
        self.layer = nn.Linear(4, 4)

    def forward(self, x):
        return (self.layer(x) @ self.layer.weight)[:, :3] * self.scale()

    def scale(self):
        return self.gain


class Exponential(Scaled):
    """A parameter that is not used as it is."""

    def scale(self):
        return self.gain.exp()


def explained(model):
    return dict(line.split(": ", 1) for line in explain(model, torch.rand(3, 4)).splitlines())


def test_parameters_that_no_rule_accounts_for_are_named():
    lines = explained(Exponential())
    assert set(lines) == {"layer", "Exponential"}
    assert lines["Exponential"] == (
        "vector products: no rule for Exponential, and gain is used by Exp"
    )


def test_parameters_that_go_by_the_operations_that_use_them_are_named():
    lines = explained(Scaled())
    assert set(lines) == {"layer", "Scaled"}
    assert lines["layer"].startswith("operations that use its parameters: the gradient of weight")
    assert lines["Scaled"] == "operations that use gain"


def test_a_frozen_layer_is_not_named():
    model = convnet()
    model[3].requires_grad_(False)
    assert "3:" not in explain(model, images())
