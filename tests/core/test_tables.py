"""Names of tables: allowed as a Literal's are, resolved only when they are used."""

import sys
from typing import Annotated

import pytest
from pydantic import BaseModel, ValidationError

from hybridonn.core.tables import NameOf, resolve

TABLE = {"lines": "shlex:split", "turtle": "turtle:Turtle"}


class Chosen(BaseModel):
    name: Annotated[str, NameOf(TABLE)] = "lines"
    own: Annotated[str, NameOf(TABLE, own_code=True)] = "lines"


def test_a_name_stands_for_an_attribute_of_a_module():
    import shlex

    assert resolve(TABLE, "lines") is shlex.split


def test_nothing_is_imported_before_it_is_used():
    assert Chosen(name="turtle").name == "turtle"
    assert "turtle" not in sys.modules


def test_other_names_are_refused_as_those_of_a_literal():
    with pytest.raises(ValidationError) as caught:
        Chosen(name="circle")
    (fault,) = caught.value.errors()
    assert fault["type"] == "literal_error"
    assert "'lines' or 'turtle'" in fault["msg"]


def test_the_schema_lists_the_names():
    assert Chosen.model_json_schema()["properties"]["name"]["enum"] == ["lines", "turtle"]


def test_own_code_is_allowed_where_it_is_said():
    assert Chosen(own="mine.net:Back").own == "mine.net:Back"
    assert Chosen(own="turtle").own == "turtle"


@pytest.mark.parametrize("text", ["circle", "mine.net:", ":Back", "mine net:Back", ""])
def test_what_is_neither_a_name_nor_code_is_refused(text):
    with pytest.raises(ValidationError):
        Chosen(own=text)
