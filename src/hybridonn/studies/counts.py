"""What a study is asked for on the command line: how many trials, and lists with commas."""

from __future__ import annotations

from collections.abc import Sequence

from hybridonn.core.errors import SpecError

MOST_TRIALS = 10_000  # seeds, chips or draws: what a large cluster trains in a year
MOST_KERNELS = 1_000_000  # of one network: a thousand times the largest of the papers


def refuse_count(option: str, count: int, most: int = MOST_TRIALS) -> None:
    """Refuse a number of trials or kernels that is not from 1 to ``most``.

    Raises:
        SpecError: It is another one; the option is named.
    """
    if not 1 <= count <= most:
        raise SpecError(f"{option} {count}: allowed is 1 to {most:,}")


def refuse_twice(option: str, numbers: Sequence[int]) -> None:
    """Refuse a number that a list names twice, however it is written: 200 and 0200.

    Raises:
        SpecError: There is one; the option is named.
    """
    for place, number in enumerate(numbers):
        if number in numbers[:place]:
            raise SpecError(f"{option}: {number} is named twice; name each once")


def split_list(option: str, text: str, allowed: str) -> list[str]:
    """The entries of a list with commas, without the blanks around them.

    Args:
        option: The option, for the message.
        text: What it was given.
        allowed: What it takes, for the message.

    Raises:
        SpecError: An entry is empty, or stands twice.
    """
    entries = [entry.strip() for entry in text.split(",")]
    if not all(entries):
        raise SpecError(f"{option} {text}: an entry between commas is empty; allowed is {allowed}")
    if len(set(entries)) < len(entries):
        raise SpecError(f"{option} {text}: an entry is named twice; name each once")
    return entries
