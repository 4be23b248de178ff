"""Files stay under 400 lines and functions short."""

import ast
from pathlib import Path
from statistics import median

SOURCE = Path(__file__).parents[1] / "src" / "hybridonn"
LONGEST_FILE = 400
MEDIAN_FUNCTION = 7  # lines of the body, without the docstring


def measure_functions(path):
    """The lines of each function's body, without its docstring."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) is not None else node.body
            yield node.end_lineno - body[0].lineno + 1 if body else 0


def test_no_file_is_too_long():
    for path in SOURCE.rglob("*.py"):
        name = path.relative_to(SOURCE).as_posix()
        lines = len(path.read_text("utf-8").splitlines())
        assert lines <= LONGEST_FILE, f"{name} has {lines} lines: split it"


def test_most_functions_are_short():
    lengths = [n for path in SOURCE.rglob("*.py") for n in measure_functions(path)]
    assert median(lengths) <= MEDIAN_FUNCTION
