"""What a map of regimes takes of earlier calls."""

import json
from types import SimpleNamespace

from hybridonn.studies.regimes_earlier import find_earlier, say_tried, state_tried

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
