"""Dense layers act on kernels entry by entry: their result is that of the exact kernel."""

import pytest
import torch

from hybridonn.tangent import TangentError
from hybridonn.tangent.infinite import (
    Convolution,
    Dense,
    Flatten,
    Relu,
    infinite_kernels,
    through_dense_layers,
)

BLOCK = (Convolution(3, padding=1), Relu(), Flatten())
DENSE = (Dense(bias_variance=0.1), Relu(), Dense())


def images(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, 2, 5, 5, generator=generator, dtype=torch.float64) - 0.3


def kernel(layers, *images, **options):
    return infinite_kernels(layers, *images, dtype=torch.float64, **options)


@pytest.mark.parametrize("nngp", [False, True])
def test_a_kernel_is_carried_to_the_kernel_of_the_whole_network(nngp):
    x1, x2 = images(4), images(3, seed=1)
    covariance, tangent = (kernel(BLOCK, x1, x2, kernel=kind) for kind in ("nngp", "ntk"))
    variances = tuple(kernel(BLOCK, x, kernel="nngp").diagonal() for x in (x1, x2))
    found = through_dense_layers(DENSE, covariance, tangent, variances, nngp=nngp)
    expected = kernel((*BLOCK, *DENSE), x1, x2, kernel="nngp" if nngp else "ntk")
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=0)
    assert found.data_ptr() == covariance.data_ptr()


def test_an_ntk_without_a_trained_layer_is_refused():
    one = torch.ones(2, 2)
    with pytest.raises(TangentError, match="nngp"):
        through_dense_layers((Dense(trained=False),), one, None, (one[0], one[0]))
