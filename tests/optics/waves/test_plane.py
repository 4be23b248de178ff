"""What no plane can be is refused when the plane is made."""

import pytest
import torch

from hybridonn.core.errors import OpticsError
from hybridonn.optics import Plane

REFUSED = {
    "no samples": (((0, 4), 1e-6), "two whole numbers of at least 1"),
    "a part of a sample": (((4.0, 4), 1e-6), "two whole numbers of at least 1"),
    "one axis": (((4,), 1e-6), "shape of a plane is .* two numbers"),
    "a number": ((4, 1e-6), "shape of a plane is 4; .* two numbers"),
    "no pitch": (((4, 4), 0.0), "pitch_m is 0"),
    "two pitches": (((4, 4), (1e-6, 1e-6)), "must be one number of metres"),
    "one shift": (((4, 4), 1e-6, 2e-6), "shift_m of a plane is 2e-06; .* two numbers"),
    "an endless shift": (((4, 4), 1e-6, (0.0, float("nan"))), "shift_m of a plane holds nan"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_plane_can_be_is_refused(name):
    arguments, words = REFUSED[name]
    with pytest.raises(OpticsError, match=words):
        Plane(*arguments)


def test_lengths_may_be_tensors():
    pitch_m = torch.tensor(2e-6, dtype=torch.float64, requires_grad=True)
    y, x = Plane((2, 3), pitch_m, (torch.tensor(1e-6, dtype=torch.float64), 0.0)).places()
    torch.testing.assert_close(y.detach(), torch.tensor([0.0, 2e-6], dtype=torch.float64))
    assert x.requires_grad
