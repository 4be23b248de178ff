from __future__ import annotations

import yaml
from hypothesis import given
from hypothesis import strategies as st

from hybridonn.core.yaml_reading import parse_yaml
from hybridonn.core.yaml_writing import dump_yaml

AMBIGUOUS = st.sampled_from(
    [
        *("1e5", "08", "010", "0o7", "0x1f", "1_000", "1:30", ".5", "1.", ".nan", ".inf"),
        *("yes", "on", "y", "true", "null", "~", "2024-01-01", "<<", "=", "-", "?"),
    ]
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")) | AMBIGUOUS
SCALARS = st.none() | st.booleans() | st.integers(-(10**90), 10**90) | TEXTS
SCALARS |= st.floats(allow_nan=False)
TREES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


@given(TREES)
def test_what_is_written_is_read_again(tree: object) -> None:
    assert parse_yaml(dump_yaml(tree), "here") == tree


@given(SCALARS)
def test_yaml_1_1_reads_the_same(value: object) -> None:
    assert yaml.safe_load(dump_yaml([value])) == [value]


def test_a_value_that_occurs_twice_is_written_twice() -> None:
    shared = [1, {"a": 2}]

    assert parse_yaml(dump_yaml({"b": shared, "c": shared}), "here") == {"b": shared, "c": shared}


def test_quotes_stand_only_where_they_are_needed() -> None:
    tree = {"a": "b", "c": ["kernels-first", "08", 1e-5, True, None, 3, float("inf")]}

    assert dump_yaml(tree) == (
        "a: b\nc:\n- kernels-first\n- '08'\n- 1.0e-05\n- true\n- null\n- 3\n- .inf\n"
    )
