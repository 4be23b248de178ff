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
        ((Convolution(3), Relu()), r"5 x 4 .*Flatten\(\)"),
        ((Convolution(3), Dense()), r"layer 2, Dense.*Flatten\(\)"),
        ((Flatten(), Convolution(3)), "layer 2, Convolution"),
        ((Convolution(9), Flatten(), Dense()), "layer 1, Convolution.* 7 "),
        ((AveragePool(8), Flatten(), Dense()), "layer 1, AveragePool.* 7 "),
        ((AdaptiveAveragePool(7), Flatten(), Dense()), "layer 1, AdaptiveAveragePool.* 6 "),
        ((Convolution(0), Flatten(), Dense()), "layer 1, Convolution.*kernel_size"),
        ((Flatten(), Dense(weight_variance=0.0)), "layer 2, Dense.*weight_variance"),
        ((Flatten(), Dense(trained=False)), "trained=True.*nngp"),
        ((Residual((Relu(),)), Flatten(), Dense()), "layer 1, Residual.*convolution"),
        ((Residual((Convolution(3),)), Flatten(), Dense()), "layer 1, Residual.*5 x 4 .*7 x 6;"),
    ],
)
def test_layers_that_do_not_fit_are_refused(layers, message):
    with pytest.raises(TangentError, match=message):
        infinite_kernels(layers, images(2))
