"""The quick table against the library's own cubics."""

import torch

from hybridonn.optics.meta_atoms.pillar_table import tabulate
from hybridonn.optics.meta_atoms.pillars import default_library, transmit

NM = 1e-9


def test_it_is_the_library():
    library = default_library()
    widths = 65 * NM + 172 * NM * torch.rand(2, 40, 50, dtype=torch.float64)
    found = tabulate(library, torch.complex128).transmit(widths)
    assert found.shape == (2, 3, 40, 50)
    expected = transmit(library, widths).movedim(0, -3)
    assert (found - expected).abs().max() < 1e-2
    assert (found - expected).abs().square().mean().sqrt() < 1e-3


def test_widths_that_can_be_made_are_exact():
    library = default_library()
    widths = torch.arange(65, 238).double()[None] * NM
    found = tabulate(library, torch.complex128).transmit(widths)
    torch.testing.assert_close(found, transmit(library, widths).movedim(0, -3), rtol=0, atol=1e-9)


def test_its_gradient_is_its_slope():
    table = tabulate(default_library(), torch.complex128)
    steps = 1300 * torch.rand(2, 3, 4, dtype=torch.float64).floor() + 20.3
    steps = steps + torch.arange(24).view(2, 3, 4) * 7
    assert torch.autograd.gradcheck(table.transmit_steps, (steps.requires_grad_(),), eps=1e-4)


def test_widths_beyond_are_held():
    table = tabulate(default_library())
    widths = torch.tensor([[0.0, 400 * NM]])
    ends = torch.tensor([[65 * NM, 237 * NM]])
    torch.testing.assert_close(table.transmit(widths), table.transmit(ends))
