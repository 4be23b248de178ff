"""Harm to trees of values, as JSON and YAML hold them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from random import Random
from typing import Any

from fuzzing.damage_bytes import flip_bits

DEEP: Any = None
for _ in range(300):
    DEEP = [DEEP]

VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 3, 7, 0.5, -0.0, 1e308, -1e308, float("inf"), float("nan")),
    *(2**31, 2**63, 2**64, -(2**63), 10**22, 10**400, 1e22, 1e-320, 30000, 1_000_000_000),
    *("", "x", "nan", "../../x", "/etc/passwd", "\x00", "\ud800", "é" * 300, "x" * 200_000, "[/x]"),
    *([], {}, [None], [[]], [1, 2, 3], [0] * 3000, {"": None}, {"x": {"x": {}}}, DEEP),
    *(["a", 1, None], {"a": 1}, [float("nan")] * 4, [[0.0] * 4] * 4, [10**9], [[1, 2], [3]]),
)


def harm_json(dice: Random, content: bytes, pool: Sequence[bytes]) -> bytes:
    """Change values, keys and shapes within a JSON file that stays JSON."""
    try:
        tree = json.loads(content)
    except ValueError:
        return flip_bits(dice, content, pool)
    for _ in range(dice.choice((1, 1, 2, 4))):
        tree = harm_tree(dice, tree)
    text = json.dumps(tree)
    if dice.random() < 0.1:  # a key that stands twice, or a number that Python does not write
        text = text.replace("{", '{"fingerprint": 1, ', 1)
    if dice.random() < 0.1:
        text = text.replace("1", dice.choice(("1e999", "1" * 5000, "-", "01")), 1)
    return text.encode("utf-8", "surrogatepass")


def harm_tree_as_yaml(dice: Random, content: bytes, pool: Sequence[bytes]) -> bytes:
    """Change values, keys and shapes within a YAML file that stays YAML."""
    import yaml

    try:
        tree = yaml.safe_load(content)
    except (yaml.YAMLError, ValueError):
        return flip_bits(dice, content, pool)
    for _ in range(dice.choice((1, 1, 2, 4))):
        tree = harm_tree(dice, tree)
    return _as_yaml(tree).encode("utf-8", "surrogatepass")


def harm_tree(dice: Random, tree: Any) -> Any:
    """The tree with one node replaced, dropped, doubled, renamed or moved."""
    paths = list(_paths(tree))
    path = dice.choice(paths)
    what = dice.randrange(8)
    if what < 4 or not path:
        return _put(tree, path, dice.choice(VALUES))
    if what == 4:
        return _drop(tree, path)
    if what == 5:
        return _put(tree, path, _get(tree, dice.choice(paths)))
    if what == 6:
        value = _get(tree, path)
        return _put(tree, path, dice.choice(([value], {"x": value}, str(value), [value, value])))
    return _rename(tree, path, dice.choice(("", "x", "name", "../x", "é", "0", "x" * 1000)))


def _paths(tree: Any, before: tuple[Any, ...] = ()) -> Any:
    yield before
    items = (
        tree.items()
        if isinstance(tree, dict)
        else enumerate(tree)
        if isinstance(tree, list)
        else ()
    )
    if len(before) < 12:
        for key, value in list(items)[:50]:
            yield from _paths(value, (*before, key))


def _get(tree: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        tree = tree[key]
    return tree


def _change(tree: Any, path: tuple[Any, ...], change: Any) -> Any:
    """A copy of the tree in which the last container on a path is changed."""
    copied = dict(tree) if isinstance(tree, dict) else list(tree)
    if len(path) == 1:
        return change(copied, path[0])
    copied[path[0]] = _change(copied[path[0]], path[1:], change)
    return copied


def _put(tree: Any, path: tuple[Any, ...], value: Any) -> Any:
    def put(container: Any, key: Any) -> Any:
        container[key] = value
        return container

    return _change(tree, path, put) if path else value


def _drop(tree: Any, path: tuple[Any, ...]) -> Any:
    def drop(container: Any, key: Any) -> Any:
        del container[key]
        return container

    return _change(tree, path, drop)


def _rename(tree: Any, path: tuple[Any, ...], name: str) -> Any:
    def rename(container: Any, key: Any) -> Any:
        if isinstance(container, dict):
            container[name] = container.pop(key)
        return container

    return _change(tree, path, rename)


def _as_yaml(tree: Any) -> str:
    # JSON is YAML, but for numbers that are not finite; and yaml.dump would write aliases.
    text = json.dumps(tree)
    return text.replace("-Infinity", "-.inf").replace("Infinity", ".inf").replace("NaN", ".nan")
