import math

import pytest
import torch
from sklearn.datasets import load_digits

from hybridonn.core.errors import DataError, SpecError
from hybridonn.estimation import (
    Settings,
    estimate_accuracy,
    estimate_from_kernel,
    infinite_random_kernels,
)
from hybridonn.estimation.design_kernel import columns_within
from hybridonn.estimation.ridge import SingularKernelError
from hybridonn.tangent.infinite import (
    AdaptiveAveragePool,
    Convolution,
    Dense,
    Flatten,
    Relu,
    infinite_kernels,
)

LAYERS = (
    Convolution(3, padding=1),
    Relu(),
    AdaptiveAveragePool(4),
    Flatten(),
    Dense(),
    Relu(),
    Dense(),
)
FEW = {"lambdas": (1e-5, 1e-3, 1e-1), "curve_sizes": (60,), "train_resamples": 3}


@pytest.fixture(scope="module")
def digits():
    found = load_digits()
    images = torch.from_numpy(found.images).float()[:, None] / 16
    labels = torch.from_numpy(found.target).long()
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    train, test = order[:150], order[150:300]
    return images[train], labels[train], images[test], labels[test]


def test_estimate_of_real_digits(digits):
    found = estimate_accuracy(LAYERS, *digits, settings=Settings(**FEW))
    assert found.accuracy > 0.9  # 150 images; k nearest neighbours get less
    assert found.accuracy == float(found.scores.mean())
    assert 0 < found.test_uncertainty <= found.uncertainty < 0.05
    assert found.train_uncertainty is not None
    assert [point.images for point in found.learning_curve] == [60, 135, 150]
    assert found.learning_curve[0].accuracy < found.learning_curve[-1].accuracy
    assert found.learning_curve[-1].accuracy == found.accuracy
    assert found.lambda_ in FEW["lambdas"]
    assert found.method == "exact NTK; kernel ridge regression, exact, 150 training images"
    assert found.seconds > 0


def test_same_seed_same_numbers_and_any_order_of_keys(digits):
    settings = Settings(**FEW, method="features", features=800, seed=3)
    one, two = (estimate_accuracy(LAYERS, *digits, settings=settings) for _ in range(2))
    assert (one.accuracy, one.uncertainty) == (two.accuracy, two.uncertainty)
    assert torch.equal(one.scores, two.scores)


def test_features_and_landmarks_leave_the_accuracy_nearly_unchanged(digits):
    exact = estimate_accuracy(LAYERS, *digits, settings=Settings(**FEW))
    sampled = estimate_accuracy(
        LAYERS, *digits, settings=Settings(**FEW, method="features", features=8000)
    )
    assert abs(sampled.accuracy - exact.accuracy) <= 0.02
    assert "8000 random features" in sampled.method
    small = Settings(**FEW, memory_gb=0.00055, landmarks=110)
    landmarks = estimate_accuracy(LAYERS, *digits, settings=small)
    assert "110 landmarks" in landmarks.method
    assert abs(landmarks.accuracy - exact.accuracy) <= 0.05


def test_own_validation_images_are_not_fitted(digits):
    images, labels, *test = digits
    validation = images[120:], labels[120:]
    found = estimate_accuracy(
        LAYERS, images[:120], labels[:120], *test, validation=validation, settings=Settings(**FEW)
    )
    assert found.learning_curve[-1].images == 120
    noise = images[120:], torch.zeros_like(labels[120:])  # can only change lambda
    other = estimate_accuracy(
        LAYERS, images[:120], labels[:120], *test, validation=noise, settings=Settings(**FEW)
    )
    if other.lambda_ == found.lambda_:
        assert torch.equal(other.scores, found.scores)


def test_estimate_from_a_given_kernel_is_the_ridge_formula(digits):
    images, labels = torch.cat([digits[0], digits[2]]), torch.cat([digits[1], digits[3]])
    kernel = infinite_kernels(infinite_random_kernels(3, 4), images, dtype=torch.float64)
    settings = Settings(lambdas=(1e-3,), train_resamples=0, curve_sizes=())
    found = estimate_from_kernel(kernel, labels, 150, settings=settings)
    targets = torch.nn.functional.one_hot(labels[:150], 10).double()
    penalty = 1e-3 * kernel.diagonal()[:150].mean() * torch.eye(150)
    solved = torch.linalg.solve(kernel[:150, :150] + penalty, targets - targets.mean(0))
    predicted = (kernel[150:, :150] @ solved + targets.mean(0)).argmax(1)
    assert torch.equal(found.scores, (predicted == labels[150:]).double())
    assert found.train_uncertainty is None
    assert found.uncertainty == found.test_uncertainty


def test_lambda_is_chosen_on_the_validation_images():
    # Noisy labels and a nearly diagonal kernel: only a large penalty predicts.
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(400, 2, generator=generator, dtype=torch.float64)
    labels = (points[:, 0] > 0).long()
    flipped = torch.rand(400, generator=generator) < 0.25
    labels[:200] = torch.where(flipped[:200], 1 - labels[:200], labels[:200])
    kernel = torch.exp(-2 * torch.cdist(points, points).square()) + 1e-3 * torch.eye(400)
    found = estimate_from_kernel(
        kernel, labels, 200, 100, settings=Settings(lambdas=(1e-5, 0.3), train_resamples=0)
    )
    assert found.lambda_ == 0.3


def test_memory_decides_between_all_images_and_landmarks():
    assert columns_within(20_000, 8.0, 8192, 10_000) == 10_000
    assert columns_within(70_000, 8.0, 8192, 60_000) == 8192
    few = columns_within(70_000, 1.0, 8192, 60_000)
    assert 100 <= few < 8192
    assert 8 * 70_000 * few <= 1e9
    with pytest.raises(SpecError, match="70000 images leave room for"):
        columns_within(70_000, 0.01, 8192, 60_000)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lambdas": ()}, "at least one"),
        ({"lambdas": (-1.0,)}, "0 or above"),
        ({"validation_fraction": 1.0}, "between 0 and 1"),
        ({"features": 0}, "features is 0"),
        ({"method": "guess"}, "allowed are auto, exact and features"),
        ({"train_resamples": -1}, "train_resamples is -1"),
        ({"curve_sizes": (0,)}, "every size must be 1 or more"),
    ],
)
def test_settings_are_checked(digits, change, message):
    with pytest.raises(SpecError, match=message):
        estimate_accuracy(LAYERS, *(one[:30] for one in digits), settings=Settings(**change))


def test_bad_data_is_refused(digits):
    images, labels, test, truth = (one[:20] for one in digits)
    with pytest.raises(DataError, match="20 training images and labels of shape"):
        estimate_accuracy(LAYERS, images, labels[:19], test, truth)
    with pytest.raises(DataError, match="integers from 0 up"):
        estimate_accuracy(LAYERS, images, labels.float(), test, truth)
    with pytest.raises(DataError, match="uint8"):
        estimate_accuracy(LAYERS, images.byte(), labels, test.byte(), truth)
    kernel = torch.eye(10)
    kernel[3, 2] = torch.nan
    with pytest.raises(DataError, match="not finite in row 3"):
        estimate_from_kernel(kernel, labels[:10], 6)
    with pytest.raises(DataError, match="10 rows and there are 9 labels"):
        estimate_from_kernel(torch.eye(10), labels[:9], 6)


def test_singular_kernel_at_lambda_zero(digits):
    images, labels, test, truth = (one[:20] for one in digits)
    images = torch.cat([images, images[:5]])
    with pytest.raises(SingularKernelError, match="singular at lambda 0"):
        estimate_accuracy(
            LAYERS,
            images,
            torch.cat([labels, labels[:5]]),
            test,
            truth,
            settings=Settings(lambdas=(0.0,)),
        )


@pytest.mark.parametrize("train", [2, 3, 4, 5])
def test_a_few_training_images_have_an_estimate(train):
    labels = torch.arange(train + 2) % 2
    images = torch.randn(
        train + 2, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    )
    kernel = images @ images[:train].T
    found = estimate_from_kernel(kernel, labels, train, settings=Settings(curve_sizes=()))
    assert found.train_uncertainty is not None
    assert math.isfinite(found.uncertainty)
