"""What a map of regimes takes of earlier calls."""

import json
from types import SimpleNamespace

from hybridonn.spec import read_spec
from hybridonn.studies.regimes_earlier import find_earlier, list_fixed, say_tried, state_tried

TRIED = state_tried({}, 1)


def test_the_same_images_that_are_stated_otherwise_are_named(tmp_path):
    variants = {"ntkd cka": {"values": [0.5], "tuned": {}}}
    point = {"images": 1294, "epochs": 2, "train_images": None, "tried": TRIED}
    path, said = tmp_path / "regimes.json", []
    path.write_text(json.dumps({"points": [point | {"variants": variants}]}))
    asked = {(1294, 2): (1294, {"none", "kd"})}
    found = find_earlier(path, SimpleNamespace(values={}), asked, TRIED, said.append)
    assert found.students == []
    assert said == [
        "at 1,294 images and 2 epochs NTKD by cka of an earlier call left the map: the images were "
        "--images all there and are 1294 here; state them alike"
    ]


def test_seeds_that_had_nothing_to_choose_make_no_difference():
    assert state_tried({"learning_rate": [0.1]}, 1) == state_tried({"learning_rate": [0.1]}, 3)
    two = {"learning_rate": [0.1, 0.2]}
    assert state_tried(two, 1) != state_tried(two, 3)
    points = [{"tried": state_tried(two, 3)}, {}, {}]
    assert say_tried(points) == [
        "not all points tried the same values: learning_rate 0.1, 0.2 by 3 seeds at 1 point, "
        "unknown values at 2 points"
    ]
    assert say_tried(points[1:]) == []


def test_methods_of_other_tuned_settings_are_not_compared(tmp_path):
    def state(*settings):
        tuned = read_spec(None, settings).tuned
        return state_tried({}, 1, list_fixed(tuned, ("none", "kd", "ntkd"), ["learning_rate"]))

    swept = "tuned.kd={learning_rate: 0.1, epochs: 3}"
    assert state(swept) == state() == TRIED  # the map has values of its own for these
    here, there = state("tuned.kd.temperature=16"), state("tuned.ntkd={temperature: 1}")
    point = {"images": 10, "epochs": 2, "train_images": 10, "tried": there}
    path, said = tmp_path / "regimes.json", []
    variants = {"ntkd cka": {"values": [0.5], "tuned": {}}}
    path.write_text(json.dumps({"points": [point | {"variants": variants}]}))
    find_earlier(path, SimpleNamespace(values={}), {(10, 2): (10, {"kd"})}, here, said.append)
    assert said == [
        "at 10 images and 2 epochs NTKD by cka of an earlier call is left out: it tried the spec's "
        "own values with tuned.ntkd.temperature 1.0, this call the spec's own values with "
        "tuned.kd.temperature 16.0; name all discrepancies in one call"
    ]
    assert len(say_tried([{"tried": here}, {"tried": there}])) == 1
