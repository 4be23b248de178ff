"""What a study is told on the command line: methods, and grids of tuned values."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

import yaml

from hybridonn.errors import SpecError
from hybridonn.spec import METHODS, Method, Tuned


def parse_methods(text: str) -> tuple[Method, ...]:
    """Methods separated by commas, each once.

    Raises:
        SpecError: A method is unknown or named twice.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in METHODS]
    if unknown or not names:
        raise SpecError(f"--methods {text}: allowed is any of {', '.join(METHODS)}, with commas")
    if len(set(names)) < len(names):
        raise SpecError(f"--methods {text}: a method is named twice")
    return tuple(names)  # type: ignore[return-value]


def parse_grid(lines: list[str]) -> dict[str, list[Any]]:
    """``key=v1,v2`` lines to values by key.

    Raises:
        SpecError: A key cannot be tuned, or has no values.
    """
    grid: dict[str, list[Any]] = {}
    known = list(Tuned.model_fields)
    for line in lines:
        key, _, text = line.partition("=")
        if key not in known:
            near = get_close_matches(key, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise SpecError(
                f"--grid {line}: {key!r} cannot be tuned{hint} Known: {', '.join(known)}"
            )
        values = [yaml.safe_load(value) for value in text.split(",") if value.strip()]
        if not values:
            raise SpecError(f"--grid {line}: found no values; write --grid {key}=V1,V2")
        grid[key] = values
    return grid
