"""The JSON schema of a spec, and the reference of its keys as Markdown."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCHEMA_FILE = "spec.schema.json"  # in the package
SOURCE = re.compile(r"\s*Source: (?P<source>.*?)\.?$")
# The unit stands at the end of the key's name.
UNITS = {
    "nm": "nm",
    "um": "um",
    "mm": "mm",
    "gb": "GB",
    "mrad": "mrad",
    "waves": "waves",
    "pixels": "pixels",
    "degrees": "degrees",
    "radians": "rad",
    "levels": "levels",
    "electrons": "electrons",
    "fraction": "share",
    "epochs": "epochs",
    "images": "images",
}
BOUNDS = {
    "minimum": ">= {}",
    "exclusiveMinimum": "> {}",
    "maximum": "<= {}",
    "exclusiveMaximum": "< {}",
}
LIMIT = 2**31  # of whole numbers: no bound that anybody meets
TYPES = {"string": "text", "boolean": "true, false", "integer": "whole number"}
HEAD = (
    "| key | meaning | unit | default | allowed | source |\n| --- | --- | --- | --- | --- | --- |"
)


@dataclass(frozen=True)
class Place:
    """A section of the spec.

    Attributes:
        path: Keys that lead to it, with dots; empty for the spec itself.
        model: Name of the section among the definitions of the schema.
        default: Values of the keys where the spec states none.
    """

    path: str
    model: str
    default: Mapping[str, Any]


def build_schema() -> dict[str, Any]:
    """The JSON schema by which editors complete and check a spec."""
    from hybridonn.spec.tree import Spec

    schema = Spec.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def dump_schema() -> str:
    """The JSON schema as the text of the file in the package."""
    return json.dumps(build_schema(), indent=1) + "\n"


def find_schema() -> Path:
    """The file of the schema in the installed package."""
    from importlib.resources import files

    return Path(str(files("hybridonn") / SCHEMA_FILE))


def write_reference(schema: Mapping[str, Any]) -> str:
    """The reference of every key as Markdown, a table a section.

    Args:
        schema: The JSON schema, from :func:`build_schema`.
    """
    places: dict[str, list[Place]] = {}
    for place in _walk(schema, Place("", "Spec", {})):
        places.setdefault(place.model, []).append(place)
    ordered = (sorted(found, key=lambda place: place.path.count(".")) for found in places.values())
    return "\n\n".join(_write_section(schema, found) for found in ordered) + "\n"


def _walk(schema: Mapping[str, Any], place: Place) -> Iterator[Place]:
    yield place
    for key, entry in _model(schema, place.model)["properties"].items():
        name = _name_model(entry)
        if name:
            default = place.default.get(key, entry.get("default"))
            default = default if isinstance(default, Mapping) else {}
            yield from _walk(schema, Place(f"{place.path}.{key}".lstrip("."), name, default))


def _model(schema: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return schema if name == "Spec" else schema["$defs"][name]


def _name_model(entry: Mapping[str, Any]) -> str | None:
    """The name of the section that a key holds, also in a list or where it may be null."""
    kinds = (entry, *entry.get("anyOf", ()), entry.get("items", {}))
    return next((kind["$ref"].rsplit("/", 1)[1] for kind in kinds if "$ref" in kind), None)


def _write_section(schema: Mapping[str, Any], places: list[Place]) -> str:
    first, model = places[0], _model(schema, places[0].model)
    title = f"`{first.path}`" if first.path else "The spec itself"
    properties = model["properties"]
    rows = [_write_row(key, entry, first) for key, entry in properties.items()]
    parts = [f"### {title}", _explain_model(model), *_list_others(places, properties)]
    return "\n\n".join([*parts, "\n".join([HEAD, *rows])])


def _explain_model(model: Mapping[str, Any]) -> str:
    text = re.sub(r":\w+:`([^`]*)`", r"`\1`", model["description"])
    return text.replace("``", "`")


def _list_others(places: list[Place], properties: Mapping[str, Any]) -> Iterator[str]:
    """Where the same section stands as well, and what other defaults it has there."""
    if len(places) > 1:
        others = (f"`{place.path}`{_list_changed(place, properties)}" for place in places[1:])
        yield f"The same keys stand in {', '.join(others)}."


def _list_changed(place: Place, properties: Mapping[str, Any]) -> str:
    usual = {key: one.get("default") for key, one in properties.items() if not _name_model(one)}
    changed = [
        f"{key}: {_show(place.default[key])}"
        for key, value in usual.items()
        if place.default.get(key, value) != value
    ]
    return f" (defaults: {', '.join(changed)})" if changed else ""


def _write_row(key: str, entry: Mapping[str, Any], place: Place) -> str:
    meaning, source = _split_source(entry["description"])
    default = place.default.get(key, entry.get("default", "must be stated"))
    if _name_model(entry) and isinstance(default, Mapping):
        default = "its own defaults"
    shown = default if isinstance(default, str) and " " in default else f"`{_show(default)}`"
    unit = UNITS.get(key.rsplit("_", 1)[-1], "")
    cells = (f"`{key}`", meaning, unit, shown, _write_allowed(entry), source)
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def _split_source(text: str) -> tuple[str, str]:
    found = SOURCE.search(text)
    return (text[: found.start()], found["source"]) if found else (text, "")


def _write_allowed(entry: Mapping[str, Any]) -> str:
    if "const" in entry:
        return f"`{entry['const']}`"
    if "enum" in entry:
        return ", ".join(f"`{name}`" for name in entry["enum"])
    if "anyOf" in entry:
        return "; or ".join(_write_allowed(kind) for kind in entry["anyOf"])
    if "$ref" in entry:
        return "keys of the section"
    if entry.get("type") == "null":
        return "null"
    if entry.get("type") == "array":
        return _write_list(entry)
    if entry.get("type") == "object":
        return "keys and values"
    return _write_value(entry)


def _write_list(entry: Mapping[str, Any]) -> str:
    if "prefixItems" in entry:
        return f"[{', '.join(_write_allowed(one) for one in entry['prefixItems'])}]"
    count = f"{entry['minItems']} to {entry['maxItems']} of " if "minItems" in entry else ""
    return f"list of {count}{_write_allowed(entry['items'])}"


def _write_value(entry: Mapping[str, Any]) -> str:
    if entry.get("pattern") == ":":
        return "`package.module:callable`"
    if entry.get("format") == "path":
        return "path"
    bounds = _write_bounds(entry)
    step = [f"multiple of {entry['multipleOf']}"] if "multipleOf" in entry else []
    like = [f"that matches `{entry['pattern']}`"] if "pattern" in entry else []
    name: str = entry.get("type", "")
    kind = TYPES.get(name, name)
    return " ".join([kind, ", ".join([*bounds, *step, *like])]).strip()


def _write_bounds(entry: Mapping[str, Any]) -> list[str]:
    """The bounds of a number, of two lower ones the narrower."""
    least, above = entry.get("minimum"), entry.get("exclusiveMinimum")
    weaker = None
    if least is not None and above is not None:
        weaker = "exclusiveMinimum" if least > above else "minimum"
    return [
        words.format(f"{entry[key]:g}")
        for key, words in BOUNDS.items()
        if key in entry and entry[key] != LIMIT and key != weaker
    ]


def _show(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
