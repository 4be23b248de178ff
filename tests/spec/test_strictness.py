"""A spec keeps every value as it is stated, or refuses it."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from typing import Any

import pytest

from hybridonn.core.errors import SpecError
from hybridonn.spec import read_spec, validate

CHIP = ("optics.metasurface={}", "fabrication={}", "compensation={fractions: [0.5]}")
LISTS = ("data.size_pixels=[8, 8]", "optics.wavelengths_nm=[500]")
MASKS = (
    *("task=segmentation", "data={name: mask_folder, folder: masks, mask_classes: [a, b]}"),
    *("student={name: extreme_meta}", "distillation.tangent.layers=[a]"),
)
VALUES = (True, False, "3", "1:30", "yes", "", 2.0, 2.5, -1, 0, 2**100, math.nan, math.inf, [], {})


def leaves(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path to every value that is no collection."""
    for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
        if isinstance(value, dict | list) and value:
            yield from leaves(value, (*path, key))
        else:
            yield (*path, key)


def get(tree: Any, path: tuple[Any, ...]) -> Any:
    """What stands at a path."""
    for key in path:
        tree = tree[key]
    return tree


@pytest.mark.parametrize("settings", [(*CHIP, *LISTS), MASKS], ids=["chip", "masks"])
def test_every_key_keeps_or_refuses_every_value(settings: tuple[str, ...]) -> None:
    tree = read_spec(None, settings).model_dump(mode="json")
    changed = []
    for path in leaves(tree):
        for value in VALUES:
            stated = copy.deepcopy(tree)
            get(stated, path[:-1])[path[-1]] = value
            try:
                found = get(validate(stated, "here").model_dump(mode="json"), path)
            except SpecError:
                continue
            whole = type(value) is int and type(found) is float  # 0 is 0.0 where it may be 0.5
            section = value == {} and isinstance(found, dict)  # filled in with its defaults
            same = repr(found) == repr(value) or (whole and found == value)
            if not (same or section):
                changed.append((path, value, found))
    assert not changed


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("training.epochs=1:30", "training.epochs is '1:30': allowed is a whole number, without"),
        ("training.epochs=yes", "training.epochs is 'yes': allowed is a whole number"),
        ("training.epochs=true", "training.epochs is true: allowed is a whole number"),
        ("training.epochs=2.0", "training.epochs is 2.0: allowed is a whole number"),
        ("training.epochs=", "training.epochs is null: allowed is a whole number"),
        ("training.epochs=1e22", "training.epochs is 1e.22: allowed is a whole number"),
        ("student.kernels=99999999999", "allowed is a number below 2,147,483,648"),
        ("training.learning_rate=1_0", "learning_rate is '1_0': allowed is a number"),
        ("optics.sensor.noise=on", "noise is 'on': allowed is true or false"),
        ("optics.sensor.noise=1", "noise is 1: allowed is true or false"),
        ("name=2024", "name is 2024: allowed is a text, in quotes"),
        ("student.hidden=8", "hidden is 8: allowed is a list, such as"),
        ("student=[1]", r"student is \[1\]: allowed is a mapping of keys to values"),
        ("teacher.weights=''", "teacher.weights: the path is empty; name a file"),
        ("teacher.weights=~nobody-at-all/x", "begins with the name of no user"),
        ("name=a/b", "name is 'a/b': allowed is letters, digits"),
        ("student.kernels=&a 3", "--set student.kernels=&a 3: the anchor &a is not read"),
        ("teacher.arguments={a: 1, a: 2}", "the key 'a' stands twice"),
        ("fabrication={preset: [1]}", "fabrication.preset is"),
        ("student={name: [1]}", "student.name is"),
    ],
)
def test_a_value_of_another_kind_is_named(setting: str, said: str) -> None:
    with pytest.raises(SpecError, match=said):
        read_spec(None, (setting,))


def test_numbers_are_those_of_yaml_1_2() -> None:
    spec = read_spec(None, ("seed=010", "training.epochs=0o12", "training.learning_rate=1e-3"))

    assert (spec.seed, spec.training.epochs, spec.training.learning_rate) == (10, 10, 1e-3)


@pytest.mark.parametrize(
    ("path", "words"), [("0," * 200, "at most 255 bytes"), ("a\0b", "zero character")]
)
def test_names_that_no_file_has_are_refused_where_they_are_stated(path, words):
    with pytest.raises(SpecError, match=rf"teacher\.weights.*{words}"):
        validate({"teacher": {"weights": path}}, "here")
