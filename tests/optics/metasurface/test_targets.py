"""Signed kernels, their two parts, and the gain that gives them back."""

import pytest
import torch

from hybridonn.core.errors import OpticsError
from hybridonn.optics.metasurface.targets import (
    Targets,
    apply_gains,
    crop_centre,
    kernel_errors,
    restore_gains,
    solve_products,
    split_kernels,
    whole_kernel_errors,
)


def kernels():
    return torch.randn(4, 3, 5, 5, generator=torch.Generator().manual_seed(0)).double()


def test_the_parts_are_the_kernel_turned():
    wanted = kernels()
    targets = split_kernels(wanted)
    assert targets.parts.min() == 0
    assert torch.equal(targets.parts.amax((1, 3, 4)), torch.ones(4, 3).double())
    signed = (targets.parts[:, 0] - targets.parts[:, 1]) * targets.scale[..., None, None]
    torch.testing.assert_close(signed.flip(-1, -2), wanted)


def test_perfect_light_at_any_brightness_has_no_error():
    targets = split_kernels(kernels())
    brightness = torch.rand(4, 2, 3, 1, 1).double() + 0.1
    psfs = targets.parts * brightness
    torch.testing.assert_close(
        restore_gains(psfs, targets), targets.scale[:, None] / brightness[..., 0, 0]
    )
    assert kernel_errors(psfs, targets).max() < 1e-12
    assert whole_kernel_errors(psfs, targets).max() < 1e-12


def test_the_gains_are_those_of_non_negative_least_squares():
    from scipy.optimize import nnls

    targets = split_kernels(kernels())
    psfs = torch.rand(4, 2, 3, 5, 5, generator=torch.Generator().manual_seed(1)).double()
    psfs[0, 0] = psfs[0, 1]  # parts of one form, whatever is wanted
    psfs[1, :, 1] += 3 * targets.parts[1, :, 1].flip(0)  # parts in the wrong order
    found = restore_gains(psfs, targets)
    wanted = targets.kernels()
    for k in range(4):
        for c in range(3):
            rows = torch.stack([psfs[k, 0, c].flatten(), -psfs[k, 1, c].flatten()], 1)
            _, missed = nnls(rows.numpy(), wanted[k, c].flatten().numpy())
            ours = (rows @ found[k, :, c] - wanted[k, c].flatten()).norm()
            torch.testing.assert_close(float(ours), missed, rtol=1e-9, atol=0)
    torch.testing.assert_close(
        kernel_errors(psfs, targets, found)[2],
        (apply_gains(psfs, found) - wanted)[2].flatten(1).norm(dim=1)
        / wanted[2].flatten(1).norm(dim=1),
    )


def test_parts_that_are_nearly_alike_are_told_apart_in_single_precision():
    # Both parts share light 1000 times as bright as what differs: products in single precision
    # would leave one or two digits of the gains.
    targets = split_kernels(kernels())
    shared = torch.rand(4, 1, 3, 5, 5, generator=torch.Generator().manual_seed(2))
    psfs = (1000 * shared + targets.parts).float()
    found = restore_gains(psfs, Targets(targets.parts.float(), targets.scale.float()))
    assert found.dtype == torch.float32
    exact = restore_gains(psfs.double(), targets)
    torch.testing.assert_close(found.double(), exact, rtol=1e-4, atol=0)


def test_a_colour_without_kernel_has_neither_error_nor_gain():
    some = kernels()
    some[1, 2] = 0
    targets = split_kernels(some)
    psfs = torch.rand(4, 2, 3, 5, 5).double()
    assert targets.scale[1, 2] == 0
    assert (restore_gains(psfs, targets)[1, :, 2] == 0).all()
    assert torch.isnan(kernel_errors(psfs, targets)).sum() == 1
    assert torch.isfinite(whole_kernel_errors(psfs, targets)).all()


def test_what_is_no_kernel_is_refused():
    some = kernels()
    some[2] = 0
    with pytest.raises(OpticsError, match=r"1 of 4 kernels are zero everywhere \(kernel 2\)"):
        split_kernels(some)
    some[2, 0, 0, 0] = torch.nan
    with pytest.raises(OpticsError, match="not finite"):
        split_kernels(some)


def test_the_centre_stays_the_centre():
    picture = torch.zeros(9, 9)
    picture[4, 4] = 1
    assert crop_centre(picture, 5)[2, 2] == 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_parts_that_differ_by_rounding_alone_are_not_told_apart(dtype):
    # The determinant of equal parts is rounding: both gains from it would be noise.
    a = torch.tensor(1 / 3, dtype=dtype).view(1, 1)
    rounding = 4 * torch.finfo(dtype).eps
    products = torch.stack([a, -a * (1 - rounding), a, a, -a * (1 - 2 * rounding)])
    gains = solve_products(products)
    assert gains[0, 1, 0] == 0
    assert gains[0, 0, 0] == pytest.approx(1)
