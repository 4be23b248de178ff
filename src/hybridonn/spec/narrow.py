"""A part of the spec with some of its keys alone: no other can be read."""

from __future__ import annotations

from typing import TypeVar

from hybridonn.spec.section import Section

S = TypeVar("S", bound=Section)


def narrow(section: S, *keys: str) -> S:
    """A section with these keys alone; to read another one is an :class:`UndeclaredReadError`.

    Args:
        section: The whole one; it stays as it is.
        *keys: Names, with dots into sections of it, as in ``optics.sensor``. Of a section that is
            not set, None is all that can be read.

    Raises:
        UndeclaredReadError: A key is already missing from the section.
        ValueError: A dotted key leads into something that is no section.
    """
    wanted: dict[str, set[str]] = {}
    for key in keys:
        head, _, rest = key.partition(".")
        wanted.setdefault(head, set()).add(rest)
    kept = {head: _reach(section, head, rests) for head, rests in wanted.items()}
    view = section.model_copy()
    values = vars(view)  # the model is frozen, its dictionary is not
    values.clear()
    values.update(kept)
    return view


def _reach(section: Section, head: str, rests: set[str]) -> object:
    value = getattr(section, head)
    if value is None or "" in rests:
        return value
    if not isinstance(value, Section):
        raise ValueError(f"{head} is no section, so it has no key {sorted(rests)[0]}")
    return narrow(value, *rests)
