from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from hybridonn.core.errors import SpecError
from hybridonn.core.user_code import hash_code, import_callable, split_name


@pytest.fixture(autouse=True)
def _forget_modules() -> Iterator[None]:
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


def write(folder: Path, text: str, name: str = "own_code") -> Path:
    folder.mkdir(exist_ok=True, parents=True)
    (folder / f"{name}.py").write_text(text)
    return folder


def find(folder: Path | None, text: str = "own_code:make") -> Callable[..., Any]:
    return import_callable(text, folder, Fraction, "teacher.name")


@pytest.mark.parametrize(
    "text",
    [
        *(":x", "a:", ":", "a", "", "a:b:c", "a.:b", ".a:b", "..a:b", "a..b:c", "a b:c", "a-b:c"),
        *("a/b:c", "a:b.c", "a:b()", "1a:b", "a:1b", "a:b ", "a\0:b", "a:\n"),
    ],
)
def test_a_malformed_name_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no name of code; write package\.module:callable"):
        split_name(text)
    with pytest.raises(SpecError, match=r"teacher\.name is .*is no name of code"):
        find(None, text)
    assert hash_code(text, None) == ""


CALLABLES = """
from __future__ import annotations
import fractions
import functools
import os
from fractions import Fraction
from functools import partial, wraps

class Own(Fraction):
    pass

class Other:
    pass

def make() -> Fraction:
    return Fraction(1, 2)

def dotted() -> fractions.Fraction:
    return Fraction(1, 2)

def quoted() -> "Own":
    return Own(1, 2)

def logged(function):
    @wraps(function)
    def call(*arguments):
        return function(*arguments)
    return call

@logged
def decorated() -> Own:
    return Own(1, 2)

given = partial(partial(make))

def silent():
    raise SystemExit("called")

def other() -> Other:
    raise SystemExit("called")

def maybe() -> Fraction | None:
    raise SystemExit("called")

def unknown() -> Missing:
    raise SystemExit("called")

def evaluated() -> os.mkdir("called"):
    raise SystemExit("called")

def shadow() -> Fraction.mro:
    raise SystemExit("called")

run = partial(silent)
value = Own(1, 2)
"""


@pytest.mark.parametrize("name", ["Own", "make", "dotted", "quoted", "decorated", "given"])
def test_classes_and_annotated_functions_are_found(tmp_path: Path, name: str) -> None:
    made = find(write(tmp_path, CALLABLES), f"own_code:{name}")

    assert made is getattr(sys.modules["own_code"], name)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Other", "a class that is no Fraction, so it is not called"),
        ("silent", "a function that does not say what it returns, so it is not called"),
        ("run", "a function that does not say what it returns"),
        ("other", "a function that says that it returns Other, so it is not called"),
        ("maybe", r"says that it returns Fraction \| None, which is no class"),
        ("unknown", "says that it returns Missing, which is no class that its module knows"),
        ("evaluated", "which is no class that its module knows"),
        ("shadow", "which is no class that its module knows"),
        ("value", "neither a class nor a function but a Own"),
        ("absent", "defines no absent"),
    ],
)
def test_what_is_not_annotated_is_never_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(SpecError, match=rf"teacher\.name is 'own_code:{name}'.*{said}"):
        find(write(tmp_path, CALLABLES), f"own_code:{name}")

    assert not Path("called").exists()


@pytest.mark.parametrize(
    "text",
    ["subprocess:getoutput", "os:system", "builtins:eval", "builtins:print", "shutil:rmtree"],
)
def test_functions_of_python_are_never_called(text: str) -> None:
    with pytest.raises(SpecError, match="so it is not called; allowed is a class"):
        find(None, text)


def test_a_class_of_an_installed_package_is_found(tmp_path: Path) -> None:
    assert find(tmp_path, "fractions:Fraction") is Fraction


def test_modules_beside_it_are_found_and_the_path_stays(tmp_path: Path) -> None:
    write(tmp_path, "HALF = (1, 2)\n", "own_numbers")
    write(
        tmp_path,
        "from fractions import Fraction\nimport own_numbers\n"
        "def make() -> Fraction:\n    return Fraction(*own_numbers.HALF)\n",
    )
    before = list(sys.path)

    assert find(tmp_path)() == Fraction(1, 2)
    assert sys.path == before


def test_a_package_is_found(tmp_path: Path) -> None:
    write(tmp_path / "own_package", "", "__init__")
    write(tmp_path / "own_package", "from fractions import Fraction\n", "base")
    write(tmp_path / "own_package", "from .base import Fraction as Made\n", "parts")

    assert find(tmp_path, "own_package.parts:Made") is Fraction
    assert hash_code("own_package.parts:Made", tmp_path)


MAKE = "from fractions import Fraction\ndef make() -> Fraction:\n    return Fraction({})\n"


def test_modules_of_one_name_in_two_folders_are_two(tmp_path: Path) -> None:
    one = write(tmp_path / "one", MAKE.format(1))
    two = write(tmp_path / "two", MAKE.format(2))

    assert [find(one)(), find(two)(), find(one)()] == [1, 2, 1]


def test_modules_beside_others_of_one_name_are_two(tmp_path: Path) -> None:
    text = "from fractions import Fraction\nimport own_{0}\n"
    text += "def make() -> Fraction:\n    return Fraction(own_{0}.NUMBER)\n"
    for number, name in ((1, "first"), (2, "second")):
        write(tmp_path / name, text.format("number"), name)
        write(tmp_path / name, f"NUMBER = {number}\n", "own_number")

    assert find(tmp_path / "first", "first:make")() == 1
    assert find(tmp_path / "second", "second:make")() == 2


def test_a_change_is_seen_by_the_hash_and_by_the_import(tmp_path: Path) -> None:
    write(tmp_path, "NUMBER = 1\n", "own_number")
    write(tmp_path, "pass\n", "own_unused")
    write(tmp_path, MAKE.format("own_number.NUMBER") + "import own_number\n")
    first = hash_code("own_code:make", tmp_path)
    assert find(tmp_path)() == 1

    write(tmp_path, "pass  # changed\n", "own_unused")
    assert hash_code("own_code:make", tmp_path) == first
    write(tmp_path, "NUMBER = 22\n", "own_number")
    assert hash_code("own_code:make", tmp_path) != first
    assert find(tmp_path)() == 22


def test_the_hash_does_not_depend_on_the_folder_and_runs_nothing(tmp_path: Path) -> None:
    text = "raise SystemExit('run')\n"
    one, two = (write(tmp_path / name, text) for name in ("one", "two"))

    assert hash_code("own_code:make", one) == hash_code("own_code:make", two) != ""


def test_a_name_that_is_taken_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"pytest.py has the name of a module that is in use"):
        find(write(tmp_path, MAKE.format(1), "pytest"), "pytest:make")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import no_such_package\n", "it imports no_such_package, which is not found"),
        ("1 / 0\n", "it ends with ZeroDivisionError: division by zero"),
        ("def (\n", "it ends with SyntaxError"),
        ("raise SystemExit(3)\n", "it ends with SystemExit: 3"),
        ("\0", "it ends with (SyntaxError|ValueError)"),
    ],
)
def test_an_import_that_fails_is_explained(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(SpecError, match=said):
        find(write(tmp_path, text))


def test_what_is_missing_is_said_with_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=rf"no module own_code is found in {tmp_path} or among"):
        find(tmp_path)
    with pytest.raises(SpecError, match=r"put own_code\.py beside the spec, or name its folder"):
        find(None)
    with pytest.raises(SpecError, match="nowhere: that is no folder"):
        find(tmp_path / "nowhere")
