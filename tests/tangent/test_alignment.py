"""Alignments: their closed forms, what they do not see, and kernels that vanish."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridonn.tangent import (
    TangentError,
    centre,
    centre_without_diagonal,
    centred_alignment,
    cosine_alignment,
    debiased_alignment,
    mse,
    ridge_alignment,
    smoother,
)


def features(n=7, p=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, p, dtype=torch.float64, generator=generator)


def gram(phi):
    return phi @ phi.T


def test_centring_centres_the_features():
    phi = features()
    assert torch.allclose(centre(gram(phi)), gram(phi - phi.mean(0)))


def test_cka_is_linear_cka_of_the_features():  # Kornblith et al., ICML 2019
    a, b = features(seed=1), features(p=3, seed=2)
    a, b = a - a.mean(0), b - b.mean(0)
    expected = (a.T @ b).norm() ** 2 / ((a.T @ a).norm() * (b.T @ b).norm())
    assert torch.allclose(centred_alignment(gram(a), gram(b)), expected)


def test_centring_without_the_diagonal_projects_onto_hollow_matrices_of_sums_zero():
    found = centre_without_diagonal(gram(features()))
    zero = torch.zeros(7, dtype=torch.float64)
    assert torch.equal(found.diagonal(), zero)
    assert torch.allclose(found.sum(0), zero) and torch.allclose(found.sum(1), zero)
    assert torch.allclose(centre_without_diagonal(found), found)
    some = gram(features(seed=5))
    assert torch.allclose((found * some).sum(), (found * centre_without_diagonal(some)).sum())


def test_debiased_alignment_is_that_of_unbiased_hsic():  # Song et al. 2012, equation 5
    def hsic(a, b):
        n = len(a)
        a, b = a - torch.diag(a.diagonal()), b - torch.diag(b.diagonal())
        both = a.sum() * b.sum() / ((n - 1) * (n - 2)) - 2 / (n - 2) * (a @ b).sum()
        return ((a @ b).trace() + both) / (n * (n - 3))

    a, b = gram(features(seed=1)), gram(features(p=3, seed=2))
    expected = hsic(a, b) / (hsic(a, a) * hsic(b, b)).sqrt()
    torch.testing.assert_close(debiased_alignment(a, b), expected)


def test_unrelated_features_are_aligned_by_chance_alone():
    pairs = [(gram(features(20, 30, k)), gram(features(20, 30, k + 500))) for k in range(200)]
    debiased = torch.stack([debiased_alignment(a, b) for a, b in pairs])
    error = debiased.std() / len(pairs) ** 0.5
    assert abs(debiased.mean()) < 4 * error
    assert torch.stack([centred_alignment(a, b) for a, b in pairs]).mean() > 0.4


def test_debiased_alignment_needs_four_samples():
    with pytest.raises(TangentError, match=r"3 samples.*centred_alignment"):
        debiased_alignment(torch.eye(3), torch.eye(3))


def test_the_smoother_makes_the_fit_of_ridge_regression():
    phi, y = features(9, 4), features(9, 1, seed=1)
    centred = phi - phi.mean(0)
    penalty = 0.5 * gram(centred).diagonal().mean()  # the mean of the eigenvalues
    weights = torch.linalg.solve(centred.T @ centred + penalty * torch.eye(4), centred.T @ y)
    torch.testing.assert_close(smoother(gram(phi) * 7, 0.5) @ y, centred @ weights)


def test_ridge_alignment_is_between_canonical_correlation_and_centred_alignment():
    a, b = features(seed=1), features(p=3, seed=2)
    ka, kb = gram(a), gram(b)
    spaces = [torch.linalg.qr(x - x.mean(0))[0] for x in (a, b)]
    correlation = (spaces[0].T @ spaces[1]).norm() ** 2 / (4 * 3) ** 0.5
    torch.testing.assert_close(ridge_alignment(ka, kb, 1e-9), correlation)
    torch.testing.assert_close(ridge_alignment(ka, kb, 1e9), centred_alignment(ka, kb))


def test_directions_that_logits_do_not_tell_count():
    """Two kernels of the same strong class direction whose weak ones have nothing in common."""
    strong = torch.linalg.qr(features(20, 12))[0] * torch.tensor([10.0] + 11 * [1.0]).double()
    a, b = strong[:, [0, 1, 2, 3, 4, 5]], strong[:, [0, 6, 7, 8, 9, 10]]
    assert centred_alignment(gram(a), gram(b)) > 0.95
    assert ridge_alignment(gram(a), gram(b), 0.1) < 0.6


def test_single_precision_is_enough_for_smoothers():
    kernel = gram(features(128, 160))
    kernel += 1e3 * gram(features(128, 1, seed=3))
    torch.testing.assert_close(
        smoother(kernel.float(), 0.1).double(), smoother(kernel, 0.1), atol=1e-4, rtol=0
    )


@pytest.mark.parametrize("ridge", [0.0, -1.0, float("nan"), float("inf")])
def test_a_ridge_that_is_not_positive_is_refused(ridge):
    with pytest.raises(TangentError, match=rf"ridge is {ridge}"):
        ridge_alignment(torch.eye(3), torch.eye(3), ridge)


def test_a_kernel_that_is_not_positive_semidefinite_is_refused_by_its_eigenvalue():
    with pytest.raises(TangentError, match=r"eigenvalue of -\d.* ridge of 0\.3.*float64"):
        smoother(torch.diag(torch.tensor([3.0, 2.0, -3.0, 4.0, 2.0])), 0.3)


def test_a_kernel_that_is_not_finite_gives_a_smoother_that_is_not():
    """The loss of a training that diverges is reported where all losses are."""
    kernel = gram(features())
    kernel[1, 1] = torch.nan
    assert ridge_alignment(kernel, gram(features(seed=1))).isnan()


@pytest.mark.parametrize("alignment", [centred_alignment, ridge_alignment])
@settings(max_examples=30, deadline=None)
@given(scale=st.floats(1e-30, 1e30), shift=st.floats(-10, 10), seed=st.integers(0, 99))
def test_scale_rotation_and_shift_are_not_seen(alignment, scale, shift, seed):
    a, b = features(seed=seed), features(p=5, seed=seed + 1)
    rotation = torch.linalg.qr(features(4, 4, seed))[0]
    plain = alignment(gram(a), gram(b))
    assert torch.allclose(alignment(gram(a @ rotation + shift) * scale, gram(b)), plain)
    assert torch.allclose(alignment(gram(b), gram(a)), plain)
    assert 0 <= float(plain) <= 1


def test_a_kernel_is_aligned_with_itself():
    kernel = gram(features())
    assert torch.allclose(centred_alignment(kernel, 3 * kernel), torch.ones(()).double())
    assert torch.allclose(cosine_alignment(kernel, 3 * kernel), torch.ones(()).double())
    assert torch.allclose(debiased_alignment(kernel, 3 * kernel), torch.ones(()).double())
    assert torch.allclose(ridge_alignment(kernel, 3 * kernel), torch.ones(()).double())
    assert mse(kernel, kernel) == 0


def test_cosine_and_mse_closed_forms():
    a, b = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([[2.0, 1.0], [1.0, 2.0]])
    assert torch.allclose(cosine_alignment(a, b), torch.tensor(4 / (2**0.5 * 10**0.5)))
    assert torch.allclose(mse(a, b), torch.tensor(1.0))


def test_single_precision_kernels_of_any_size_do_not_overflow():
    kernel = gram(features()).float()
    assert float(centred_alignment(kernel * 1e30, kernel * 1e-30)) == pytest.approx(1, abs=1e-5)
    assert float(ridge_alignment(kernel * 1e30, kernel * 1e-30)) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("measure", [centred_alignment, debiased_alignment, ridge_alignment])
@pytest.mark.parametrize("kernel", [torch.zeros(5, 5), torch.full((5, 5), 3.3)])
def test_a_kernel_that_vanishes_when_centred_gives_zero_and_no_gradient(kernel, measure):
    kernel = kernel.clone().requires_grad_()
    value = measure(kernel, gram(features(5)).float())
    value.backward()
    assert value == 0
    assert torch.equal(kernel.grad, torch.zeros(5, 5))


def test_a_zero_kernel_has_cosine_zero():
    kernel = torch.zeros(4, 4, requires_grad=True)
    value = cosine_alignment(kernel, torch.eye(4))
    value.backward()
    assert value == 0
    assert torch.equal(kernel.grad, torch.zeros(4, 4))


MEASURES = [centred_alignment, debiased_alignment, ridge_alignment, cosine_alignment, mse]


@pytest.mark.parametrize("measure", MEASURES)
def test_derivatives(measure):
    other = gram(features(5, seed=3))
    kernel = gram(features(5)).requires_grad_()

    def measured(kernel):  # a smoother is of symmetric kernels alone
        return measure((kernel + kernel.T) / 2 if measure is ridge_alignment else kernel, other)

    # the scale by the largest entry is a constant for autograd, and rightly so
    assert torch.autograd.gradcheck(measured, (kernel,))


@pytest.mark.parametrize("measure", MEASURES)
def test_kernels_of_other_sizes_are_refused(measure):
    with pytest.raises(TangentError, match=r"\(3, 3\) and \(4, 4\)"):
        measure(torch.eye(3), torch.eye(4))
    with pytest.raises(TangentError, match=r"\(3, 4\)"):
        measure(torch.rand(3, 4), torch.rand(3, 4))


@pytest.mark.parametrize("measure", MEASURES)
def test_kernels_of_integers_or_of_nothing_are_refused(measure):
    with pytest.raises(TangentError, match=r"torch\.int64.*\.float\(\)"):
        measure(torch.eye(5), torch.eye(5).long())
    with pytest.raises(TangentError, match=r"\(0, 0\)"):
        measure(torch.zeros(0, 0), torch.zeros(0, 0))


def test_kernels_of_half_precision_are_smoothed_in_single():
    kernel = gram(features()).half()
    found = ridge_alignment(kernel, gram(features(seed=1)).half())
    assert found.dtype == torch.float32
    torch.testing.assert_close(
        found, ridge_alignment(kernel.float(), gram(features(seed=1)).half().float())
    )


@pytest.mark.parametrize("alignment", MEASURES[:4])
def test_alignment_has_the_derivatives_of_its_formula_and_theirs(alignment):
    torch.manual_seed(0)
    a, b = (torch.rand(5, 5).double().requires_grad_() for _ in range(2))

    def aligned(a, b):  # kernels are symmetric, and centring need be a projection of those alone
        if alignment is ridge_alignment:  # and positive semidefinite
            return alignment(a @ a.T, b @ b.T)
        return alignment(a + a.T, b + b.T)

    assert torch.autograd.gradcheck(aligned, (a, b))
    assert torch.autograd.gradgradcheck(aligned, (a, b))
