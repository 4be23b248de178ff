"""Refuses what the memory does not hold before it is taken."""

from __future__ import annotations

from hybridonn.core.errors import DataError
from hybridonn.core.memory import free_bytes, say_bytes


def refuse_memory(size: int, what: str, cure: str) -> None:
    """Refuse what takes more memory than is left.

    Args:
        size: Bytes that it takes.
        what: What takes them, as the subject of a sentence.
        cure: What to do.

    Raises:
        DataError: It takes more than is left.
    """
    free = free_bytes()
    if size > free:
        raise DataError(
            f"{what} takes {say_bytes(size)} of memory, and {say_bytes(free)} are left; {cure}"
        )
