"""Finds code that a spec names as ``package.module:callable``, and checks it before it is called.

Importing a module runs it, so whoever writes a spec decides what runs. What is imported is
called only if it is a class of the kind that is asked for, or a function that is annotated to
return one: ``subprocess:getoutput`` is not called.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.machinery import PathFinder
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from hybridonn.core.errors import SpecError

MARK = "__hybridonn_source__"  # of an imported module: its file and the hash of it


def split_name(text: str) -> tuple[str, str]:
    """Module and callable of ``package.module:callable``.

    Raises:
        ValueError: It is no such name.
    """
    module, colon, attribute = text.partition(":")
    if not (colon and attribute.isidentifier() and all(map(str.isidentifier, module.split(".")))):
        raise ValueError(
            f"{text!r} is no name of code; write package.module:callable, such as mynet:Teacher"
        )
    return module, attribute


def import_callable(text: str, folder: Path | None, returns: type, key: str) -> Callable[..., Any]:
    """Import what a spec names, and check that it makes an object of a kind.

    Args:
        text: ``package.module:callable``.
        folder: Where the module is looked for first, then where Python looks; None: there only.
        returns: The class of the objects that the callable must make.
        key: The key of the spec, for errors.

    Returns:
        The callable, which has not been called.

    Raises:
        SpecError: It cannot be found or imported, or it is neither a class of this kind nor a
            function that is annotated to return one.
    """
    try:
        module_name, attribute = split_name(text)
    except ValueError as fault:
        raise SpecError(f"{key} is {fault}") from None
    module = _import(text, module_name, _absolute(folder), key)
    if not hasattr(module, attribute):
        raise SpecError(
            f"{key} is {text!r}, which cannot be imported: {module_name} defines no {attribute}"
        )
    made = getattr(module, attribute)
    if refusal := _refuse(made, returns):
        kind = _public_name(returns)
        raise SpecError(
            f"{key} is {text!r}, {refusal}, so it is not called; allowed is a class that derives "
            f"from {kind}, or a function with the annotation -> {kind}"
        )
    return made


def _public_name(kind: type) -> str:
    """The name by which users write a class: of the package that shows it, not of its file."""
    parts = kind.__module__.split(".")
    packages = [".".join(parts[:count]) for count in range(1, len(parts) + 1)]
    shown = next(p for p in packages if getattr(sys.modules[p], kind.__name__, None) is kind)
    return f"{shown}.{kind.__name__}"


@contextmanager
def searched_first(folder: Path | None) -> Iterator[None]:
    """A context in which imports look into a folder first, as those of a script do.

    Args:
        folder: None: nothing changes.
    """
    if folder is None:
        yield
        return
    place = str(_absolute(folder))
    sys.path.insert(0, place)
    try:
        yield
    finally:
        sys.path.remove(place)


def hash_code(text: str, folder: Path | None) -> str:
    """A hash of the source of named code, and of what it imports from its own folder.

    Args:
        text: ``package.module:callable``.
        folder: Where the module is looked for first.

    Returns:
        SHA-256, or nothing where the source cannot be found; :func:`import_callable` says why.
    """
    try:
        sources = _find_sources(split_name(text)[0], _absolute(folder))
    except ValueError:
        return ""
    hashes = [_hash(file) for _, file in sorted(sources.items())]
    return hashlib.sha256("".join(hashes).encode()).hexdigest() if hashes else ""


def _absolute(folder: Path | None) -> Path | None:
    return None if folder is None else folder.expanduser().resolve()


def _import(text: str, name: str, folder: Path | None, key: str) -> ModuleType:
    if folder is not None and not folder.is_dir():
        place = f"{key.rpartition('.')[0]}.code_folder"
        raise SpecError(
            f"{key} is {text!r}, which is looked for in {folder}: that is no folder; set {place}"
        )
    sources = _find_sources(name, folder) if _is_in(folder, name) else {}
    _forget_changed(sources, f"{key} is {text!r}")
    importlib.invalidate_caches()
    try:
        with searched_first(folder):
            module = importlib.import_module(name)
    except ModuleNotFoundError as fault:
        raise SpecError(
            f"{key} is {text!r}, {_explain_missing(fault, name, folder, key)}"
        ) from None
    except (Exception, SystemExit) as fault:  # whatever the user's code raises
        said = " ".join(str(fault).split())
        raise SpecError(
            f"{key} is {text!r}, which cannot be imported: it ends with {type(fault).__name__}: "
            f"{said}"
        ) from fault
    for one in sources.keys() & sys.modules.keys():
        setattr(sys.modules[one], MARK, (sources[one], _hash(sources[one])))
    return module


def _explain_missing(fault: ModuleNotFoundError, name: str, folder: Path | None, key: str) -> str:
    missing = fault.name or name
    if name != missing and not name.startswith(f"{missing}."):
        return f"which cannot be imported: it imports {missing}, which is not found; install it"
    looked = f"in {folder} or among the installed packages" if folder else "where Python looks"
    return (
        f"which cannot be imported: no module {missing} is found {looked}; put "
        f"{missing.replace('.', '/')}.py beside the spec, or name its folder by "
        f"{key.rpartition('.')[0]}.code_folder"
    )


def _forget_changed(sources: dict[str, Path], named: str) -> None:
    """Let code that was imported before be imported anew where its source is another one now.

    Raises:
        SpecError: Another module of the same name is in use that no spec named.
    """
    known = {name: sys.modules[name] for name in sources if name in sys.modules}
    changed = False
    for name, module in known.items():
        file = getattr(module, "__file__", None)
        if hasattr(module, MARK):
            changed |= getattr(module, MARK) != (sources[name], _hash(sources[name]))
        elif file is None or Path(file).resolve() != sources[name]:
            raise SpecError(
                f"{named}, but {sources[name]} has the name of a module that is in use already, "
                f"{file or f'{name} of Python'}; rename yours"
            )
    if changed:
        for name in known:
            del sys.modules[name]


def _is_in(folder: Path | None, module: str) -> bool:
    top = module.partition(".")[0]
    return folder is not None and PathFinder.find_spec(top, [str(folder)]) is not None


def _find_sources(module: str, folder: Path | None) -> dict[str, Path]:
    """The files of a module, and of what it imports from its folder, directly or not, by name.

    Nothing of the folder is run. Nothing is found where the import fails, which says why.
    """
    from modulefinder import ModuleFinder

    try:
        if not _is_in(folder, module):
            file = getattr(sys.modules.get(module), "__file__", None)
            found = None if file else importlib.util.find_spec(module)
            file = found.origin if found and found.has_location else file
            return {module: Path(file).resolve()} if file else {}
        finder = ModuleFinder([str(folder)])
        finder.import_hook(module)
    except (ImportError, SyntaxError, ValueError, OSError):
        return {}
    files = {name: getattr(one, "__file__", None) for name, one in finder.modules.items()}
    return {name: Path(file).resolve() for name, file in files.items() if file}


def _hash(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _refuse(made: Any, returns: type) -> str | None:
    """Why something may not be called; None: it may."""
    while isinstance(made, functools.partial):
        made = made.func
    if inspect.isclass(made):
        return None if issubclass(made, returns) else f"a class that is no {returns.__name__}"
    if not isinstance(made, FunctionType):
        return f"which is neither a class nor a function but a {type(made).__name__}"
    inner = inspect.unwrap(made)
    try:
        stated = inner.__annotations__["return"]
    except KeyError:
        return "a function that does not say what it returns"
    except NameError:  # Python 3.14 resolves annotations here
        stated = None
    found = _resolve(stated, inner.__globals__)
    if inspect.isclass(found) and issubclass(found, returns):
        return None
    shown = stated if isinstance(stated, str) else getattr(stated, "__name__", repr(stated))
    known = "" if inspect.isclass(found) else ", which is no class that its module knows"
    return f"a function that says that it returns {shown}{known}"


def _resolve(stated: Any, names: dict[str, Any]) -> Any:
    """The class that an annotation names, found by looking names up, never by evaluating it."""
    if not isinstance(stated, str):
        return stated
    try:
        node = ast.parse(stated.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return _resolve(node.value, names)
    attributes: list[str] = []
    while isinstance(node, ast.Attribute):
        attributes.insert(0, node.attr)
        node = node.value
    found = names.get(node.id) if isinstance(node, ast.Name) else None
    for attribute in attributes:
        found = getattr(found, attribute, None) if inspect.ismodule(found) else None
    return found
