import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from infinite_reference import finite_kernels, naive_kernels

from hybridonn.tangent.infinite import (
    AdaptiveAveragePool,
    AveragePool,
    Convolution,
    Dense,
    Flatten,
    Relu,
    Residual,
    count_rectified,
    infinite_kernels,
)
from hybridonn.tangent.infinite.tiles import TILE

STUDENT = (
    Convolution(3, padding=1),
    Relu(),
    AdaptiveAveragePool(3),
    Flatten(),
    Dense(),
    Relu(),
    Dense(),
)
RESIDUAL = (
    Convolution(3, padding=1),
    Residual((Relu(), Convolution(3, stride=2, padding=1)), (Convolution(1, stride=2),)),
    Residual(
        (Relu(), Convolution(3, padding=1, trained=False)),
    ),
    Relu(),
    AveragePool(2),
    Flatten(),
    Dense(),
)
NETWORKS = {
    "student": STUDENT,
    "no pooling": (Convolution(3), Relu(), Flatten(), Dense()),
    "linear": (Flatten(), Dense()),
    "dense": (Flatten(), Dense(bias_variance=0.1), Relu(), Dense(weight_variance=1.0)),
    "random kernels": (
        Convolution(3, padding=1, trained=False),
        Relu(),
        AveragePool(2),
        Flatten(),
        Dense(),
    ),
    "fixed head": (Convolution(3, padding=2), Relu(), Flatten(), Dense(trained=False)),
    "strides and biases": (
        Convolution(3, stride=2, padding=1, bias_variance=0.2),
        Relu(),
        AveragePool(2, stride=1),
        Convolution(2, bias_variance=0.1),
        Relu(),
        Flatten(),
        Dense(bias_variance=0.3),
    ),
    "two pooled blocks": (
        Convolution(3, padding=1),
        Relu(),
        AveragePool(2),
        Convolution(2),
        Relu(),
        AdaptiveAveragePool(1),
        Flatten(),
        Dense(),
    ),
    "residual": RESIDUAL,
}


def images(count, channels=2, height=7, width=6, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, channels, height, width, generator=generator, dtype=dtype)


@pytest.mark.parametrize("name", NETWORKS)
def test_needed_pairs_give_the_kernels_of_the_whole_covariance(name):
    layers, x1, x2 = NETWORKS[name], images(3), images(2, seed=1) - 0.4
    nngp, ntk = naive_kernels(layers, x1, x2)
    for kernel, expected in (("nngp", nngp), ("ntk", ntk)):
        found = infinite_kernels(layers, x1, x2, kernel=kernel, dtype=torch.float64)
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_needed_pairs_of_random_shapes(data):
    height, width = data.draw(st.integers(4, 7)), data.draw(st.integers(4, 7))
    convolution = Convolution(
        data.draw(st.integers(1, 4)), data.draw(st.integers(1, 3)), data.draw(st.integers(0, 2))
    )
    smaller = (min(height, width) + 2 * convolution.padding - convolution.kernel_size) // (
        convolution.stride
    ) + 1
    pool = data.draw(
        st.one_of(
            st.builds(AdaptiveAveragePool, st.integers(1, smaller)),
            st.builds(AveragePool, st.integers(1, smaller), st.integers(1, 3)),
        )
    )
    layers = (convolution, Relu(), pool, Flatten(), Dense())
    x1, x2 = images(1, 1, height, width), images(1, 1, height, width, seed=1)
    _, ntk = naive_kernels(layers, x1, x2)
    found = infinite_kernels(layers, x1, x2, dtype=torch.float64)
    # 1 x 1 patches correlate perfectly, where arccos keeps half of the digits
    torch.testing.assert_close(found, ntk, rtol=1e-8, atol=1e-12)


def test_two_layer_network_has_the_closed_form():
    # Jacot et al. 2018; Bietti & Mairal 2019, eq. 4: with t the cosine of two inputs,
    # NTK = |x| |x'| (t k0(t) + k1(t)) with k0 = (pi - acos t) / pi,
    # k1 = (t (pi - acos t) + sqrt(1 - t^2)) / pi, for 2 / width scaling before the head.
    x = images(6, 1, 2, 2) - 0.3
    flat = x.flatten(1)
    norm = flat.norm(dim=1)
    t = (flat @ flat.T / (norm[:, None] * norm)).clamp(-1, 1)
    k0 = (math.pi - t.acos()) / math.pi
    k1 = (t * (math.pi - t.acos()) + (1 - t * t).clamp_min(0).sqrt()) / math.pi
    expected = norm[:, None] * norm * (t * k0 + k1)
    layers = (Flatten(), Dense(weight_variance=4.0), Relu(), Dense(weight_variance=2.0))
    found = infinite_kernels(layers, x, dtype=torch.float64)
    torch.testing.assert_close(found, expected, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("name", ["student", "random kernels", "residual", "strides and biases"])
def test_wide_networks_approach_it_as_one_over_the_root_of_the_width(name):
    layers, x = NETWORKS[name], images(4, 1, 7, 7) - 0.3
    nngp = infinite_kernels(layers, x, kernel="nngp", dtype=torch.float64)
    ntk = infinite_kernels(layers, x, dtype=torch.float64)
    widths = (16, 32, 64, 128)
    errors = torch.zeros(2, len(widths), dtype=torch.float64)
    for number, width in enumerate(widths):
        for seed in range(16):
            found = finite_kernels(layers, x, width, torch.Generator().manual_seed(seed))
            for kind, expected in enumerate((nngp, ntk)):
                errors[kind, number] += (found[kind] - expected).square().sum()
    slope = np.polyfit(np.log(widths), np.log(errors.sqrt().T.numpy()), 1)[0]
    assert np.all(np.abs(slope + 0.5) < 0.2), slope
    relative = (errors[:, -1] / 16).sqrt() / torch.stack([nngp.norm(), ntk.norm()])
    assert relative.max() < 0.25


@pytest.mark.parametrize("name", NETWORKS)
def test_symmetric_and_positive_semidefinite(name):
    x = images(40, 1, 7, 7)
    x[3] = x[2]  # correlation 1 exactly
    x[5] = 0  # no variance at all
    for dtype, slack in ((torch.float64, 1e-12), (torch.float32, 2e-4)):
        kernel = infinite_kernels(NETWORKS[name], x.to(dtype), dtype=dtype)
        assert kernel.isfinite().all()
        assert torch.equal(kernel, kernel.T)
        values = torch.linalg.eigvalsh(kernel.double())
        assert values.min() > -slack * values.max()


def test_float32_is_close_to_float64():
    x = images(12, 1, 9, 9)
    single = infinite_kernels(STUDENT, x.float())
    double = infinite_kernels(STUDENT, x, dtype=torch.float64)
    assert single.dtype == torch.float32
    assert ((single - double).abs() / double).max() < 3e-4


@pytest.mark.parametrize("kernel", ["ntk", "nngp"])
def test_memory_does_not_change_the_numbers(kernel):
    x1, x2 = images(11), images(7, seed=1)
    whole = infinite_kernels(STUDENT, x1, x2, kernel=kernel, dtype=torch.float64)
    small = 20e-6
    split = infinite_kernels(STUDENT, x1, x2, kernel=kernel, memory_gb=small, dtype=torch.float64)
    torch.testing.assert_close(split, whole, rtol=1e-12, atol=0)


@pytest.mark.parametrize("kernel", ["ntk", "nngp"])
def test_kernels_of_several_tiles_are_those_of_their_parts(kernel):
    layers = (Flatten(), Dense(), Relu(), Dense())
    x1, x2 = images(TILE + 5, 1, 2, 2), images(TILE + 3, 1, 2, 2, seed=1)
    options = {"kernel": kernel, "dtype": torch.float64}
    whole = infinite_kernels(layers, x1, x2, **options)
    rows = [[infinite_kernels(layers, a, b, **options) for b in x2.split(97)] for a in x1.split(97)]
    parts = torch.cat([torch.cat(row, 1) for row in rows])
    torch.testing.assert_close(whole, parts, rtol=1e-12, atol=0)
    square = infinite_kernels(layers, x1, **options)
    both = infinite_kernels(layers, x1, x1, **options)
    torch.testing.assert_close(square, both, rtol=1e-7, atol=0)
    assert torch.equal(square, square.T)


def test_pooling_needs_the_pairs_of_its_windows_only():
    no_pool = (Convolution(7, padding=3), Relu(), Flatten(), Dense())
    pooled = (Convolution(7, padding=3), Relu(), AveragePool(4), Flatten(), Dense())
    assert count_rectified(no_pool, 28, 28) == 28**2
    assert count_rectified(pooled, 28, 28) == 49 * 16**2  # of 784^2 pairs
    x = images(64, 1, 28, 28, dtype=torch.float32)
    kernel = infinite_kernels(pooled, x[:8], memory_gb=0.01)
    torch.testing.assert_close(kernel, infinite_kernels(pooled, x[:8]), rtol=1e-5, atol=0)


def test_identity_shortcut_adds_the_covariances():
    x = images(4)
    plain = (Convolution(3, padding=1), Relu(), Convolution(3, padding=1), Flatten(), Dense())
    shortcut = (Convolution(3, padding=1), Flatten(), Dense())
    summed = (
        Convolution(3, padding=1),
        Residual((Relu(), Convolution(3, padding=1))),
        Flatten(),
        Dense(),
    )
    parts = [
        infinite_kernels(one, x, kernel="nngp", dtype=torch.float64) for one in (plain, shortcut)
    ]
    found = infinite_kernels(summed, x, kernel="nngp", dtype=torch.float64)
    torch.testing.assert_close(found, parts[0] + parts[1], rtol=1e-12, atol=0)


def test_fixed_convolution_with_trained_head_has_the_nngp_as_ntk():
    x, layers = images(5), NETWORKS["random kernels"]
    nngp = infinite_kernels(layers, x, kernel="nngp", dtype=torch.float64)
    assert torch.equal(infinite_kernels(layers, x, dtype=torch.float64), nngp)
