"""Reads YAML strictly: what could be meant in two ways is refused, with file and line.

Scalars follow the core schema of YAML 1.2.2 (section 10.3.2): ``010`` is ten, ``yes``, ``on``,
``1:30``, ``1_000`` and ``2024-01-01`` are texts, ``1e-3`` is a number. A file is a tree of
mappings with text keys, lists and scalars: keys that stand twice, anchors, aliases, tags, merge
keys and several documents are refused, and so is what is too large or too deeply nested.

The tree is built from PyYAML's events, so that none of its constructors, which follow YAML 1.1,
ever runs, and an alias is refused before it is expanded.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from hybridonn.core.errors import HybridonnError

MOST_BYTES = 2**20  # a spec takes 10 kB
MOST_DEPTH = 32
MOST_NODES = 20_000  # PyYAML reads so many in about half a second
MOST_DIGITS = 100

NULL = re.compile(r"null|Null|NULL|~|")
BOOLEAN = re.compile(r"(true|True|TRUE)|false|False|FALSE")
INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
NOT_FINITE = re.compile(r"([-+]?)\.(inf|Inf|INF)|\.nan|\.NaN|\.NAN")


def read_yaml(
    path: Path, error: type[HybridonnError] = HybridonnError, most_bytes: int = MOST_BYTES
) -> Any:
    """Read a YAML file.

    Args:
        path: The file, in UTF-8.
        error: The class of the errors.
        most_bytes: A larger file is refused.

    Returns:
        A tree of dict, list, str, int, float, bool and None; None for an empty file.

    Raises:
        HybridonnError: An error of class ``error``: the file cannot be read, or is no YAML that is
            accepted here; with the line and the cure.
    """
    try:
        with path.open("rb") as file:
            content = file.read(most_bytes + 1)
    except (OSError, ValueError) as fault:  # ValueError: a null character in the path
        reason = getattr(fault, "strerror", None) or fault
        raise error(f"cannot read {path}: {reason}; name a YAML file") from None
    if len(content) > most_bytes:
        raise error(f"{path} is larger than {most_bytes:,} bytes; name a YAML file of that size")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        line = content[: fault.start].count(b"\n") + 1
        raise error(
            f"{path}, line {line}: the byte {content[fault.start]:#04x} is not UTF-8; save the "
            "file as UTF-8"
        ) from None
    return _parse(text, _Place(str(path), error, numbered=True))


def parse_yaml(text: str, where: str, error: type[HybridonnError] = HybridonnError) -> Any:
    """Read YAML from a text, such as a setting of the command line.

    Args:
        text: The YAML.
        where: What an error names as the place, such as ``--set training.epochs=3``.
        error: The class of the errors.

    Returns:
        The tree, as of :func:`read_yaml`.

    Raises:
        HybridonnError: An error of class ``error``: the text is no YAML that is accepted here.
    """
    if len(text) > MOST_BYTES:
        raise error(f"{where[:60]}...: the value is longer than {MOST_BYTES:,} characters")
    return _parse(text, _Place(where, error, numbered="\n" in text.strip()))


@dataclass(frozen=True)
class _Place:
    """Where a text comes from, and how its errors are raised."""

    where: str
    error: type[HybridonnError]
    numbered: bool  # whether errors state the line

    def fault(self, line: int, found: str) -> HybridonnError:
        """An error in a line, counted from zero as PyYAML does."""
        return self.error(f"{self.where}{f', line {line + 1}' * self.numbered}: {found}")


def _parse(text: str, place: _Place) -> Any:
    try:
        parser = yaml.SafeLoader(text)
    except yaml.reader.ReaderError as fault:
        line, code = text[: fault.position].count("\n"), int(fault.character)
        raise place.fault(line, f"the character U+{code:04X} is not allowed; delete it") from None
    try:
        return _Tree(parser, place).read()
    except yaml.MarkedYAMLError as fault:
        raise place.fault(*_explain_syntax(fault)) from None
    except (yaml.YAMLError, ValueError, OverflowError) as fault:  # an escape such as \UFFFFFFFF
        said = " ".join(str(fault).split())
        raise place.fault(
            parser.line, f"not valid YAML ({said}); check escapes and directives there"
        ) from None


def _explain_syntax(fault: yaml.MarkedYAMLError) -> tuple[int, str]:
    mark = fault.problem_mark or fault.context_mark
    line, column = (mark.line, mark.column) if mark else (0, 0)
    said = " ".join(filter(None, (fault.context, fault.problem)))
    cure = (
        "indent with spaces, not with tabs"
        if "'\\t'" in said
        else "check indentation, colons, brackets and quotes there"
    )
    return line, f"not valid YAML at column {column + 1} ({said}); {cure}"


class _Tree:
    """Builds the tree of one document from its events."""

    def __init__(self, parser: yaml.SafeLoader, place: _Place) -> None:
        self._next = parser.get_event
        self._place = place
        self._nodes = 0

    def read(self) -> Any:
        """The tree of the only document; None where there is none."""
        self._next()  # the start of the stream
        start = self._next()
        if isinstance(start, yaml.StreamEndEvent):
            return None
        if start.tags or start.version not in {None, (1, 2)}:
            raise self._fault(start, "only %YAML 1.2 is read; delete the line that begins with %")
        tree = self._node(self._next(), 0)
        self._next()  # the end of the document
        end = self._next()
        if not isinstance(end, yaml.StreamEndEvent):
            raise self._fault(end, "a second document begins; one file holds one document")
        return tree

    def _node(self, event: yaml.Event, depth: int) -> Any:
        self._refuse_references(event)
        self._nodes += 1
        if self._nodes > MOST_NODES:
            raise self._fault(event, f"more than {MOST_NODES:,} values; shorten it")
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event)
        if depth == MOST_DEPTH:
            raise self._fault(event, f"nested more than {MOST_DEPTH} levels deep; write it flatter")
        if isinstance(event, yaml.SequenceStartEvent):
            return self._list(depth + 1)
        return self._mapping(depth + 1)

    def _list(self, depth: int) -> list[Any]:
        items = []
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            items.append(self._node(event, depth))
        return items

    def _mapping(self, depth: int) -> dict[str, Any]:
        tree: dict[str, Any] = {}
        lines: dict[str, int] = {}
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            key = self._key(event, depth)
            if key in tree:
                raise self._fault(
                    event,
                    f"the key {_shown(key)} stands twice, first in line {lines[key] + 1}; keep one",
                )
            lines[key] = event.start_mark.line
            tree[key] = self._node(self._next(), depth)
        return tree

    def _key(self, event: yaml.Event, depth: int) -> str:
        if isinstance(event, yaml.ScalarEvent) and event.value == "<<" and event.style is None:
            raise self._fault(event, "the merge key << is not read; write the keys out")
        key = self._node(event, depth)
        if not isinstance(key, str):
            shown = _shown(event.value) if isinstance(event, yaml.ScalarEvent) else "a collection"
            raise self._fault(event, f"the key {shown} is not a text; put it in quotes")
        return key

    def _refuse_references(self, event: Any) -> None:
        if isinstance(event, yaml.AliasEvent):
            raise self._fault(event, f"the alias *{event.anchor} is not read; write the value out")
        if event.anchor is not None:
            raise self._fault(event, f"the anchor &{event.anchor} is not read; delete it")
        if event.tag is not None:
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")
            raise self._fault(event, f"the tag {_shown(tag)} is not read; delete it")

    def _scalar(self, event: yaml.ScalarEvent) -> Any:
        text = str(event.value)
        if any(char == "\0" or "\ud800" <= char <= "\udfff" for char in text):
            raise self._fault(event, "an escape stands for no character of a text; delete it")
        if event.style is not None:  # in quotes, or a block
            return text
        try:
            return resolve(text)
        except ValueError as fault:
            raise self._fault(event, f"{_shown(text)} {fault}") from None

    def _fault(self, event: yaml.Event, found: str) -> HybridonnError:
        return self._place.fault(event.start_mark.line, found)


def resolve(text: str) -> Any:
    """The value of a scalar without quotes, by the core schema of YAML 1.2.2.

    Raises:
        ValueError: It is a number that cannot be kept.
    """
    if NULL.fullmatch(text):
        return None
    if match := BOOLEAN.fullmatch(text):
        return match[1] is not None
    if match := NOT_FINITE.fullmatch(text):
        return math.nan if match[2] is None else float(f"{match[1]}inf")
    whole = INTEGER.fullmatch(text)
    if not (whole or FLOAT.fullmatch(text)):
        return text
    if len(text) > MOST_DIGITS:
        raise ValueError(f"is a number of more than {MOST_DIGITS} characters; shorten it")
    if whole:
        return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
    if math.isinf(number := float(text)):
        raise ValueError("is larger than any number in double precision; write .inf if it is meant")
    return number


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:37]}...")
