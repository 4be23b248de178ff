"""The documentation site without building it: `make docs` does, with warnings as errors."""

import ast
import importlib
import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *(page for page in sorted(DOCS.rglob("*.md")) if "gallery_built" not in page.parts),
]


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


def without_code(text: str) -> str:
    """A page without its blocks and spans of code, in which nothing is a link or a heading."""
    text = re.sub(r"^(```|~~~)[\s\S]*?^\1[ \t]*$", "", text, flags=re.MULTILINE)
    return re.sub(r"(`+)(?!`)[^\n]*?(?<!`)\1(?!`)", "", text)


def anchors(text: str) -> set[str]:
    """What a link to a heading of the page may name: as GitHub and MyST make it of the words."""
    text = re.sub(r"^(```|~~~)[\s\S]*?^\1[ \t]*$", "", text, flags=re.MULTILINE)
    seen: Counter[str] = Counter()
    found = set(re.findall(r"^\(([\w-]+)\)=$", text, re.MULTILINE))
    for heading in re.findall(r"^#{1,4} +(.+?) *#*$", text, re.MULTILINE):
        words = re.sub(r"\]\([^)]*\)", "", heading).lower()
        slug = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return found


def find_broken_links(page: Path, text: str) -> list[str]:
    """The links of a page to files or headings that are not there."""
    broken = []
    for link in re.findall(r"\]\(<?([^)\s>]+)>?[^)]*\)", without_code(text)):
        if re.match(r"[a-z]+:", link) or link.startswith("gallery_built/"):
            continue  # another host, or what only the build makes
        name, _, anchor = link.partition("#")
        target = page.parent / name
        there = target.exists()
        if there and anchor:
            there = anchor in anchors(target.read_text("utf-8") if name else text)
        if not there:
            broken.append(link)
    return broken


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_every_link_leads_to_a_file_and_a_heading(page):
    assert find_broken_links(page, page.read_text("utf-8")) == []


@pytest.mark.parametrize(
    ("text", "broken"),
    [
        ("[a](results.md#in-short) [b](#two) `[c](none.md)`\n\n# Two\n", []),
        ("[a](results.md#in-shorts)", ["results.md#in-shorts"]),
        ("[a](resultss.md)", ["resultss.md"]),
        ("[a](#two)\n```\n# Two\n```\n", ["#two"]),
        ("[a](#two-1) [b](#two-2)\n# Two\n## `Two`\n", ["#two-2"]),
        ("![a figure](no.png)", ["no.png"]),
    ],
)
def test_a_link_that_leads_nowhere_is_found(text, broken):
    assert find_broken_links(DOCS / "here.md", text) == broken


def test_pages_that_the_source_names_are_there():
    named = set()
    for folder in ("src", "examples", "benchmarks", "docs/gallery"):
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in {".py", ".yaml"}:
                text = path.read_text("utf-8")
                named |= set(re.findall(r"\bdocs/[\w/]+\.(?:md|csv|png)(?:#[\w-]+)?", text))
                pages = re.findall(r":doc:`[^`<]*<?/([\w/]+)>?`", text)
                named |= {f"docs/{page}.md" for page in pages}
    links = "".join(f"[]({name})" for name in sorted(named))
    assert len(named) > 5
    assert find_broken_links(ROOT / "here.md", links) == []


def test_every_number_of_the_short_page_stands_with_its_command_in_the_long_ones():
    """Numbers of the figure too; the table of all systems rounds some to a tenth."""
    short = without_code((DOCS / "results.md").read_text("utf-8"))
    short += (DOCS / "margins.csv").read_text("utf-8")
    pages = [DOCS / name for name in ("deployment.md", "reproduction.md", "tangent.md")]
    long = "".join(page.read_text("utf-8") for page in [*pages, *(DOCS / "results").glob("*.md")])
    number = r"(?<![\w.])\d+\.\d+(?!\w|\.\d)"
    measured = set(re.findall(number, long))
    measured |= {f"{float(one):.1f}" for one in measured}
    assert set(re.findall(number, short)) - measured == set()
