"""Alignments: their closed forms, what they do not see, and kernels that vanish."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridonn.tangent import TangentError, centre, centred_alignment, cosine_alignment, mse


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


@settings(max_examples=30, deadline=None)
@given(scale=st.floats(1e-30, 1e30), shift=st.floats(-10, 10), seed=st.integers(0, 99))
def test_cka_does_not_see_scale_rotation_and_shift(scale, shift, seed):
    a, b = features(seed=seed), features(p=5, seed=seed + 1)
    rotation = torch.linalg.qr(features(4, 4, seed))[0]
    plain = centred_alignment(gram(a), gram(b))
    assert torch.allclose(centred_alignment(gram(a @ rotation + shift) * scale, gram(b)), plain)
    assert torch.allclose(centred_alignment(gram(b), gram(a)), plain)
    assert 0 <= float(plain) <= 1


def test_a_kernel_is_aligned_with_itself():
    kernel = gram(features())
    assert torch.allclose(centred_alignment(kernel, 3 * kernel), torch.ones(()).double())
    assert torch.allclose(cosine_alignment(kernel, 3 * kernel), torch.ones(()).double())
    assert mse(kernel, kernel) == 0


def test_cosine_and_mse_closed_forms():
    a, b = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([[2.0, 1.0], [1.0, 2.0]])
    assert torch.allclose(cosine_alignment(a, b), torch.tensor(4 / (2**0.5 * 10**0.5)))
    assert torch.allclose(mse(a, b), torch.tensor(1.0))


def test_single_precision_kernels_of_any_size_do_not_overflow():
    kernel = gram(features()).float()
    assert float(centred_alignment(kernel * 1e30, kernel * 1e-30)) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("kernel", [torch.zeros(5, 5), torch.full((5, 5), 3.3)])
def test_a_kernel_that_vanishes_when_centred_gives_zero_and_no_gradient(kernel):
    kernel = kernel.clone().requires_grad_()
    value = centred_alignment(kernel, gram(features(5)).float())
    value.backward()
    assert value == 0
    assert torch.equal(kernel.grad, torch.zeros(5, 5))


def test_a_zero_kernel_has_cosine_zero():
    kernel = torch.zeros(4, 4, requires_grad=True)
    value = cosine_alignment(kernel, torch.eye(4))
    value.backward()
    assert value == 0
    assert torch.equal(kernel.grad, torch.zeros(4, 4))


@pytest.mark.parametrize("measure", [centred_alignment, cosine_alignment, mse])
def test_derivatives(measure):
    other = gram(features(4, seed=3))
    kernel = gram(features(4)).requires_grad_()
    # the scale by the largest entry is a constant for autograd, and rightly so
    assert torch.autograd.gradcheck(lambda k: measure(k, other), (kernel,))


@pytest.mark.parametrize("measure", [centred_alignment, cosine_alignment, mse])
def test_kernels_of_other_sizes_are_refused(measure):
    with pytest.raises(TangentError, match=r"\(3, 3\) and \(4, 4\)"):
        measure(torch.eye(3), torch.eye(4))
    with pytest.raises(TangentError, match="two"):
        measure(torch.rand(3, 4), torch.rand(3, 4))


@pytest.mark.parametrize("alignment", [centred_alignment, cosine_alignment])
def test_alignment_has_the_derivatives_of_its_formula_and_theirs(alignment):
    torch.manual_seed(0)
    a, b = (torch.rand(4, 4).double().requires_grad_() for _ in range(2))
    assert torch.autograd.gradcheck(alignment, (a, b))
    assert torch.autograd.gradgradcheck(alignment, (a, b))
