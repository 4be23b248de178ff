from __future__ import annotations

import math
import time
from pathlib import Path

import pytest

from hybridonn.core.errors import HybridonnError, SpecError
from hybridonn.core.yaml_reading import MOST_BYTES, MOST_DEPTH, parse_yaml, read_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        # Examples 10.8 and 10.9 of YAML 1.2.2, and what YAML 1.1 takes otherwise.
        ("010", 10),
        ("-0o", "-0o"),
        ("0o17", 15),
        ("0x3A", 58),
        ("-19", -19),
        ("+12", 12),
        ("0.", 0.0),
        ("-0.0", -0.0),
        (".5", 0.5),
        ("1e-3", 1e-3),
        ("+12e03", 12e3),
        ("-2E+05", -2e5),
        (".inf", math.inf),
        ("-.Inf", -math.inf),
        ("~", None),
        ("null", None),
        ("Null", None),
        ("", None),
        ("true", True),
        ("False", False),
        *(
            (text, text)
            for text in (
                *("yes", "no", "on", "off", "y", "n", "nan", "inf", "nULL", "tRue", "0b1"),
                *("1:30", "1:30.5", "1_000", "2024-01-01", "2024-13-99", "2001-12-14t21:59:43.1Z"),
                *("1e", "e3", ".", "+", "=", "0x", "1.2.3", "1 2"),
            )
        ),
        ("'010'", "010"),
        ('"true"', "true"),
        ("|\n  1\n  2\n", "1\n2\n"),
    ],
)
def test_a_scalar_is_that_of_yaml_1_2(text: str, value: object) -> None:
    found = parse_yaml(f"key: {text}", "here")["key"]

    assert found == value
    assert type(found) is type(value)


def test_nan_is_read() -> None:
    assert all(math.isnan(one) for one in parse_yaml("[.nan, .NaN, .NAN]", "here"))


def test_collections_are_plain() -> None:
    text = "a: [1, {b: c}]\n? d\n: - e\n  - {f}\ng: {}\n"

    assert parse_yaml(text, "here") == {"a": [1, {"b": "c"}], "d": ["e", {"f": None}], "g": {}}


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("a: 1\nb:\n  c: 1\n  c: 2\n", 4, "the key 'c' stands twice, first in line 3"),
        ("a: {b: 1, b: 2}\nc: 1", 1, "the key 'b' stands twice"),
        ("a: 1\n'a': 2\n", 2, "the key 'a' stands twice"),
        ("a: &x [1]\nb: *x\n", 1, "the anchor &x is not read"),
        ("a: 1\nb: *x\n", 2, "the alias *x is not read"),
        ("a: 1\n*x : 1\n", 2, "the alias *x is not read"),
        ("a: 1\nb: !!str 1\n", 2, "the tag '!!str' is not read"),
        ("a: 1\nb: ! 1\n", 2, "the tag '!' is not read"),
        ("a: 1\nb: !!python/object/apply:os.system [ls]\n", 2, "!!python/object/apply:os.system"),
        ("a: 1\n!!str b: 1\n", 2, "the tag '!!str' is not read"),
        ("a: 1\n<<: {b: 1}\n", 2, "the merge key << is not read"),
        ("a: 1\n1: 2\n", 2, "the key '1' is not a text; put it in quotes"),
        ("a: 1\n~: 2\n", 2, "the key '~' is not a text"),
        ("a: 1\n[b]: 2\n", 2, "the key a collection is not a text"),
        ("a: 1\n---\nb: 1\n", 2, "a second document begins"),
        ("%YAML 1.1\n---\na: 1\n", 1, "only %YAML 1.2 is read"),
        (f"%YAML {'1' * 5000}.1\n---\n", 1, "not valid YAML"),
        ("a: 1\nb: 1e999\n", 2, "'1e999' is larger than any number"),
        (f"a: 1\nb: {'1' * 5000}\n", 2, "is a number of more than 100 characters"),
        (f"a: 1\nb: {'1' * 5000}.0\n", 2, "is a number of more than 100 characters"),
        (f"a: 1\nb: {'[' * 500}\n", 2, f"nested more than {MOST_DEPTH} levels deep"),
        (f"a:\n  {'- ' * 500}\n", 2, f"nested more than {MOST_DEPTH} levels deep"),
        (f"a: 1\nb: [{'0,' * 30_000}]\n", 2, "more than 20,000 values"),
        ('a: 1\nb: "\\UFFFFFFFF"\n', 2, "not valid YAML"),
        ('a: 1\nb: "\\U00110000"\n', 2, "not valid YAML"),
        ('a: 1\nb: "\\ud800"\n', 2, "stands for no character of a text"),
        ('a: 1\nb: "\\0"\n', 2, "stands for no character of a text"),
        ("a: 1\nb: \0\n", 2, "the character U+0000 is not allowed"),
        ("a: 1\nb: \x1b\n", 2, "the character U+001B is not allowed"),
        ("a: 1\nb:\n\tc: 1\n", 3, "indent with spaces, not with tabs"),
        ("a: 1\nb: c: d\n", 2, "not valid YAML at column 5"),
        ("a: 1\nb: [1\n", 3, "not valid YAML"),
        ("a: 1\nb: @c\n", 2, "not valid YAML at column 4"),
    ],
)
def test_what_could_be_meant_otherwise_is_refused_with_its_line(
    tmp_path: Path, text: str, line: int, said: str
) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(text.encode())

    with pytest.raises(SpecError) as caught:
        read_yaml(path, SpecError)

    assert str(caught.value).startswith(f"{path}, line {line}: ")
    assert said in str(caught.value)
    assert len(str(caught.value)) < 400


def test_ten_levels_of_aliases_are_refused_at_once() -> None:
    levels = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 11)]
    started = time.perf_counter()

    with pytest.raises(HybridonnError, match="anchor &a0 is not read"):
        parse_yaml("\n".join(["a0: &a0 [x]", *levels]), "here")

    assert time.perf_counter() - started < 0.5


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a: 1\nb: \xe9\n", "line 2: the byte 0xe9 is not UTF-8; save the file as UTF-8"),
        ("a: 1".encode("utf-16"), "line 1: the byte 0xff is not UTF-8"),
        (b"#" * (MOST_BYTES + 1), "is larger than 1,048,576 bytes"),
    ],
)
def test_bytes_that_are_no_text_are_refused(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(content)

    with pytest.raises(HybridonnError, match=said):
        read_yaml(path)


def test_a_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes("a: é\n".encode("utf-8-sig"))

    assert read_yaml(path) == {"a": "é"}


def test_an_empty_file_is_none(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("# nothing\n")

    assert read_yaml(path) is None


@pytest.mark.parametrize("name", [".", "missing.yaml", "a.yaml/b.yaml", "nul\0.yaml"])
def test_a_path_that_is_no_file_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.yaml").touch()

    with pytest.raises(SpecError, match=r"cannot read .*; name a YAML file"):
        read_yaml(tmp_path / name, SpecError)


def test_a_text_of_one_line_is_named_without_a_line() -> None:
    with pytest.raises(HybridonnError, match=r"^--set a=\[: not valid YAML"):
        parse_yaml("[", "--set a=[")
