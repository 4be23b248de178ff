"""The pages of the documentation that are written from the source, and the schema of a spec.

``make reference`` writes them; a test refuses a page that is older than its source.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hybridonn.cli.options import OUTPUT
from hybridonn.pipeline.result_keys import write_result_keys
from hybridonn.spec.schema import SCHEMA_FILE, build_schema, dump_schema, write_reference

MARK = "<!-- Written by `make reference` from here on: change the source, not this page. -->\n"


def list_pages(root: Path) -> Iterator[tuple[Path, str]]:
    """The files that are written, and what each must hold.

    Args:
        root: The checkout.
    """
    yield root / "src" / "hybridonn" / SCHEMA_FILE, dump_schema()
    for name, text in (
        ("spec.md", write_reference(build_schema())),
        ("commands.md", write_commands()),
        ("results_json.md", write_result_keys()),
    ):
        page = root / "docs" / name
        yield page, keep_head(page.read_text("utf-8")) + text


def keep_head(page: str) -> str:
    """What people have written of a page, and the mark below it."""
    head, mark, _ = page.partition(MARK)
    return f"{head}{mark or MARK}\n"


def write_commands() -> str:
    """The reference of every command as Markdown."""
    import typer

    from hybridonn.cli.app import app

    group: Any = typer.main.get_command(app)
    return "\n\n".join(_write_group(group, "hybridonn")) + "\n"


def _write_group(group: Any, words: str) -> Iterator[str]:
    if words == "hybridonn":
        yield _write_command(group, "hybridonn")
    for name in group.list_commands(None):
        command = group.commands[name]
        if hasattr(command, "commands"):
            yield f"## `{words} {name}`\n\n{_clean(command.help)}"
            yield from _write_group(command, f"{words} {name}")
        else:
            yield _write_command(command, f"{words} {name}")


def _write_command(command: Any, words: str) -> str:
    usage = " ".join([words, *_list_arguments(command), "[OPTIONS]"])
    level = "###" if words.count(" ") > 1 else "##"
    parts = [f"{level} `{words}`", _clean(command.help), f"```text\n{usage}\n```"]
    common = {f"--{name.removeprefix('as_')}" for name in OUTPUT}  # told once, at the top
    rows = [_write_row(one) for one in command.params if not common & set(one.opts)]
    if rows:
        parts.append("\n".join(["| argument | meaning | default |", "| --- | --- | --- |", *rows]))
    return "\n\n".join(parts)


def _list_arguments(command: Any) -> Iterator[str]:
    for one in command.params:
        if one.param_type_name == "argument":
            name = (one.metavar or one.name.upper()).strip("[]")
            yield name if one.required else f"[{name}]"


def _write_row(one: Any) -> str:
    is_option = one.param_type_name == "option"
    name = ", ".join([*one.opts, *one.secondary_opts]) if is_option else one.metavar or one.name
    default = _show_default(one)
    cells = (f"`{name}`", _clean(getattr(one, "help", None) or ""), default)
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def _show_default(one: Any) -> str:
    if one.required:
        return "must be stated"
    default = getattr(one.default, "value", one.default)
    empty = default is None or default is False or callable(default) or "Sentinel" in repr(default)
    return "" if empty else f"`{default}`"


def _clean(text: str) -> str:
    return "\n\n".join(" ".join(part.split()) for part in (text or "").split("\n\n"))


def main() -> None:
    """Write every page anew, in the checkout that the working directory is."""
    for path, text in list_pages(Path.cwd()):
        path.write_text(text, "utf-8")
        sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main()
