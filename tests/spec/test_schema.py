"""The JSON schema completes and checks specs in editors; the reference describes every key."""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hybridonn.core.yaml_reading import read_yaml
from hybridonn.spec import Spec, read_spec
from hybridonn.spec.descriptions import describe_keys
from hybridonn.spec.schema import SCHEMA_FILE, build_schema, find_schema, write_reference

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))
SCHEMA = build_schema()
KINDS: dict[str, Any] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
    "null": type(None),
}


def find_faults(value: Any, rule: dict[str, Any], path: str = "") -> Iterator[str]:
    """What a JSON schema refuses of a value, by the words that ours has."""
    if "$ref" in rule:
        yield from find_faults(value, SCHEMA["$defs"][rule["$ref"].rsplit("/", 1)[1]], path)
    if "anyOf" in rule and all(list(find_faults(value, one)) for one in rule["anyOf"]):
        yield f"{path}: {value} fits nothing of what is allowed"
    if "enum" in rule and value not in rule["enum"]:
        yield f"{path}: {value} is not one of {rule['enum']}"
    kind = rule.get("type")
    if kind and (not isinstance(value, KINDS[kind]) or (value is True and kind == "integer")):
        yield f"{path}: {value} is no {kind}"
    elif isinstance(value, dict):
        yield from find_faulty_keys(value, rule, path)
    elif isinstance(value, list):
        yield from find_faulty_items(value, rule, path)
    elif isinstance(value, str) and not re.search(rule.get("pattern", ""), value):
        yield f"{path}: {value} does not match"
    elif isinstance(value, int | float) and is_out_of_bounds(value, rule):
        yield f"{path}: {value} is out of bounds"


def is_out_of_bounds(value: float, rule: dict[str, Any]) -> bool:
    low, high = rule.get("exclusiveMinimum", -math.inf), rule.get("exclusiveMaximum", math.inf)
    inside = rule.get("minimum", value) <= value <= rule.get("maximum", value)
    return not (inside and low < value < high)


def find_faulty_items(value: list[Any], rule: dict[str, Any], path: str) -> Iterator[str]:
    items = rule.get("prefixItems", [rule.get("items", {})] * len(value))
    if len(items) != len(value):
        yield f"{path}: {value} has {len(value)} values"
        return
    for number, (one, inner) in enumerate(zip(value, items, strict=True)):
        yield from find_faults(one, inner, f"{path}[{number}]")


def find_faulty_keys(value: dict[str, Any], rule: dict[str, Any], path: str) -> Iterator[str]:
    known = rule.get("properties", {})
    for key, one in value.items():
        if key in known:
            yield from find_faults(one, known[key], f"{path}.{key}")
        elif rule.get("additionalProperties") is False:
            yield f"{path}.{key}: unknown key"


def list_properties() -> Iterator[tuple[str, dict[str, Any]]]:
    for name, model in (("Spec", SCHEMA), *SCHEMA["$defs"].items()):
        for key, entry in model["properties"].items():
            yield f"{name}.{key}", entry


def test_every_key_has_a_description() -> None:
    silent = [key for key, entry in list_properties() if not entry.get("description", "").strip()]

    assert silent == []
    assert len(list(list_properties())) > 190


def test_a_description_begins_a_sentence_and_ends_it() -> None:
    for key, entry in list_properties():
        text = entry["description"]
        assert text.endswith("."), f"{key}: {text}"
        assert not text.startswith(("Of ", "That ", "So ")), f"{key}: {text}"


def test_a_section_has_the_docstrings_of_its_base_classes() -> None:
    class Other(Spec):
        pass

    assert describe_keys(Other)["seed"] == describe_keys(Spec)["seed"]


def test_the_reference_has_a_row_for_every_key() -> None:
    text = write_reference(SCHEMA)

    rows = re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)
    assert sorted(rows) == sorted(key.split(".")[1] for key, _ in list_properties())
    assert {line.count(" | ") for line in text.splitlines() if line.startswith("| `")} == {5}


def test_the_reference_tells_the_defaults_of_each_place() -> None:
    text = write_reference(SCHEMA)

    assert "`teacher.training` (defaults: epochs: 12, learning_rate: 0.003)" in text
    assert "| `pixel_um` | Side of a camera pixel. | um | `5.86` | number >= 0.1, <= 5000 |" in text


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_the_schema_takes_every_example_and_each_names_it(path: Path) -> None:
    first = path.read_text("utf-8").partition("\n")[0]
    named = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", first)

    assert named and (path.parent / named[1]).resolve() == find_schema().resolve()
    assert find_schema().name == SCHEMA_FILE
    assert list(find_faults(read_yaml(path, ValueError), SCHEMA)) == []
    assert check_by_library(read_yaml(path, ValueError)) == []


def check_by_library(tree: Any) -> list[str]:
    """The faults that the library jsonschema finds, where it is installed."""
    try:
        import jsonschema
    except ImportError:
        return []
    found = jsonschema.Draft202012Validator(SCHEMA).iter_errors(tree)
    return [error.message for error in found]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_the_schema_takes_an_example_with_all_of_its_defaults(path: Path) -> None:
    assert list(find_faults(read_spec(path).model_dump(mode="json"), SCHEMA)) == []


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("optcs", {}),
        ("optics.gap_mm", "wide"),
        ("optics.gap_mm", -1),
        ("student.kernls", 8),
        ("student.kernels", 0),
        ("student.backend", "dens"),
        ("teacher.name", "lenett"),
        ("distillation.method", "nktd"),
        ("distillation.tangent.layers", "middle"),
        ("training.epochs", 2.5),
        ("data.size_pixels", [28]),
        ("fabrication", {"preset": "paper"}),
        ("task", "detect"),
    ],
)
def test_the_schema_refuses_what_the_spec_refuses(key: str, value: Any) -> None:
    tree: dict[str, Any] = copy.deepcopy(read_yaml(ROOT / "examples" / "mnist.yaml", ValueError))
    *parents, last = key.split(".")
    section = tree
    for name in parents:
        section = section.setdefault(name, {})
    section[last] = value

    assert list(find_faults(tree, SCHEMA))
    with pytest.raises(ValueError, match=last):
        Spec.model_validate(tree)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("data.size_pixels", 64),
        ("data.size_pixels", [48, 64]),
        ("teacher.name", "mynet:make"),
        ("distillation.tangent.layers", ["dense"]),
        ("optics.metasurface", {}),
        ("fabrication", None),
    ],
)
def test_the_schema_takes_every_form_of_a_value(key: str, value: Any) -> None:
    section, _, last = key.rpartition(".")
    tree: dict[str, Any] = {last: value}
    for name in reversed(section.split(".") if section else []):
        tree = {name: tree}

    assert list(find_faults(tree, SCHEMA)) == []
