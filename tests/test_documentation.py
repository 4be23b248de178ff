"""The documentation site without building it: `make docs` does, with warnings as errors."""

import ast
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
    assert "gallery_built/index" in listed
    assert pages - listed == {"index"}


def test_the_settings_can_be_read_without_sphinx():
    settings = {}
    exec((DOCS / "conf.py").read_text("utf-8"), settings)
    assert settings["extensions"]


EXAMPLES = sorted((DOCS / "gallery").glob("*.py"))


@pytest.mark.parametrize("path", EXAMPLES, ids=[path.stem for path in EXAMPLES])
def test_an_example_compiles_has_a_title_and_is_one_that_the_build_runs(path):
    tree = ast.parse(path.read_text("utf-8"))
    title, underline, *_ = (ast.get_docstring(tree) or "").splitlines()
    assert underline == "=" * len(title)
    assert re.match(r"\d\d_", path.name)  # filename_pattern of conf.py
    assert any("figure" in line for line in path.read_text("utf-8").splitlines())
