"""Dark and flat frames go with captures of their own size alone."""

import numpy as np
import pytest

from hybridonn.compensation.acquisition.corrections import Corrections
from hybridonn.core.errors import DataError

RAW = np.full((4, 6), 10, np.uint8)


@pytest.mark.parametrize("size", [(1, 6), (4, 1), (1, 1), (5, 6), (4, 6, 3)])
@pytest.mark.parametrize("kind", ["dark", "flat"])
def test_corrections_of_another_size_are_refused(kind, size):
    picture = np.ones(size)
    darks = {0.01: picture} if kind == "dark" else {}
    corrections = Corrections(darks, picture if kind == "flat" else None, None)
    with pytest.raises(DataError, match=rf"the {kind} captures have the size .*\(4, 6\)"):
        corrections.apply(RAW, 0.01)


def test_light_is_what_is_above_dark_over_flat_and_time():
    dark, flat = np.full((4, 6), 2.0), np.full((4, 6), 0.5)
    light = Corrections({0.01: dark}, flat, None).apply(RAW, 0.01)
    np.testing.assert_allclose(light, (10 - 2) / 0.5 / 0.01)
