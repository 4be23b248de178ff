"""Tuning tables: what was tried, the best of it, and whether it lies at an edge."""

import pytest

from hybridonn.core.errors import SpecError
from hybridonn.core.journal import Journal
from hybridonn.core.yaml_reading import parse_yaml
from hybridonn.spec import Tuned, read_spec
from hybridonn.studies.trials import (
    Setting,
    Trial,
    choose_all,
    choose_best,
    find_edges,
    list_settings,
    read_trials,
    tabulate,
    write_best,
)


def make(method, values):
    return Setting(method, values, Tuned(**values), read_spec(None))


def try_all(path, scores):
    """Trials of ``{(method, learning rate, epochs): scores by seed}``, read back from a journal."""
    with Journal(path, "trials") as journal:
        for (method, rate, epochs), some in scores.items():
            setting = make(method, {"learning_rate": rate, "epochs": epochs})
            for seed, score in some.items():
                journal.add(setting.key(seed), {"validation": score, "seconds": 2.0 + seed})
        return read_trials(journal.values)


def test_a_row_holds_the_whole_setting_and_every_seed(tmp_path):
    trials = try_all(tmp_path / "j", {("ntkd", 0.01, 5): {0: 0.5, 1: 0.7}, ("kd", 0.02, 5): {0: 1}})
    assert tabulate(trials, "seed") == [
        {"method": "kd", "epochs": 5, "learning_rate": 0.02}
        | {"validation": 1, "seed_0": 1, "seconds": 2.0},
        {"method": "ntkd", "epochs": 5, "learning_rate": 0.01}
        | {"validation": 0.6, "seed_0": 0.5, "seed_1": 0.7, "seconds": 2.5},
    ]


def test_equals_are_equal_and_the_first_wins(tmp_path):
    # Two means of the same number of right answers, whose last digits float32 makes differ.
    one = {0: 0.9652777910232544, 1: 0.9166666865348816}
    other = {0: 0.9583333134651184, 1: 0.9236111044883728}
    for number, scores in enumerate(((one, other), (other, one))):
        settings = {("none", 0.1, 5 + k): some for k, some in enumerate(scores)}
        trials = try_all(tmp_path / str(number), settings)
        assert choose_best(trials, "none", (0, 1)).tuned["epochs"] == 5


def test_a_setting_with_fewer_seeds_takes_no_part_and_is_counted(tmp_path):
    trials = try_all(tmp_path / "j", {("kd", 0.1, 5): {0: 0.99}, ("kd", 0.2, 5): {0: 0.8, 1: 0.8}})
    best, said = choose_all(trials, ("kd",), (0, 1), "seed")
    assert best == {"kd": {"learning_rate": 0.2, "epochs": 5}}
    assert "settings of the table that lack a seed asked for, left out: 1" in said
    assert choose_all(trials, ("kd",), (0,), "seed")[0]["kd"]["learning_rate"] == 0.1


@pytest.mark.parametrize(
    ("rates", "best", "said"),
    [
        ((0.1, 0.2, 0.4), 0.2, []),
        ((0.1, 0.2), 0.2, ["learning_rate 0.2 is the highest value tried", "try higher ones"]),
        ((0.1, 0.2), 0.1, ["learning_rate 0.1 is the lowest value tried", "try lower ones"]),
        ((0.1,), 0.1, []),  # one value is no grid
    ],
)
def test_a_best_value_at_the_edge_of_its_grid_is_said(rates, best, said):
    trials = [Trial("kd", {"learning_rate": rate}, {0: float(rate == best)}, 1) for rate in rates]
    found = find_edges(trials, choose_best(trials, "kd", (0,)))
    assert len(found) == bool(said)
    assert all(part in found[0] for part in said)


def test_nothing_lies_below_a_weight_of_0_and_methods_have_edges_of_their_own():
    trials = [Trial("ntkd", {"ntk_weight": weight}, {0: 1 - weight}, 1) for weight in (0.0, 1.0)]
    trials += [Trial("kd", {"ntk_weight": 3.0}, {0: 1}, 1)]
    assert find_edges(trials, trials[0]) == []
    assert find_edges(trials, trials[2]) == []


def test_a_weight_that_is_found_lies_at_no_edge_of_the_numbers():
    weights = ("auto", 1.0, 3.0, 10.0)
    trials = [Trial("ntkd", {"ntk_weight": weight}, {0: 1.0}, 1) for weight in weights]
    assert [bool(find_edges(trials, one)) for one in trials] == [False, True, False, True]


def test_remarks_are_comments_of_the_spec():
    text = write_best({"tuned": {"kd": {"epochs": 3}}}, ["kd: epochs 3 is the highest value tried"])
    assert text.startswith("# kd: epochs 3 is the highest value tried\ntuned:\n")
    assert parse_yaml(text, "text", SpecError) == {"tuned": {"kd": {"epochs": 3}}}


def test_settings_are_checked_all_together_and_equal_ones_are_one():
    seen = []

    def lay_over(method, values):
        seen.append((method, values))
        return make(method, values)

    grid = {"ntk_weight": [1, 1.0], "epochs": [5]}
    settings = list_settings(("none", "ntkd"), grid, lay_over)
    assert [(one.method, one.values) for one in settings] == [
        ("none", {"epochs": 5}),
        ("ntkd", {"ntk_weight": 1, "epochs": 5}),
    ]
    with pytest.raises(SpecError, match="--grid ntk_weight: no method of none, kd has"):
        list_settings(("none", "kd"), grid, lay_over)
