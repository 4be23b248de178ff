"""Maximum poolings of padding alone."""

import pytest
import torch
from torch import nn

from hybridonn.tangent import TangentError, ntk


def pooled(pool):
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 2, 1), pool, nn.ReLU(), nn.Flatten(), nn.LazyLinear(2))


def test_a_maximum_of_padding_alone_is_refused():
    model, x = pooled(nn.MaxPool2d(2, 2, 1, 4)), torch.rand(3, 1, 3, 3)
    model(x)
    with pytest.raises(TangentError, match=r"dilation=\(4, 4\).*\(3, 3\) has windows wholly"):
        ntk(model, x)


@pytest.mark.parametrize("pool", [nn.MaxPool2d(3, 2, 1), nn.MaxPool2d(2, 2, 1, 4)])
def test_padding_beside_the_image_is_not(pool, dense_kernel):
    model, x = pooled(pool).double(), torch.rand(3, 1, 6, 6, dtype=torch.float64)
    model(x)
    torch.testing.assert_close(ntk(model, x), dense_kernel(model, x))
