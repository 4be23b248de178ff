"""Where distillation pays: the map over training images and budget."""

import csv
import json
from dataclasses import asdict

import numpy as np
import pytest

from hybridonn.core.errors import ArtefactError, DataError, SpecError
from hybridonn.core.progress import Silent
from hybridonn.reports.figures.regimes import draw_regimes, write_regimes
from hybridonn.spec import read_spec
from hybridonn.studies import regimes
from hybridonn.studies.regimes import (
    limit_images,
    list_trials,
    open_regimes,
    study_regimes,
    train_student,
)
from hybridonn.studies.regimes_grid import Grid
from hybridonn.studies.regimes_summary import summarise, tabulate
from hybridonn.studies.rows import tell
from hybridonn.studies.shared_teacher import pack_shared_teacher

TINY = ("teacher.training.epochs=1", "student.kernels=2", "student.kernel_size=3")


def row(images, variant, value, seed=0, epochs=5):
    return {
        "train_images": images,
        "epochs": epochs,
        "variant": variant,
        "seed": seed,
        "accuracy": value,
        "validation": value,
        "seconds": 2.0,
        "tuned": {"epochs": epochs},
    }


def rows(gain=0.02):
    return [
        row(images, variant, value + 0.01 * seed * (1 + place), seed)
        for images in (100, None)
        for place, (variant, value) in enumerate(
            [("none", 0.5), ("kd", 0.7), ("ntkd cka", 0.7 + gain), ("ntkd ridge_cka", 0.69)]
        )
        for seed in range(3)
    ]


COUNTS = {100: 100, None: 1234}


def test_kd_is_compared_with_the_task_alone_and_ntkd_with_kd():
    first, second = summarise(rows(), COUNTS, "accuracy")["points"]
    assert (first["images"], second["images"]) == (100, 1234)
    pairs = {(one["variant"], one["baseline"]): one["mean"] for one in first["differences"]}
    assert pairs == pytest.approx(
        {
            ("kd", "none"): 0.21,
            ("ntkd cka", "kd"): 0.03,
            ("ntkd ridge_cka", "kd"): 0.01,
        }
    )
    assert first["variants"]["ntkd cka"]["label"] == "NTKD by cka"


def test_the_sentences_count_points_and_name_the_best():
    found = summarise(rows(gain=0.1), COUNTS, "accuracy")["sentences"]
    assert found[1].startswith(
        "NTKD by cka - KD: ahead at 2 of 2 points, behind at 0, not distinguishable at 0; most at "
        "100 images and 5 epochs, +11.00 points (95 % interval +8.52 to +13.48)"
    )


@pytest.mark.parametrize("key", ["cwd_weight", "own_weight"])
def test_a_value_that_no_method_has_a_use_for_is_refused(key):
    grid = Grid((None,), (3,), ("cka",), {key: [1, 2]})
    with pytest.raises(SpecError, match=f"--grid {key}: no method of none, kd, ntkd has"):
        list_trials(grid)


def test_where_kd_is_behind_the_sentence_says_what_helps():
    few = [
        row(100, name, value + 0.001 * seed, seed)
        for seed in range(3)
        for name, value in (("none", 0.7 + 0.001 * seed), ("kd", 0.5), ("ntkd cka", 0.4))
    ]
    kd, ntkd = summarise(few, COUNTS, "accuracy")["sentences"]
    assert "behind at 1," in kd and "where KD is behind, logits are learnt slowly" in kd
    assert "behind at 1," in ntkd and "logits" not in ntkd
    assert "logits" not in summarise(rows(), COUNTS, "accuracy")["sentences"][0]


def test_of_one_seed_there_are_no_intervals_and_no_sentences():
    table = summarise([row(100, "none", 0.5), row(100, "kd", 0.6)], COUNTS, "accuracy")
    assert table["sentences"] == []
    assert table["points"][0]["differences"][0]["low"] is None
    assert tabulate(table)[1]["difference.mean"] == pytest.approx(0.1)
    assert tabulate(table)[0]["difference.mean"] is None


def test_each_difference_has_a_map_and_certain_ones_are_bold():
    table = summarise(rows(gain=0.1), COUNTS, "accuracy") | {"design": "d", "label": "accuracy"}
    figure = draw_regimes(table)
    maps = [axes for axes in figure.axes if axes.get_images()]
    titles = [axes.get_title(loc="left") for axes in maps]
    assert titles == ["KD - task alone", "NTKD by cka - KD", "NTKD by ridge_cka - KD"]
    texts = [(text.get_text(), text.get_weight()) for text in maps[1].texts]
    assert ("+11.00", "bold") in texts
    assert any(text == "+8.52 to +13.48\n2 / 2 s" for text, _ in texts)
    assert ("+1.00", "normal") in [(t.get_text(), t.get_weight()) for t in maps[2].texts]
    assert maps[1].get_xlabel() == "epochs"
    assert (
        draw_regimes(table | {"passes_per_epoch": 4}).axes[0].get_xlabel() == "epochs of 4 passes"
    )
    scales = [axes.get_images()[0].norm.vmax for axes in maps]
    assert scales[1] == scales[2] != scales[0]


def test_a_place_of_the_map_without_a_point_says_that_it_is_not_measured():
    found = [*rows(), row(100, "none", 0.5, epochs=9), row(100, "kd", 0.6, epochs=9)]
    table = summarise(found, COUNTS, "accuracy") | {"design": "d", "label": "accuracy"}
    maps = [axes for axes in draw_regimes(table).axes if axes.get_images()]
    counts = [[t.get_text() for t in axes.texts].count("not measured") for axes in maps]
    assert counts == [1, 2, 2]


def test_the_grid_is_every_method_at_every_point_with_what_it_has_a_use_for():
    values = {"learning_rate": [1e-3, 1e-2], "ntk_weight": [3, "auto"]}
    trials = list_trials(Grid((100, None), (1, 2), ("cka", "ridge_cka"), values))
    assert len(trials) == 4 * (2 + 2 + 2 * 4)
    assert {one.variant for one in trials} == {"none", "kd", "ntkd cka", "ntkd ridge_cka"}
    with pytest.raises(SpecError, match="give it with --epochs"):
        list_trials(Grid((100,), (1,), ("cka",), {"epochs": [3]}))


def test_a_trial_states_images_budget_discrepancy_and_values():
    trial = list_trials(Grid((100,), (7,), ("ridge_cka",), {"ntk_weight": ["auto"]}))[-1]
    stated = trial.state(read_spec(None, ("tuned.ntkd={learning_rate: 0.5, epochs: 99}",)))
    assert stated.data.train_images == 100
    assert (stated.training.epochs, stated.training.learning_rate) == (7, 0.5)
    assert stated.distillation.tangent.discrepancy == "ridge_cka"
    assert (stated.distillation.method, stated.distillation.ntk_weight) == ("ntkd", "auto")


def test_the_study_is_whole_and_resumed(tmp_path, monkeypatch):
    monkeypatch.setenv("HYBRIDONN_CACHE", str(tmp_path / "cache"))
    folder, spec = tmp_path / "study", read_spec(None, TINY)
    grid = Grid((40, 80), (1,), ("cka",), {"ntk_weight": [1, "auto"]})
    found = study_regimes(spec, grid, 1, 1, folder)
    assert [point["images"] for point in found["points"]] == [40, 80]
    assert json.loads((folder / "regimes.json").read_text()) == found
    students = list(csv.DictReader((folder / "students.csv").open()))
    assert len(students) == 2 * (1 + 1 + 2)  # one method has two values to choose from
    for point in found["points"]:
        tried = {
            row["tuned.ntk_weight"]: round(float(row["validation"]), 6)
            for row in students
            if (row["variant"], row["train_images"]) == ("ntkd cka", str(point["images"]))
        }
        chosen = point["variants"]["ntkd cka"]["tuned"]["ntk_weight"]
        assert tried["auto" if chosen == "auto" else "1.0"] == max(tried.values())

    more = study_regimes(spec, Grid((40,), (1,), ("cka",), grid.values), 2, 1, folder)
    assert [len(one["variants"]["kd"]["values"]) for one in more["points"]] == [2, 1]
    assert [len(one["values"]) for one in more["points"][0]["variants"].values()] == [2, 2, 2]
    assert len(list(csv.DictReader((folder / "students.csv").open()))) == 8 + 3
    monkeypatch.setattr(regimes, "DO", "no.such:function")  # nothing is left to do
    assert study_regimes(spec, grid, 1, 1, folder) == found

    inputs = pack_shared_teacher(limit_images(spec, None), regimes.METHODS, None)
    shared, settings = open_regimes(inputs, folder)  # as a worker does
    kept = json.loads((folder / "rows" / "settings.json").read_text())
    assert tell(regimes.STUDY, settings) == kept
    trial = list_trials(grid)[0]
    again = train_student(shared, {"trial": asdict(trial), "seed": 0}, Silent())
    assert again["accuracy"] == found["points"][0]["variants"]["none"]["values"][0]
    with pytest.raises(ArtefactError, match="other settings"):
        study_regimes(read_spec(None, (*TINY, "student.kernels=3")), grid, 1, 1, folder)


def test_a_map_grows_by_calls_with_other_points(tmp_path, monkeypatch):
    monkeypatch.setenv("HYBRIDONN_CACHE", str(tmp_path / "cache"))
    folder, spec = tmp_path / "study", read_spec(None, TINY)
    study_regimes(spec, Grid((40,), (1,), ("cka",)), 2, 1, folder)
    first = json.loads((folder / "regimes.json").read_text())["points"]
    study_regimes(spec, Grid((None,), (2,), ("cka", "ridge_cka")), 1, 1, folder)
    grown = json.loads((folder / "regimes.json").read_text())
    assert [(one["images"], one["epochs"]) for one in grown["points"]] == [(40, 1), (1294, 2)]
    assert grown["points"][0] == first[0]
    assert [one["train_images"] for one in grown["points"]] == [40, None]
    assert len(list(csv.DictReader((folder / "regimes.csv").open()))) == 3 + 4

    monkeypatch.setattr(regimes, "DO", "no.such:function")  # every student is there
    again = study_regimes(spec, Grid((40,), (1,), ("cka",)), 2, 1, folder)
    assert again["points"] == grown["points"]
    (folder / "regimes.json").write_text("{harmed")  # the rows are what counts
    told = Told()
    found = study_regimes(spec, Grid((40,), (1,), ("cka",)), 2, 1, folder, progress=told)
    assert len(found["points"]) == 1
    assert any("regimes.json is damaged: points of earlier calls" in line for line in told.lines)


class Told(Silent):
    """Keeps what is said."""

    def __init__(self):
        self.lines = []

    def say(self, line):
        self.lines.append(line)


def test_a_map_grows_by_a_call_with_another_discrepancy_at_the_same_points(tmp_path, monkeypatch):
    monkeypatch.setenv("HYBRIDONN_CACHE", str(tmp_path / "cache"))
    folder, spec, told = tmp_path / "study", read_spec(None, TINY), Told()
    study_regimes(spec, Grid((40,), (1,), ("cka",)), 2, 1, folder)
    grown = study_regimes(spec, Grid((40,), (1,), ("ridge_cka",)), 2, 1, folder, progress=told)
    (point,) = grown["points"]
    assert [*point["variants"]] == ["none", "kd", "ntkd ridge_cka", "ntkd cka"]
    assert [one["n"] for one in point["differences"]] == [2, 2, 2]
    assert told.lines == []
    assert "chosen" not in " ".join(grown["sentences"])

    # other values are no fair comparison, within a point or, without a word, between points
    other = Grid((40,), (1,), ("mse",), {"learning_rate": [0.01]})
    found = study_regimes(spec, other, 2, 1, folder, progress=told)
    assert [*found["points"][0]["variants"]] == ["none", "kd", "ntkd mse"]
    assert any(
        "at 40 images and 1 epochs NTKD by ridge_cka and NTKD by cka of an earlier call are left "
        "out: they tried the spec's own values, this call learning_rate 0.01" in line
        for line in told.lines
    )
    mixed = study_regimes(spec, Grid((80,), (1,), ("mse",)), 2, 1, folder)
    assert mixed["sentences"][-1] == (
        "not all points tried the same values: learning_rate 0.01 at 1 point, the spec's own "
        "values at 1 point"
    )


def test_a_point_that_lost_a_row_leaves_the_map(tmp_path, monkeypatch):
    monkeypatch.setenv("HYBRIDONN_CACHE", str(tmp_path / "cache"))
    folder, spec = tmp_path / "study", read_spec(None, TINY)
    study_regimes(spec, Grid((40,), (1,), ("cka",)), 1, 1, folder)
    for path in (folder / "rows").glob("*/*.json"):
        if json.loads(path.read_text())["value"]["variant"] == "kd":
            path.unlink()
    told = Told()
    found = study_regimes(spec, Grid((80,), (1,), ("cka",)), 1, 1, folder, progress=told)
    assert [one["images"] for one in found["points"]] == [80]
    assert any("the point of 40 images and 1 epochs is left out" in line for line in told.lines)


def test_maps_of_calls_with_other_seeds_and_discrepancies_say_so():
    few = [one | {"epochs": 9} for one in rows() if one["variant"] != "ntkd ridge_cka"]
    few = [one for one in few if one["seed"] < 2]
    table = summarise(few + rows(), COUNTS, "accuracy") | {"design": "d", "label": "accuracy"}
    figure = draw_regimes(table)
    assert "2 to 3 paired seeds" in figure.get_suptitle()
    maps = [axes for axes in figure.axes if axes.get_images()]
    assert len(maps) == 3  # one of them without the points that lack its discrepancy
    shown = [int((~np.isnan(axes.get_images()[0].get_array())).sum()) for axes in maps]
    assert shown == [4, 4, 2]


def test_what_is_damaged_is_refused(tmp_path):
    (tmp_path / "regimes.json").write_text('{"points": [{"differences": [{}]}]}')
    with pytest.raises(ArtefactError, match="missing or of the wrong kind"):
        write_regimes(tmp_path)


def test_more_images_than_there_are_and_more_tuning_seeds_than_seeds_are_refused(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("HYBRIDONN_CACHE", str(tmp_path / "cache"))
    spec = read_spec(None, TINY)
    with pytest.raises(SpecError, match="--tuning-seeds 2: allowed is 1 to 1"):
        study_regimes(spec, Grid((40,), (1,), ("cka",)), 1, 2, tmp_path / "a")
    with pytest.raises((DataError, SpecError), match="train_images"):
        study_regimes(spec, Grid((40, 99_999), (1,), ("cka",)), 1, 1, tmp_path / "b")
    with pytest.raises(SpecError, match="--images: 1294 and all are the same training images"):
        study_regimes(spec, Grid((1294, None), (1,), ("cka",)), 1, 1, tmp_path / "b")
    assert not (tmp_path / "b").exists()  # nothing is begun that cannot be done


def test_the_printed_map_says_when_points_have_other_numbers_of_seeds(capsys):
    from hybridonn.cli.studies import _print_regimes

    few = [one | {"epochs": 9} for one in rows() if one["seed"] < 2]
    for some, said in ((rows(), "d: 3 paired seeds"), (few + rows(), "d: 2 to 3 paired seeds")):
        _print_regimes(summarise(some, COUNTS, "accuracy") | {"design": "d", "label": "accuracy"})
        assert said in capsys.readouterr().out
