"""Results and record of a run as tables."""

from __future__ import annotations

from typing import Any

from hybridonn.reports.formats import flatten, number


def tabulate(tree: dict[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """A tree as tables: (section, rows of key and value), loose values first."""
    loose = [(key, number(value)) for key, value in tree.items() if not isinstance(value, dict)]
    sections = [
        (key, [(name, number(leaf)) for name, leaf in flatten(value)])
        for key, value in tree.items()
        if isinstance(value, dict)
    ]
    return [("", loose), *sections] if loose else sections


def order_record(record: dict[str, Any]) -> dict[str, Any]:
    """Known sections in a reader's order, then whatever else there is."""
    known = ("command", "started", "finished", "data", "seconds", "seeds", "machine", "versions")
    ordered = {key: record[key] for key in known if key in record}
    return ordered | {key: value for key, value in record.items() if key not in ordered}
