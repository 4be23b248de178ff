"""Writes YAML that readers of YAML 1.2 and of YAML 1.1 understand alike."""

from __future__ import annotations

import re
from typing import Any

import yaml

from hybridonn.core.yaml_reading import BOOLEAN, FLOAT, INTEGER, NULL


class _Dumper(yaml.SafeDumper):
    """PyYAML's, without aliases, and with quotes around texts that either version takes otherwise.

    PyYAML itself puts quotes only where YAML 1.1 would read no text: ``1e5`` and ``08`` are texts
    to YAML 1.1 and numbers to YAML 1.2.
    """

    def ignore_aliases(self, data: Any) -> bool:
        """Write a value that occurs twice out twice."""
        return True


for _kind, _pattern in (("null", NULL), ("bool", BOOLEAN), ("int", INTEGER), ("float", FLOAT)):
    _whole = re.compile(rf"(?:{_pattern.pattern})\Z")
    _Dumper.add_implicit_resolver(f"tag:yaml.org,2002:{_kind}", _whole, None)


def dump_yaml(tree: Any) -> str:
    """A tree of plain values as YAML, its keys in order."""
    return yaml.dump(tree, Dumper=_Dumper, sort_keys=False)
