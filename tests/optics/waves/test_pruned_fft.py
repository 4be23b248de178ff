import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridonn.optics.waves import pruned_fft

SIDES = st.integers(1, 12)


def draw(*shape, dtype=torch.complex128, seed=0):
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def convolve_padded(field, transfer, side, adjoint):
    """Whole transforms of the padded planes: the textbook's way."""
    factor = transfer.conj() if adjoint else transfer
    spectrum = torch.fft.fft2(field, s=transfer.shape[-2:]) * factor
    return torch.fft.ifft2(spectrum)[..., :side, :side]


@settings(deadline=None)
@given(SIDES, SIDES, st.integers(0, 9), st.integers(1, 3), st.booleans())
def test_equals_whole_padded_transforms(width, side, rest, channels, adjoint):
    period = max(width, side) + rest
    field, transfer = draw(2, channels, width, width), draw(channels, period, period, seed=1)
    ours = pruned_fft.convolve(field, transfer, side, adjoint)
    expected = convolve_padded(field, transfer, side, adjoint)
    torch.testing.assert_close(ours, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("adjoint", [False, True])
def test_more_columns_than_are_taken_at_a_time(adjoint):
    period = 2 * pruned_fft.COLUMNS + 7
    field, transfer = draw(1, 50, 50), draw(1, period, period, seed=1)
    expected = convolve_padded(field, transfer, 60, adjoint)
    torch.testing.assert_close(pruned_fft.convolve(field, transfer, 60, adjoint), expected)


def test_keeps_single_precision_and_its_input():
    field = draw(3, 1, 8, 8, dtype=torch.complex64)
    transfer = draw(1, 18, 18, dtype=torch.complex64)
    before = field.clone(), transfer.clone()
    for adjoint in (False, True):
        assert pruned_fft.convolve(field, transfer, 10, adjoint).dtype == torch.complex64
    assert torch.equal(field, before[0]) and torch.equal(transfer, before[1])


def test_conjugate_views_are_read_as_what_they_are():
    field, transfer = draw(1, 6, 6), draw(1, 12, 12, seed=1)
    resolved = pruned_fft.convolve(field.conj().resolve_conj(), transfer, 6)
    torch.testing.assert_close(pruned_fft.convolve(field.conj(), transfer, 6), resolved)


@pytest.mark.parametrize("adjoint", [False, True])
def test_the_way_of_a_gpu_gives_the_same(adjoint):
    field, transfer = draw(2, 3, 9, 9), draw(3, 25, 25, seed=1)
    ours = pruned_fft.convolve(field, transfer, 14, adjoint)
    torch.testing.assert_close(pruned_fft._convolve_whole(field, transfer, 14, adjoint), ours)


@settings(deadline=None, max_examples=30)
@given(least=st.integers(1, 20000))
def test_a_fast_length_is_long_enough_and_fast(least):
    length = pruned_fft.fast_length(least)
    assert least <= length <= 1.1 * least + 1
    for factor in (2, 3, 5, 7):
        while length % factor == 0:
            length //= factor
    assert length == 1
