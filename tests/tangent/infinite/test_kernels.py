import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from infinite_reference import finite_kernels, naive_kernels

from hybridonn.errors import ArtefactError, DataError, SpecError
from hybridonn.tangent.infinite import (
    AdaptiveAveragePool,
    AveragePool,
    Convolution,
    Dense,
    Flatten,
    Relu,
    Residual,
    infinite_kernels,
    kernels,
)
from hybridonn.tangent.infinite.kernels import count_rectified

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
def test_memory_and_tiles_do_not_change_the_numbers(monkeypatch, kernel):
    x1, x2 = images(11), images(7, seed=1)
    whole = infinite_kernels(STUDENT, x1, x2, kernel=kernel, dtype=torch.float64)
    square = infinite_kernels(STUDENT, x1, kernel=kernel, dtype=torch.float64)
    small = 20e-6
    split = infinite_kernels(STUDENT, x1, x2, kernel=kernel, memory_gb=small, dtype=torch.float64)
    torch.testing.assert_close(split, whole, rtol=1e-12, atol=0)
    monkeypatch.setattr(kernels, "TILE", 4)
    tiled = infinite_kernels(STUDENT, x1, x2, kernel=kernel, dtype=torch.float64)
    torch.testing.assert_close(tiled, whole, rtol=1e-12, atol=0)
    mirrored = infinite_kernels(STUDENT, x1, kernel=kernel, dtype=torch.float64)
    torch.testing.assert_close(mirrored, square, rtol=1e-9, atol=0)


def test_pooling_needs_the_pairs_of_its_windows_only():
    no_pool = (Convolution(7, padding=3), Relu(), Flatten(), Dense())
    pooled = (Convolution(7, padding=3), Relu(), AveragePool(4), Flatten(), Dense())
    assert count_rectified(no_pool, 28, 28) == 28**2
    assert count_rectified(pooled, 28, 28) == 49 * 16**2  # of 784^2 pairs
    x = images(64, 1, 28, 28, dtype=torch.float32)
    kernel = infinite_kernels(pooled, x[:8], memory_gb=0.01)
    torch.testing.assert_close(kernel, infinite_kernels(pooled, x[:8]), rtol=1e-5, atol=0)


class Counting:
    """A progress that counts, and can stop the work after some steps."""

    def __init__(self, stop_at=math.inf):
        self.done, self.total, self.stop_at = 0, None, stop_at

    def bar(self, label, total, done=0):
        self.total = total
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def __call__(self, steps=1, note=""):
        self.done += steps
        if self.done >= self.stop_at:
            raise KeyboardInterrupt

    def say(self, line):
        pass


def test_interrupted_kernel_goes_on_where_it_was(tmp_path, monkeypatch):
    monkeypatch.setattr(kernels, "TILE", 4)
    x = images(10)
    options = {"dtype": torch.float64, "folder": tmp_path}
    with pytest.raises(KeyboardInterrupt):
        infinite_kernels(STUDENT, x, progress=Counting(stop_at=50), **options)
    kept = list(tmp_path.rglob("*.npz"))
    assert 0 < len(kept) < 6
    calls = []
    tile = kernels._tile
    monkeypatch.setattr(kernels, "_tile", lambda *a: calls.append(1) or tile(*a))
    counting = Counting()
    resumed = infinite_kernels(STUDENT, x, progress=counting, **options)
    assert len(calls) == 6 - len(kept)
    assert counting.done == counting.total
    assert torch.equal(resumed, infinite_kernels(STUDENT, x, dtype=torch.float64))
    other = infinite_kernels(STUDENT, x + 0.1, **options)  # other content: another folder
    assert not torch.allclose(other, resumed)
    assert not list(tmp_path.rglob("*.part"))


def test_damaged_tile_is_named(tmp_path):
    x = images(3)
    infinite_kernels(STUDENT, x, folder=tmp_path)
    (path,) = tmp_path.rglob("*.npz")
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(ArtefactError, match=r"tile-0-0\.npz"):
        infinite_kernels(STUDENT, x, folder=tmp_path)


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


@pytest.mark.parametrize(
    ("x1", "x2", "message"),
    [
        (torch.zeros(2, 1, 5, 5, dtype=torch.uint8), None, r"uint8.*\.float\(\) / 255"),
        (torch.zeros(2, 5, 5), None, r"\(2, 5, 5\)"),
        (torch.zeros(0, 1, 5, 5), None, "none of them 0"),
        (torch.full((2, 1, 5, 5), math.nan), None, "image 0 holds NaN"),
        (torch.zeros(2, 1, 5, 5), torch.zeros(2, 3, 5, 5), r"shape \(1, 5, 5\) and x2"),
        (torch.zeros(2, 1, 5, 5), torch.zeros(2, 1, 5, 5).double(), "dtype"),
    ],
)
def test_bad_images_are_refused(x1, x2, message):
    with pytest.raises(DataError, match=message):
        infinite_kernels(STUDENT, x1, x2)


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
    with pytest.raises(SpecError, match=message):
        infinite_kernels(layers, images(2))


def test_budget_below_one_image_pair_is_refused():
    with pytest.raises(SpecError, match="memory_gb is 1e-09, but one pair of images needs"):
        infinite_kernels(STUDENT, images(2), memory_gb=1e-9)


def test_unknown_kernel_is_refused():
    with pytest.raises(SpecError, match='allowed are "ntk" and "nngp"'):
        infinite_kernels(STUDENT, images(2), kernel="laplace")
