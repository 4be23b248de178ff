"""The package imports nothing but torch, numpy and the standard library."""

import ast
import subprocess
import sys
from pathlib import Path

import hybridonn.tangent

FOLDER = Path(hybridonn.tangent.__file__).parent
ALLOWED = {"torch", "numpy", *sys.stdlib_module_names}

# Imports every module of the package while a hook notes what each of them asks for.
SCRIPT = """
import builtins, pkgutil, sys

found = set()
original = builtins.__import__

def note(name, globals=None, locals=None, fromlist=(), level=0):
    importer = (globals or {}).get("__name__") or ""
    if importer.startswith("hybridonn"):
        found.add(name)
    return original(name, globals, locals, fromlist, level)

builtins.__import__ = note
import hybridonn.tangent
for module in pkgutil.walk_packages(hybridonn.tangent.__path__, "hybridonn.tangent."):
    __import__(module.name)
found |= {name for name in sys.modules if name.startswith("hybridonn.")}
print(*sorted(found))
"""


def is_allowed(name):
    parts = name.split(".")
    return parts[0] in ALLOWED or parts[:2] == ["hybridonn", "tangent"]


def test_importing_every_module_loads_no_other_room():
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True
    )
    names = done.stdout.split()
    assert "hybridonn.tangent.infinite" in names and "torch" in names
    assert [name for name in names if not is_allowed(name)] == []


def test_no_import_inside_a_function_asks_for_another_room():
    asked = set()
    for path in FOLDER.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                asked |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path} imports by a relative name"
                asked.add(node.module)
    assert [name for name in sorted(asked) if not is_allowed(name)] == []
