"""The tangent kernel under errors of kernels."""

import csv
import json
import math

import pytest
from scipy.stats import linregress, t

from hybridonn.core.errors import ArtefactError, SpecError
from hybridonn.core.progress import Silent
from hybridonn.reports.statistics import PowerLaw
from hybridonn.spec import read_spec
from hybridonn.studies import perturbation as study
from hybridonn.studies.perturbation import parse_counts, parse_numbers, perturb, say_law


def test_more_kernels_move_less_and_larger_errors_more(tmp_path):
    found = perturb(read_spec(None), [4, 16, 64], [0.05, 0.2], 3, tmp_path / "p", None, Silent())
    change = {(row["kernels"], row["error"]): row["change"] for row in found["rows"]}
    assert change[64, 0.05] < change[4, 0.05] < change[4, 0.2]
    assert change[64, 0.2] > change[64, 0.05]
    assert len(found["sentences"]) == 2
    assert (tmp_path / "p" / "perturbation.png").exists()
    assert json.loads((tmp_path / "p" / "perturbation.json").read_text()) == found
    rows = list(csv.DictReader((tmp_path / "p" / "perturbation.csv").open()))
    for error, slope in found["slopes"].items():
        low, high = found["intervals"][error]
        assert low < slope < high
        some = [row for row in rows if float(row["error"]) == float(error)]
        m, change = ([math.log(float(row[key])) for row in some] for key in ("kernels", "change"))
        line = linregress(m, change)  # through all draws, not through their means
        half = t.ppf(0.975, len(some) - 2) * line.stderr
        assert (slope, high - slope) == pytest.approx((line.slope, half))
    for row in found["rows"]:
        assert row["lowest"] < row["change"] < row["highest"]


def test_the_table_grows_and_another_spec_is_refused(tmp_path, monkeypatch):
    folder, calls, real = tmp_path / "p", [], study._measure

    def measure(*arguments):
        calls.append(len(arguments[-1]))
        return real(*arguments)

    monkeypatch.setattr(study, "_measure", measure)

    def run(counts, errors, draws, *settings):
        return perturb(read_spec(None, settings), counts, errors, draws, folder, None, Silent())

    first = run([2, 3, 4], [0.1], 2)
    run([2, 3, 5], [0.1, 0.2], 1)
    assert sum(calls) == 6 + 4  # one more number of kernels with both errors, 0.2 with two others
    assert len(list(csv.DictReader((folder / "perturbation.csv").open()))) == 10
    assert run([2, 3, 4], [0.1], 2) == first
    assert sum(calls) == 10
    run([2, 3, 4], [0.1], 2, "student.hidden=[9]")  # no such layer here
    with pytest.raises(ArtefactError, match=r"student\.pooled_size is 4 there and 2 here"):
        run([2, 3, 4], [0.1], 2, "student.pooled_size=2")


@pytest.mark.parametrize(
    ("interval", "verdict"),
    [
        ((-0.6, -0.4), "the claimed exponent -1/2 lies in it and -1 does not"),
        ((-1.1, -0.9), "the claimed exponent -1 lies in it and -1/2 does not"),
        ((-1.4, -0.2), "it holds both claimed exponents, -1/2 and -1"),
        ((-0.6, 0.1), "-1 does not; 0 lies in it too, so that no decrease with m is shown"),
        ((-0.9, -0.6), "neither of the claimed exponents, -1/2 and -1, lies in it"),
    ],
)
def test_an_exponent_is_compared_with_both_claims(interval, verdict):
    text = say_law("0.1", PowerLaw(sum(interval) / 2, *interval, 12))
    assert f"(95 % interval {interval[0]:.2f} to {interval[1]:.2f}, 12 points)" in text
    assert verdict in text


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"counts": [4, 64]}, "--kernels 4,64: two points lie on any power law; name 3"),
        ({"counts": [4, 4, 64]}, "--kernels 4,4,64: allowed are numbers from 1 up, each once"),
        ({"counts": []}, "--kernels : two points"),
        ({"errors": [0.1, 0.1]}, "--errors 0.1,0.1: .* each once"),
        ({"draws": 0}, "--draws 0: allowed is 1 to 10,000"),
    ],
)
def test_what_no_fit_can_be_made_of_is_refused_before_anything(tmp_path, changes, sentence):
    asked = {"counts": [4, 8, 16], "errors": [0.1], "draws": 2} | changes
    with pytest.raises(SpecError, match=sentence):
        perturb(read_spec(None), *asked.values(), tmp_path / "p", None, Silent())
    assert not (tmp_path / "p").exists()


def test_a_number_of_kernels_is_whole():
    assert parse_counts("4,8.0,16") == [4, 8, 16]
    with pytest.raises(SpecError, match=r"--kernels 4,8\.5: a number of kernels is whole"):
        parse_counts("4,8.5")


@pytest.mark.parametrize("text", ["a", "1,,2", "0", "-1,2", "inf", "nan,1"])
def test_numbers_that_are_none(text):
    with pytest.raises(SpecError, match="positive numbers"):
        parse_numbers(text)
