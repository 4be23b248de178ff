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
        return (self.layer(x) @ self.layer.weight)[:, :3] * self.gain


def test_parameters_that_no_rule_accounts_for_are_named():
    lines = dict(line.split(": ", 1) for line in explain(Scaled(), torch.rand(3, 4)).splitlines())
    assert set(lines) == {"layer", "Scaled"}
    assert all(line.startswith("vector products") for line in lines.values())


def test_a_frozen_layer_is_not_named():
    model = convnet()
    model[3].requires_grad_(False)
    assert "3:" not in explain(model, images())
