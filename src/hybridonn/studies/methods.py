"""What a study is told on the command line: methods, and grids of tuned values."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

from hybridonn.core.errors import SpecError
from hybridonn.core.yaml_reading import parse_yaml
from hybridonn.distillation.methods import METHODS, is_own_code
from hybridonn.spec import Method, Tuned
from hybridonn.studies.counts import split_list
from hybridonn.studies.optics_choice import parse_optics


def parse_methods(text: str) -> tuple[Method, ...]:
    """Methods separated by commas, each once.

    Raises:
        SpecError: A method is unknown, named twice, or empty.
    """
    allowed = (
        f"any of {', '.join(METHODS)}, with commas, or your own loss term as "
        "package.module:callable"
    )
    names = split_list("--methods", text, allowed)
    unknown = [name for name in names if name not in METHODS and not is_own_code(name)]
    if unknown:
        raise SpecError(f"--methods {text}: {unknown[0]!r} is no method; allowed is {allowed}")
    return tuple(names)  # type: ignore[return-value]


def choose_compared(methods: str | None, optics: str | None) -> tuple[tuple[str, ...], str]:
    """What ``compare`` is asked for, and the end of its folder's name.

    Args:
        methods: Option ``--methods``.
        optics: Option ``--optics``.

    Raises:
        SpecError: Both are given, or one of them names what is not known.
    """
    if optics is None:
        return parse_methods("none,kd,ntkd" if methods is None else methods), "compare"
    if methods is not None:
        raise SpecError(
            "--methods and --optics are both given; optics are compared with students of one "
            "method: leave --methods out and set distillation.method with --set"
        )
    return parse_optics(optics), "compare-optics"


def parse_grid(lines: list[str]) -> dict[str, list[Any]]:
    """``key=v1,v2`` lines to values by key.

    Raises:
        SpecError: A key cannot be tuned or is given twice, or a value is, or there is none.
    """
    grid: dict[str, list[Any]] = {}
    known = list(Tuned.model_fields)
    for line in lines:
        key, _, text = line.partition("=")
        if key not in known:
            near = get_close_matches(key, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else "."
            raise SpecError(
                f"--grid {line}: {key!r} cannot be tuned{hint} Known: {', '.join(known)}"
            )
        words = split_list(f"--grid {key}", text, f"--grid {key}=V1,V2")
        values = [parse_yaml(word, f"--grid {line}", SpecError) for word in words]
        shown = ", ".join(map(str, values))
        if key in grid:
            raise SpecError(f"--grid {line}: {key} is given twice; give all its values at once")
        if len(set(map(str, values))) < len(values):
            raise SpecError(f"--grid {line}: a value stands twice in {shown}; name each once")
        grid[key] = values
    return grid
