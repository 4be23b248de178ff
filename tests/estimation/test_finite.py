"""The kernel with the design's own number of kernels: against autograd and infinite width."""

from dataclasses import replace

import pytest
import torch
from sklearn.datasets import load_digits
from torch.nn import functional as F

from hybridonn.core.errors import SpecError
from hybridonn.estimation import Settings, architecture_of, finite
from hybridonn.estimation.finite import (
    count_derivatives,
    draw_optical,
    estimate_design,
    finite_kernel,
    optical_features,
)
from hybridonn.spec import Student
from hybridonn.tangent.infinite import infinite_kernels


def along_all(optical):
    """The same layer with every (cell, kernel, side, tap) as a direction of its own: exact."""
    count = optical.kernels.numel() * (1 + optical.two_sided)

    def directions(cell):
        eye = torch.zeros(count, optical.block.cells, count)
        eye[:, cell] = torch.eye(count)
        return eye.flatten(1)

    return replace(optical, directions=directions)


def make_images(count=6, channels=1, side=9, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, channels, side, side, generator=generator, dtype=torch.float64)


@pytest.fixture(scope="module")
def digits():
    found = load_digits()
    images = torch.from_numpy(found.images).float()[:, None] / 16
    labels = torch.from_numpy(found.target).long()
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    train, test = order[:200], order[200:500]
    return images[train], labels[train], images[test], labels[test]


@pytest.mark.parametrize("rectification", ["one_sided", "two_sided"])
@pytest.mark.parametrize("pooling", ["average", "max"])
@pytest.mark.parametrize(("stride", "size", "channels"), [(1, 3, 1), (2, 5, 2), (3, 3, 1)])
def test_values_and_derivatives_are_those_of_autograd(
    rectification, pooling, stride, size, channels
):
    student = Student(
        kernels=3,
        kernel_size=size,
        stride=stride,
        rectification=rectification,
        pooling=pooling,
        pooled_size=2,
        hidden=(),
    )
    sides = 2 if rectification == "two_sided" else 1
    images = make_images(channels=channels)
    optical = along_all(draw_optical(student, (channels, 9, 9), 5))
    pool = F.adaptive_max_pool2d if pooling == "max" else F.adaptive_avg_pool2d

    def layer(weights):
        shaped = torch.cat([weights, -weights][:sides]).view(-1, channels, size, size)
        return pool(F.conv2d(images, shaped, stride=stride, padding=size // 2).relu(), 2)

    weights = optical.kernels.double()
    values, slopes = optical_features(optical, images)
    torch.testing.assert_close(
        values, layer(weights).flatten(2).transpose(1, 2).flatten(1), rtol=1e-9, atol=1e-12
    )
    jacobian = torch.func.jacrev(layer)(weights)  # (N, K, 2, 2, K, d)
    own = torch.stack([jacobian[:, k, :, :, k % 3] for k in range(3 * sides)], 1).flatten(1)
    torch.testing.assert_close(slopes @ slopes.T, own @ own.T, rtol=1e-9, atol=1e-12)


def test_a_linear_head_gives_twice_the_sum_of_both_kernels():
    student = Student(kernels=4, kernel_size=3, pooled_size=3, hidden=())
    images = make_images()
    whole = finite_kernel(student, images, 4, derivatives=7)
    fixed = finite_kernel(student, images, 4, derivatives=0)
    values, slopes = optical_features(draw_optical(student, (1, 9, 9), 0, 0, derivatives=7), images)
    assert whole.shape == (6, 4)
    assert slopes.shape == (6, 7)
    torch.testing.assert_close(fixed, 2 * (values @ values[:4].T) / 36)
    torch.testing.assert_close(whole - fixed, 2 * (slopes @ slopes[:4].T) / (7 * 36))


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("hidden", [(), (10,), (10, 10)])
def test_many_kernels_give_the_infinite_width_kernel(stride, hidden):
    student = Student(kernels=1000, kernel_size=3, stride=stride, pooled_size=2, hidden=hidden)
    images = make_images(4, side=6)
    expected = infinite_kernels(architecture_of(student), images, dtype=torch.float64)
    found = finite_kernel(student, images, 4, derivatives=500, seed=1)
    torch.testing.assert_close(found, expected, rtol=0.15, atol=0)


def test_both_signs_of_many_kernels_give_the_same_kernel():
    student = Student(kernels=1000, kernel_size=3, rectification="two_sided", pooled_size=2)
    images = make_images(4, side=6)
    expected = infinite_kernels(architecture_of(student), images, dtype=torch.float64)
    found = finite_kernel(student, images, 4, derivatives=500, seed=1)
    torch.testing.assert_close(found, expected, rtol=0.15, atol=0)


def test_few_directions_are_unbiased():
    student = Student(kernels=2, kernel_size=3, pooled_size=2, hidden=())
    images = make_images(4)
    optical = draw_optical(student, (1, 9, 9), 2)
    _, slopes = optical_features(along_all(optical), images)
    total = torch.zeros(4, 4, dtype=torch.float64)
    for seed in range(300):
        drawn = draw_optical(student, (1, 9, 9), seed, derivatives=8)
        some = replace(optical, directions=drawn.directions)
        _, along = optical_features(some, images)
        total += along @ along.T / (8 * 300)
    torch.testing.assert_close(total, 2 / 9 * slopes @ slopes.T, rtol=0.15, atol=0)


def test_each_output_gets_its_share_of_the_optical_parameters():
    assert count_derivatives(Student(kernels=8, kernel_size=7), 1, 10) == 39
    assert count_derivatives(Student(kernels=16, kernel_size=7), 3, 10) == 235
    assert count_derivatives(Student(kernels=1, kernel_size=1), 1, 100) == 1


def test_more_kernels_promise_more_and_the_same_seed_the_same(digits):
    settings = Settings(lambdas=(1e-4, 1e-2), curve_sizes=(100,), train_resamples=2)
    found = {
        kernels: estimate_design(
            Student(kernels=kernels, kernel_size=3, pooled_size=2, hidden=()),
            *digits,
            draws=3,
            settings=settings,
        )
        for kernels in (1, 16)
    }
    assert found[16].accuracy > found[1].accuracy + 0.03
    one = found[1]
    assert [point.images for point in one.learning_curve] == [100, 180, 200]
    assert one.learning_curve[-1].accuracy == pytest.approx(one.accuracy)
    assert one.uncertainty > one.test_uncertainty > 0
    assert "1 optical kernel, best of 3 draws" in one.method
    student = Student(kernels=1, kernel_size=3, pooled_size=2, hidden=())
    again = estimate_design(student, *digits, draws=3, settings=settings)
    assert (again.accuracy, again.uncertainty) == (one.accuracy, one.uncertainty)


def test_a_draw_whose_kernel_is_singular_chooses_a_lambda_of_its_own(digits, monkeypatch):
    def shift(*arguments, draw, **others):
        kernel = finite_kernel(*arguments, draw=0, **others)
        kernel.diagonal().sub_(draw * 0.3 * kernel.diagonal().mean())
        return kernel

    monkeypatch.setattr(finite, "finite_kernel", shift)
    student = Student(kernels=1, pooled_size=8, hidden=(64,))
    settings = Settings(lambdas=(1e-6, 1.0), train_resamples=0)
    found = estimate_design(student, *digits, draws=2, settings=settings)
    assert found.accuracy > 0.8
    assert found.uncertainty > found.test_uncertainty  # the draws differ, so both count


def test_no_draw_is_refused(digits):
    with pytest.raises(SpecError, match="draws is 0"):
        estimate_design(Student(kernels=1), *digits, draws=0)
