"""Layers that do not fit together are refused by their number."""

import pytest
import torch

from hybridonn.tangent import TangentError
from hybridonn.tangent.infinite import (
    AdaptiveAveragePool,
    AveragePool,
    Convolution,
    Dense,
    Flatten,
    Relu,
    Residual,
    infinite_kernels,
)


def images(count, channels=2, height=7, width=6):
    return torch.rand(count, channels, height, width, dtype=torch.float64)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ((Convolution(3), Relu()), r"5 x 4 positions.*add Flatten"),
        ((Convolution(3), Dense()), r"layer 2, Dense.*put Flatten\(\) before"),
        ((Flatten(), Convolution(3)), "already flattened"),
        ((Convolution(9), Flatten(), Dense()), "layer 1, Convolution.*does not fit on 7"),
        ((AveragePool(8), Flatten(), Dense()), "layer 1, AveragePool.*does not fit"),
        ((AdaptiveAveragePool(7), Flatten(), Dense()), "does not fit on 6"),
        ((Convolution(0), Flatten(), Dense()), "start at 1"),
        ((Flatten(), Dense(weight_variance=0.0)), "weight_variance must be above 0"),
        ((Flatten(), Dense(trained=False)), "no layer is trained"),
        ((Residual((Relu(),)), Flatten(), Dense()), "do not add; end the branch"),
        ((Residual((Convolution(3),)), Flatten(), Dense()), "5 x 4 positions and the shortcut"),
    ],
)
def test_layers_that_do_not_fit_are_refused(layers, message):
    with pytest.raises(TangentError, match=message):
        infinite_kernels(layers, images(2))
