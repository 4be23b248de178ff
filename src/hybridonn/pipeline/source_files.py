"""The source files of a user's own code that a spec names."""

from __future__ import annotations

import ast
import sys
import sysconfig
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path


def list_sources(name: str) -> tuple[Path, ...]:
    """The files that ``package.module:callable`` is made of, sorted.

    They are the file of the module and, from there on, the files that its imports lead to in the
    folder in which it lies: of installed packages those of the same package alone, whose version
    holds the others. What is imported by a name that is computed is not found.

    Args:
        name: A teacher's name; a built-in teacher, and one that cannot be found, has no files.
    """
    module, colon, _ = name.partition(":")
    first = _find(module) if colon else None
    if first is None:
        return ()
    parts = module.split(".")
    depth = len(parts) - 1 + (first.name == "__init__.py")
    root = first.parents[min(depth, len(first.parents) - 1)]
    alone = _is_installed(root)
    found: set[Path] = set()
    left = [(module, first), *_list_modules(root, parts)]
    while left:
        module, path = left.pop()
        if path not in found:
            found.add(path)
            imported = (
                one for names in _follow(module, path) for one in _list_modules(root, names)
            )
            left += (one for one in imported if not alone or one[0].split(".")[0] == parts[0])
    return tuple(sorted(found))


def _find(module: str) -> Path | None:
    """The file of a module; nothing is imported but the packages that it lies in."""
    loaded = getattr(sys.modules.get(module), "__file__", None)
    try:
        origin = loaded or getattr(find_spec(module), "origin", None)
    except (ImportError, ValueError, AttributeError, RuntimeError):
        return None
    path = Path(origin).absolute() if origin else None
    return path if path and path.is_file() else None


def _is_installed(folder: Path) -> bool:
    places = {Path(sysconfig.get_path(key)).absolute() for key in ("stdlib", "purelib", "platlib")}
    return folder in places or folder.name in ("site-packages", "dist-packages")


def _follow(module: str, path: Path) -> Iterator[list[str]]:
    """The names that a file imports, dotted names in parts; the last may be no module."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    around = package.split(".")
    state = path.stat()
    for level, base, name in _read_imports(path, state.st_size, state.st_mtime_ns):
        above = around[: len(around) - level + 1] if level else []
        yield [part for part in (*above, *base.split("."), name) if part]


def _list_modules(root: Path, parts: list[str]) -> Iterator[tuple[str, Path]]:
    """The modules below a folder that are imported on the way to a name."""
    for end in range(1, len(parts) + 1):
        if path := _place(root, parts[:end]):
            yield ".".join(parts[:end]), path


def _place(root: Path, parts: list[str]) -> Path | None:
    """The file of a module below a folder."""
    folder = root.joinpath(*parts)
    for path in (folder / "__init__.py", folder.with_name(f"{parts[-1]}.py")):
        if path.is_file():
            return path
    return None


@cache
def _read_imports(path: Path, size: int, time_ns: int) -> tuple[tuple[int, str, str], ...]:
    """The imports of a file: packages to go up, from what, which name; none if it is no code."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ()
    found: list[tuple[int, str, str]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(0, alias.name, "") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found += [(node.level, node.module or "", alias.name) for alias in node.names]
    return tuple(found)
