"""Images, options and budgets without a kernel are refused, with the cure."""

import math

import pytest
import torch

from hybridonn.tangent import TangentError
from hybridonn.tangent.infinite import (
    AdaptiveAveragePool,
    Convolution,
    Dense,
    Flatten,
    Relu,
    infinite_kernels,
)

LAYERS = (Convolution(3, padding=1), Relu(), AdaptiveAveragePool(3), Flatten(), Dense())


def images(count, channels=2, height=7, width=6):
    return torch.rand(count, channels, height, width, dtype=torch.float64)


@pytest.mark.parametrize(
    ("x1", "x2", "message"),
    [
        (torch.zeros(2, 1, 5, 5, dtype=torch.uint8), None, r"uint8.*\.float\(\) / 255"),
        (torch.zeros(2, 5, 5), None, r"\(2, 5, 5\)"),
        (torch.zeros(0, 1, 5, 5), None, r"\(0, 1, 5, 5\)"),
        (torch.full((2, 1, 5, 5), math.nan), None, "image 0 holds NaN"),
        (torch.zeros(2, 1, 5, 5), torch.zeros(2, 3, 5, 5), r"\(1, 5, 5\).*\(3, 5, 5\)"),
        (torch.zeros(2, 1, 5, 5), torch.zeros(2, 1, 5, 5).double(), r"float32.*float64"),
    ],
)
def test_bad_images_are_refused(x1, x2, message):
    with pytest.raises(TangentError, match=message):
        infinite_kernels(LAYERS, x1, x2)


def test_budget_below_one_image_pair_is_refused():
    with pytest.raises(TangentError, match=r"memory_gb is 1e-09.*GB"):
        infinite_kernels(LAYERS, images(2), memory_gb=1e-9)


def test_unknown_kernel_is_refused():
    with pytest.raises(TangentError, match=r'laplace.*"ntk".*"nngp"'):
        infinite_kernels(LAYERS, images(2), kernel="laplace")
