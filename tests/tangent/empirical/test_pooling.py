"""Poolings read from autograd's graph are what torch computed, forth and back."""

import pytest
import torch
import torch.nn.functional as F

from hybridonn.tangent.empirical.pooling import (
    CACHE_NUMBERS,
    AveragePooling,
    MaximumPooling,
    read_pooling,
)

AVERAGES = {
    "tiles": lambda z: F.avg_pool2d(z, 2),
    "overlapping": lambda z: F.avg_pool2d(z, (3, 2), (2, 1)),
    "padded": lambda z: F.avg_pool2d(z, 4, 2, 2),
    "padded, of what is there": lambda z: F.avg_pool2d(z, 3, 2, 1, count_include_pad=False),
    "a part of a window": lambda z: F.avg_pool2d(z, 4, 3, ceil_mode=True),
    "padded, a part of a window": lambda z: F.avg_pool2d(z, 4, 3, 1, ceil_mode=True),
    "adaptive": lambda z: F.adaptive_avg_pool2d(z, (4, 3)),
    "adaptive, more than there are": lambda z: F.adaptive_avg_pool2d(z, (11, 9)),
    "to one": lambda z: F.avg_pool2d(z, (9, 8)),
}
MAXIMA = {
    "tiles": (lambda z: F.max_pool2d(z, 2), [2, 2]),
    "tiles with a rest": (lambda z: F.max_pool2d(z, (4, 3)), [4, 3]),
    "overlapping": (lambda z: F.max_pool2d(z, 3, 2), None),
    "padded": (lambda z: F.max_pool2d(z, 2, 2, 1), None),
    "dilated": (lambda z: F.max_pool2d(z, 2, 2, dilation=2), None),
    "adaptive": (lambda z: F.adaptive_max_pool2d(z, 3), None),
}


def images(n=3, channels=6):
    torch.manual_seed(0)
    return torch.randn(n, channels, 9, 8, dtype=torch.float64, requires_grad=True)


def read(pool):
    z = images()
    pooled = pool(z)
    return z, pooled, read_pooling(pooled.grad_fn)


@pytest.mark.parametrize("name", AVERAGES)
def test_an_average_is_a_matrix_along_each_axis(name):
    z, pooled, found = read(AVERAGES[name])
    assert isinstance(found, AveragePooling)
    torch.testing.assert_close(found.height @ z @ found.width.T, pooled)
    torch.testing.assert_close(found.pool(z), pooled)
    g = torch.randn_like(pooled)
    (expected,) = torch.autograd.grad(pooled, z, g)
    torch.testing.assert_close(found.transposed(g), expected)


@pytest.mark.parametrize("name", MAXIMA)
def test_a_maximum_takes_a_position(name):
    pool, tile = MAXIMA[name]
    z, pooled, found = read(pool)
    assert isinstance(found, MaximumPooling)
    assert (found.shape, found.tile) == (z.shape[2:], tile)
    torch.testing.assert_close(z.flatten(2).gather(2, found.index), pooled.flatten(2))


@pytest.mark.parametrize(
    "pool",
    [
        lambda z: F.avg_pool2d(z, 2, divisor_override=3),
        lambda z: F.avg_pool2d(z[0], 2),
        lambda z: F.max_pool2d(z[0], 2),
        lambda z: F.adaptive_avg_pool2d(z[0], 2),
        torch.relu,
    ],
)
def test_what_is_no_pooling_of_images_is_not_read(pool):
    assert read(pool)[2] is None


POOLINGS = AVERAGES | {f"maximum, {name}": pool for name, (pool, _) in MAXIMA.items()}


@pytest.mark.parametrize("blocks", [1, 2, 6])
@pytest.mark.parametrize("name", POOLINGS)
def test_factors_are_pooled_channel_by_channel(name, blocks):
    z, pooled, found = read(POOLINGS[name])
    relu = torch.relu(z).flatten(2)
    factors = torch.randn(3, blocks, 72, 4, dtype=torch.float64)
    result = found.pool_factors(lambda part: factors[part], relu.detach())
    # Each channel's factors, multiplied with d pooled / d z, by autograd one pooled number a time.
    whole = factors.repeat_interleave(6 // blocks, 1)
    for i in range(3):
        for place in range(pooled[0, 0].numel()):
            (weights,) = torch.autograd.grad(
                pooled[i].flatten(1)[:, place].sum(), z, retain_graph=True
            )
            weights = weights[i].flatten(1) * (relu[i] > 0)
            expected = torch.einsum("ot,otk->ok", weights, whole[i])
            torch.testing.assert_close(result[i, :, place], expected)


@pytest.mark.parametrize("name", ["tiles", "adaptive", "maximum, tiles"])
def test_factors_can_be_differentiated(name):
    z, _, found = read(POOLINGS[name])
    relu = torch.relu(z).detach().flatten(2)
    factors = torch.randn(3, 1, 72, 2, dtype=torch.float64, requires_grad=True)
    plain = found.pool_factors(lambda part: factors.detach()[part], relu)
    kept = found.pool_factors(lambda part: factors[part], relu)
    torch.testing.assert_close(kept.detach(), plain)
    weight = torch.randn_like(plain)
    (gradient,) = torch.autograd.grad((kept * weight).sum(), factors)
    # The pooling of factors is linear, so that its derivative reproduces it.
    torch.testing.assert_close((gradient * factors).sum(), (plain * weight).sum())


@pytest.mark.parametrize("name", ["tiles", "adaptive", "maximum, tiles"])
def test_many_samples_are_pooled_some_at_a_time(name):
    z = images(5, 4)
    found = read_pooling(POOLINGS[name](z).grad_fn)
    relu = torch.relu(z).detach().flatten(2)
    k = int(CACHE_NUMBERS / 2 / 72)  # two samples fill what is held at a time
    factors, asked = torch.randn(5, 1, 72, k, dtype=torch.float64), []

    def of_some(part):
        asked.append(part)
        return factors[part]

    result = found.pool_factors(of_some, relu)
    assert len(asked) > 2  # one sample to see the sizes, then more than one portion
    first = type(found) is MaximumPooling and MaximumPooling(found.index[:1], found.shape)
    one = (first or found).pool_factors(lambda part: factors[:1][part], relu[:1])
    torch.testing.assert_close(result[:1], one)
    assert result.isfinite().all()
