"""Harm to settings, ``key.path=value``: any key of the spec with any value."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from random import Random
from typing import Any

from fuzzing.damage_text import NUMBERS, ODDITIES, YAML
from fuzzing.damage_trees import VALUES


@cache
def list_keys() -> tuple[str, ...]:
    """Every key of a spec with all sections, and a few that are none."""
    from hybridonn.spec import Compensation, Fabrication, Metasurface, Spec

    tree = Spec().model_dump(mode="json")
    tree["optics"]["metasurface"] = Metasurface().model_dump(mode="json")
    tree["fabrication"] = Fabrication().model_dump(mode="json")
    tree["compensation"] = Compensation().model_dump(mode="json")
    odd = (
        "",
        ".",
        "x",
        "name.x",
        "student.",
        ".student",
        "student..kernels",
        "teacher.arguments.x",
    )
    return (*_paths(tree, ""), *odd)


def harm_setting(dice: Random, content: bytes, pool: Sequence[bytes]) -> bytes:
    """One or a few settings with odd values, beside one that may be valid."""
    lines = [_odd(dice) for _ in range(dice.choice((1, 1, 1, 2, 3)))]
    if dice.random() < 0.3:
        lines.append(content.decode())
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def _odd(dice: Random) -> str:
    key, what = dice.choice(list_keys()), dice.randrange(6)
    if what < 3:
        value = dice.choice(NUMBERS)
    elif what == 3:
        value = json.dumps(dice.choice(VALUES), ensure_ascii=False)
    elif what == 4:
        value = dice.choice(ODDITIES)
    else:
        value = dice.choice(YAML).decode("utf-8", "surrogateescape")
    # A setting is a line here; the shell would hand over more.
    return f"{key}{dice.choice(('=', '=', '=', '=', '', '==', ' = '))}{value}".replace("\n", " ")


def _paths(tree: dict[str, Any], before: str) -> list[str]:
    found = []
    for key, value in tree.items():
        found.append(before + key)
        if isinstance(value, dict):
            found += _paths(value, f"{before}{key}.")
    return found
