"""Specs to start from: the examples of the package, and commented ones from a few answers."""

from __future__ import annotations

import json
import re
import shlex
import textwrap
from collections.abc import Iterator, Mapping
from itertools import takewhile
from pathlib import Path
from typing import Any

from hybridonn.core.errors import SpecError
from hybridonn.core.yaml_reading import read_yaml
from hybridonn.core.yaml_writing import dump_yaml
from hybridonn.data.readers.table import DATA_SETS
from hybridonn.spec.examples import find_example, list_examples
from hybridonn.spec.schema import SOURCE, build_schema, find_schema
from hybridonn.spec.tree import validate

SCHEMA_LINE = "# yaml-language-server: $schema="
# The example whose networks and training suit a set that has none of its own.
NEAREST = {"cifar100": "cifar10", "imagenet100": "image_folder"}
BY_TASK = {"classification": "mnist", "segmentation": "dsb2018", "detection": "bccd"}
GUIDE = (
    "# hybridonn data check FILE   are the images as they should be?",
    "# hybridonn estimate FILE     what accuracy can this design reach? (not of boxes)",
    "# hybridonn run FILE          layout, teacher, student, report",
    "# Every other key, with its default: hybridonn spec FILE",
)
WIDTH = 96
DOCUMENT = re.compile(r"docs/(?P<page>[\w/]+)\.md")  # in a checkout, which a user may not have


def describe_example(path: Path) -> str:
    """The first sentence of an example's comment."""
    lines = path.read_text("utf-8").removeprefix(SCHEMA_LINE).splitlines()[1:]
    # Words stand behind one space, commands behind three.
    words = takewhile(lambda line: line.startswith("# ") and not line.startswith("#  "), lines)
    return re.split(r"(?<=[.?])\s(?=[A-Z])", " ".join(line[2:] for line in words))[0].rstrip(":")


def copy_example(name: str, file: Path) -> str:
    """The text of an example as a file elsewhere: schema and comments are true there.

    Args:
        name: Name of the example.
        file: The new file, which the commands in the comments name.

    Raises:
        SpecError: There is no example of this name.
    """
    schema, text = find_example(name).read_text("utf-8").split("\n", 1)
    assert schema.startswith(SCHEMA_LINE)
    here = shlex.quote(str(file)) if str(file).isprintable() else "FILE"
    text = text.replace(f"examples/{name}.yaml", here)
    return _name_schema() + DOCUMENT.sub(r"\g<page>.md in the documentation of hybridonn", text)


def write_starter(answers: Mapping[str, Any]) -> str:
    """A commented spec for a data set: the networks of the nearest example, with the answers.

    Args:
        answers: Values by ``key.path``; ``data.name`` is among them.

    Raises:
        SpecError: An answer is not allowed.
    """
    tree = start_tree(answers)
    validate(tree, "the new spec")
    schema = build_schema()
    lines = [*GUIDE, *_comment(tree, schema, schema, "")]
    return _name_schema() + "\n".join(lines) + "\n"


def start_tree(answers: Mapping[str, Any]) -> dict[str, Any]:
    """The tree of :func:`write_starter`, before it is checked.

    Args:
        answers: Values by ``key.path``.

    Raises:
        SpecError: There is no data set of the name.
    """
    tree = _choose_base(str(answers.get("data.name", "digits")))
    lay_answers(tree, answers)
    return tree


def lay_answers(tree: dict[str, Any], answers: Mapping[str, Any]) -> None:
    """Put answers into the tree of a spec.

    Args:
        tree: The tree, which is changed.
        answers: Values by ``key.path``.
    """
    for key, value in answers.items():
        *parents, last = key.split(".")
        section = tree
        for parent in parents:
            section = section.setdefault(parent, {})
        section[last] = value


def _choose_base(name: str) -> dict[str, Any]:
    """The tree of the example of a data set, or of the nearest one with the same task.

    Raises:
        SpecError: There is no data set of this name.
    """
    known = DATA_SETS.get(name)
    if known is None:
        raise SpecError(f"{name!r} is no data set; allowed are {', '.join(DATA_SETS)}")
    examples = list_examples()
    path = examples.get(name) or examples[NEAREST.get(name, BY_TASK[known.task])]
    tree = read_yaml(path, SpecError)
    if name in examples:
        return tree
    # Files of the user's have sizes of all kinds; those of a named set are alike.
    kept = ("size_pixels",) if known.folder == "required" and known.image_files else ()
    sizes = {key: tree["data"][key] for key in kept if key in tree["data"]}
    return tree | {"data": {"name": name, **sizes}}


def _name_schema() -> str:
    return f"{SCHEMA_LINE}{find_schema().resolve().as_posix()}\n"


def _comment(
    tree: Mapping[str, Any], model: Mapping[str, Any], schema: Mapping[str, Any], indent: str
) -> Iterator[str]:
    """The lines of a section, above each key what it means."""
    for key, value in tree.items():
        entry = model.get("properties", {}).get(key, {})
        meaning = SOURCE.sub("", entry.get("description", "")).replace("`", "")
        for line in textwrap.wrap(meaning, WIDTH - len(indent)):
            yield f"{indent}# {line}"
        inner = _find_section(entry, schema)
        if isinstance(value, Mapping) and value and inner:
            yield f"{indent}{key}:"
            yield from _comment(value, inner, schema, indent + "  ")
        else:
            yield f"{indent}{key}: {_write_value(value)}"


def _find_section(entry: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    for kind in (entry, *entry.get("anyOf", ())):
        if "$ref" in kind:
            return schema["$defs"][kind["$ref"].rsplit("/", 1)[1]]
    return {}


def _write_value(value: Any) -> str:
    """A value on one line: JSON, which is YAML too; short texts without needless quotes."""
    plain = dump_yaml({"key": value}) if isinstance(value, str) else ""
    if plain.count("\n") == 1:
        return plain.removeprefix("key: ").strip()
    return json.dumps(value, ensure_ascii=False)
