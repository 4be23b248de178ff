import pytest
import torch
from sklearn.kernel_ridge import KernelRidge

from hybridonn.estimation.ridge import (
    SingularKernelError,
    build_system,
    one_hot,
    predict,
    solve_system,
)


def kernel_and_labels(train=60, test=25, seed=0):
    generator = torch.Generator().manual_seed(seed)
    points = torch.randn(train + test, 4, generator=generator, dtype=torch.float64)
    distance = torch.cdist(points, points)
    labels = (points[:, 0] > 0).long() + (points[:, 1] > 0.5).long()
    return torch.exp(-distance), labels  # Laplace kernel: well conditioned


@pytest.mark.parametrize("lambda_", [0.0, 1e-3, 1.0])
def test_exact_ridge_is_scikit_learns(lambda_):
    kernel, labels = kernel_and_labels()
    targets = one_hot(labels, 3)
    mean = targets[:60].mean(0)
    model = KernelRidge(alpha=lambda_, kernel="precomputed")
    model.fit(kernel[:60, :60].numpy(), (targets[:60] - mean).numpy())
    expected = torch.from_numpy(model.predict(kernel[60:, :60].numpy())) + mean
    # a kernel scaled by 7 needs a penalty scaled by 7: lambda is free of the scale
    for scale in (1.0, 7.0):
        system = build_system(scale * kernel[:60, :60], targets[:60])
        found = predict(solve_system(system, lambda_), scale * kernel[60:, :60])
        torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-10)


def test_landmarks_are_the_subset_of_regressors():
    kernel, labels = kernel_and_labels()
    targets = one_hot(labels, 3)
    mean = targets[:60].mean(0)
    rows, square = kernel[:60, :20], kernel[:20, :20]
    right = rows.T @ (targets[:60] - mean)
    coefficients = torch.linalg.solve(rows.T @ rows + 1e-2 * square, right)
    expected = kernel[60:, :20] @ coefficients + mean
    system = build_system(rows, targets[:60])
    found = predict(solve_system(system, 1e-2), kernel[60:, :20])
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-9)


def test_all_images_as_landmarks_give_the_exact_regression():
    kernel, labels = kernel_and_labels()
    targets = one_hot(labels, 3)[:60]
    exact = predict(solve_system(build_system(kernel[:60, :60], targets), 1e-2), kernel[60:, :60])
    order = torch.arange(60)
    nearly = torch.cat([order, torch.tensor([0])])  # one image twice: 61 rows, 60 landmarks
    system = build_system(kernel[nearly][:, :60], targets[nearly])
    found = predict(solve_system(system, 1e-2), kernel[60:, :60])
    assert (found - exact).abs().max() < 0.02


def test_nested_subsets_share_one_kernel():
    kernel, labels = kernel_and_labels()
    targets = one_hot(labels, 3)
    whole = build_system(kernel[:30, :60], targets[:30])
    part = build_system(kernel[:30, :30], targets[:30])
    assert torch.equal(whole.matrix, part.matrix)
    one, two = (predict(solve_system(s, 1e-2), kernel[60:, :60]) for s in (whole, part))
    assert torch.equal(one, two)


def test_landmarks_need_not_be_among_the_rows():
    kernel, labels = kernel_and_labels()
    targets = one_hot(labels, 3)
    rows = torch.arange(15, 60)

    system = build_system(kernel[rows][:, :20], targets[rows], kernel[:20, :20])
    found = solve_system(system, 1e-2).coefficients
    centred = targets[rows] - targets[rows].mean(0)
    block = kernel[rows][:, :20]
    expected = torch.linalg.solve(block.T @ block + 1e-2 * kernel[:20, :20], block.T @ centred)
    torch.testing.assert_close(found, expected, rtol=1e-7, atol=1e-8)


def test_singular_kernel_names_the_value_and_the_cure():
    kernel, labels = kernel_and_labels()
    twice = torch.tensor([0, 1, 2, 2])
    system = build_system(kernel[twice][:, twice], one_hot(labels, 3)[twice])
    with pytest.raises(SingularKernelError, match=r"4 images is singular at lambda 0 .*1e-06"):
        solve_system(system, 0.0)
    assert solve_system(system, 1e-6).coefficients.isfinite().all()


def test_landmarks_of_low_rank_stay_within_rounding():
    # Fewer features than landmarks, a large mean as bright images have, and the rounding of
    # many additions: CIFAR-10 with 8,192 landmarks and 18,432 features failed here.
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(900, 900, generator=generator).triu()
    kernel = torch.ones(900, 900) + torch.finfo(torch.float32).eps * (noise + noise.triu(1).T)
    system = build_system(torch.cat([kernel, kernel[:5]]), torch.rand(905, 2).double())
    assert system.factor is not None
    assert torch.isfinite(system.matrix).all()


def test_landmarks_that_occur_twice_stay_within_rounding():
    kernel, labels = kernel_and_labels()
    rows = torch.tensor([0, 0, 1, 2, 3, 4])
    system = build_system(kernel[rows][:, rows[:4]], one_hot(labels, 3)[rows])
    assert solve_system(system, 1e-3).coefficients.isfinite().all()
    indefinite = torch.tensor([[1.0, 2.0], [2.0, 1.0], [0.0, 0.0]])
    with pytest.raises(SingularKernelError, match="2 landmarks is singular beyond rounding"):
        build_system(indefinite, one_hot(labels, 3)[:3])
