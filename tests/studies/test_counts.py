"""What a study is asked for: bounded numbers of trials, lists without empty entries."""

import pytest

from hybridonn.core.errors import SpecError
from hybridonn.spec import read_spec
from hybridonn.studies.compare import compare
from hybridonn.studies.counts import refuse_count, split_list
from hybridonn.studies.methods import parse_grid, parse_methods
from hybridonn.studies.perturbation import parse_counts as parse_perturbed
from hybridonn.studies.random_kernels import parse_counts
from hybridonn.studies.ranking import parse_kernels
from hybridonn.studies.readout import parse_numbers
from hybridonn.studies.regimes_grid import parse_epochs, parse_images
from hybridonn.studies.strategies import parse_epochs as parse_budgets


@pytest.mark.parametrize("count", [0, -1, 10_001, 10**23])
def test_numbers_of_trials_are_bounded(count, tmp_path):
    with pytest.raises(SpecError, match=rf"--seeds {count}: allowed is 1 to 10,000"):
        refuse_count("--seeds", count)
    with pytest.raises(SpecError, match=rf"--seeds {count}: allowed is 1 to 10,000"):
        compare(read_spec(None), ("none", "kd"), count, tmp_path / "compare")
    assert not (tmp_path / "compare").exists()


def test_entries_of_a_list_are_stripped():
    assert split_list("--methods", " none , kd", "any") == ["none", "kd"]
    assert parse_methods("kd, none") == ("kd", "none")
    assert parse_grid(["epochs=1, 2"]) == {"epochs": [1, 2]}


@pytest.mark.parametrize(
    "parse",
    [
        *(parse_methods, parse_counts, parse_kernels),
        lambda text: parse_grid([f"epochs={text}"]),
    ],
)
@pytest.mark.parametrize("text", ["", ",", "none,,kd", "1,,2", "none,", " , none", "1,1"])
def test_empty_and_double_entries_are_refused(parse, text):
    with pytest.raises(SpecError, match=r"entry (between commas is empty|is named twice)"):
        parse(text)


@pytest.mark.parametrize(
    "parse",
    [
        *(parse_counts, parse_images, parse_epochs, parse_budgets),
        lambda text: parse_numbers("--bits", text),
    ],
)
def test_a_number_that_is_written_in_two_ways_is_named_twice(parse):
    with pytest.raises(SpecError, match=r"^--\w+: 4 is named twice; name each once"):
        parse("4,2,04")


@pytest.mark.parametrize("parse", [parse_counts, parse_perturbed])
@pytest.mark.parametrize("text", ["1000001", "9" * 19, "4,8,99999999999999"])
def test_numbers_of_kernels_are_bounded(parse, text):
    with pytest.raises(SpecError, match="allowed is 1 to 1,000,000"):
        parse(text)


def test_a_number_of_thousands_of_digits_is_refused():
    with pytest.raises(SpecError, match="--kernels 999"):
        parse_counts("9" * 5000)
