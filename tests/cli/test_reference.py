"""Pages that are written from the source are as new as their source."""

from __future__ import annotations

from pathlib import Path

import pytest

from hybridonn.cli.reference import MARK, keep_head, list_pages, write_commands

ROOT = Path(__file__).parents[2]
PAGES = dict(list_pages(ROOT))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_a_page_is_as_new_as_its_source(path: Path) -> None:
    assert path.read_text("utf-8") == PAGES[path], "run `make reference` and commit what it writes"


def test_what_people_have_written_of_a_page_is_kept() -> None:
    page = f"# Title\n\nWords.\n\n{MARK}\nold\n"

    assert keep_head(page) == f"# Title\n\nWords.\n\n{MARK}\n"
    assert keep_head("# Title\n\n") == f"# Title\n\n{MARK}\n"


def test_every_command_has_its_section() -> None:
    text = write_commands()

    for words in ("hybridonn run", "hybridonn captures import", "hybridonn study ranking"):
        assert f"`{words}`\n" in text
    assert text.count("```text") >= 30
