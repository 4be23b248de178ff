"""What a command has left: the names of all files, and what of their content must be equal."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import numpy as np

# What may differ from run to run: times of day, times taken, and what is drawn of them.
BY_NAME_ALONE = {".html", ".png", ".svg", ".csv", ".json", ".yaml", ".so"}
LOCKS = (".lock",)
KEY = re.compile(r"[0-9a-f]{64}")  # of what the cache keeps, and some keys hold times of files


def take_stock(home: Path) -> dict[str, str]:
    """Path within ``home`` -> what its content must be; folders end with a slash."""
    stock = {}
    for path in sorted(home.rglob("*")):
        name = KEY.sub("KEY", str(path.relative_to(home)))
        stock[name + "/" * path.is_dir()] = "" if path.is_dir() else _describe(path)
    return stock


def compare(found: dict[str, str], wanted: dict[str, str]) -> dict[str, list[str]]:
    """How a stock differs from that of an undisturbed command, by kind of difference.

    What is missing in the cache is no fault: it costs the next run time, and no more.
    """
    missing = set(wanted) - set(found)
    return {
        "left over": sorted(set(found) - set(wanted)),
        "missing": sorted(name for name in missing if not name.startswith("cache/")),
        "different": sorted(n for n in wanted if n in found and found[n] != wanted[n]),
    }


def _describe(path: Path) -> str:
    if path.name == "results.json":
        return json.dumps(_without_times(json.loads(path.read_text("utf-8"))), sort_keys=True)
    if path.name in LOCKS or path.suffix in BY_NAME_ALONE:
        return ""
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as archive:
            parts = [(name, archive[name].tobytes()) for name in sorted(archive.files)]
        return hashlib.sha256(repr(parts).encode()).hexdigest()
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _without_times(tree: Any) -> Any:
    if not isinstance(tree, dict):
        return tree
    return {key: _without_times(value) for key, value in tree.items() if "seconds" not in key}
