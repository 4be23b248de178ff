"""The documentation site without building it: `make docs` does, with warnings as errors."""

import importlib
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"


@pytest.mark.parametrize("room", ["hybridonn", "tangent", "optics", "networks"])
def test_the_page_of_a_package_lists_every_public_name_once(room):
    module = importlib.import_module("hybridonn" if room == "hybridonn" else f"hybridonn.{room}")
    page = (DOCS / "api" / f"{room}.md").read_text("utf-8")
    assert sorted(re.findall(r"^   (\w+)$", page, re.MULTILINE)) == module.__all__


def test_every_page_is_in_a_table_of_contents():
    pages = {path.relative_to(DOCS).with_suffix("").as_posix() for path in DOCS.rglob("*.md")}
    text = "\n".join(path.read_text("utf-8") for path in DOCS.rglob("*.md"))
    listed = set(re.findall(r"^([\w/]+)$", text, re.MULTILINE))
    listed |= {f"api/{name}" for name in listed}
    assert pages - listed == {"index"}


def test_the_settings_can_be_read_without_sphinx():
    settings = {}
    exec((DOCS / "conf.py").read_text("utf-8"), settings)
    assert settings["extensions"]
