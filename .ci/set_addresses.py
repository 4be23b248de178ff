"""Give README.md and pyproject.toml the public address of a tag, as a release publishes them.

A package index shows README.md without its repository, so that links and pictures relative to it
are dead there. The release workflow runs this in its own checkout before it builds the package; the
address comes from the variables that GitHub sets, so that the repository names no address itself.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

PICTURES = (".gif", ".jpg", ".png", ".svg")
RELATIVE = re.compile(r"\]\((?!#|[a-z]+:)([^)\s]+)\)")
URLS = "[project.urls]\n"


def set_links(text: str, address: str, tag: str) -> str:
    """Markdown whose links and pictures within the repository are absolute.

    Args:
        text: Markdown with links relative to the root of the repository.
        address: Web address of the repository, without a slash at its end.
        tag: The tag whose files are linked to.
    """

    def complete(found: re.Match[str]) -> str:
        path = found[1]
        # The page of a file shows it; its raw bytes are what an <img> needs.
        view = "raw" if path.lower().endswith(PICTURES) else "blob"
        return f"]({address}/{view}/{tag}/{path})"

    return RELATIVE.sub(complete, text)


def set_repository(text: str, address: str) -> str:
    """The text of pyproject.toml with the repository among the addresses of the project."""
    before, urls, after = text.partition(URLS)
    if not urls:
        sys.exit(f"pyproject.toml has no line {URLS.strip()}, under which the repository is named")
    return f'{before}{urls}Repository = "{address}"\n{after}'


def main() -> None:
    """Rewrite README.md and pyproject.toml in the current folder."""
    names = ("GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_REF_NAME")
    lacking = [name for name in names if not os.environ.get(name)]
    if lacking:
        sys.exit(f"{', '.join(lacking)} not set; the release workflow sets them for its tag")
    server, repository, tag = (os.environ[name] for name in names)
    address = f"{server}/{repository}"
    readme, project = Path("README.md"), Path("pyproject.toml")
    readme.write_text(set_links(readme.read_text("utf-8"), address, tag), "utf-8")
    project.write_text(set_repository(project.read_text("utf-8"), address), "utf-8")


if __name__ == "__main__":
    main()
