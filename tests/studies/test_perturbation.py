"""The tangent kernel under errors of kernels."""

import pytest

from hybridonn.errors import SpecError
from hybridonn.progress import Silent
from hybridonn.spec import read_spec
from hybridonn.studies.perturbation import fit_slopes, parse_numbers, perturb


def test_more_kernels_move_less_and_larger_errors_more(tmp_path):
    found = perturb(read_spec(None), [4, 64], [0.05, 0.2], 3, tmp_path / "p", None, Silent())
    change = {(row["kernels"], row["error"]): row["change"] for row in found["rows"]}
    assert change[64, 0.05] < change[4, 0.05] < change[4, 0.2]
    assert change[64, 0.2] > change[64, 0.05]
    assert len(found["sentences"]) == 2
    assert (tmp_path / "p" / "perturbation.png").exists()


def test_slopes_of_a_power_law():
    rows = [{"kernels": m, "error": 0.1, "change": 3 * m**-0.5} for m in (2, 8, 64)]
    assert fit_slopes(rows)["0.1"] == pytest.approx(-0.5, abs=1e-5)


@pytest.mark.parametrize("text", ["a", "1,,2", "0", "-1,2"])
def test_numbers_that_are_none(text):
    with pytest.raises(SpecError, match="positive numbers"):
        parse_numbers(text)
