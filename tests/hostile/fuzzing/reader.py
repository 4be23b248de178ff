"""What is fuzzed: a reader, valid inputs that it reads, and how they are harmed."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from fuzzing.damage import KINDS, Damage, kind_of

Files = dict[str, bytes]  # path within the input's folder -> content

UNTOUCHED = 0.01  # share of the inputs that stay valid: a reader that refuses all would be seen
OTHER_ENTRY = 0.02  # share in which something else than a file has a file's name
ODD_NAMES = (
    *(
        b"\xff\xfe",
        b"a\nb",
        b"\x1b[31m",
        b"[/x]",
        b"-",
        b"--out",
        b" ",
        b"a,b",
        b'"',
        b"%s",
        b"{0}",
    ),
    *(b"x" * 200, "é".encode(), "\u202e".encode(), b"train", b"val", b"test", b"images", b"masks"),
    *(b"con", b".hidden", b"a.png", b"a.PNG", b"a.txt", b"\\", b"*", b"?", b"~", b"$HOME", b"0"),
)


@dataclass(frozen=True)
class Reader:
    """A reader of foreign or stored files.

    Attributes:
        name: As in the table.
        seeds: Makes valid inputs; each is a folder of files.
        read: Reads the folder of an input. It may raise the project's own error, nothing else.
        victims: Which of an input's files are harmed, by name; None: any.
        kinds: Kind of a file, by name, where its ending does not tell; see `damage.KINDS`.
        renames: Whether files and folders get odd names, too.
    """

    name: str
    seeds: Callable[[], list[Files]]
    read: Callable[[Path], object]
    victims: Callable[[str], bool] | None = None
    kinds: dict[str, str] = field(default_factory=dict)
    renames: bool = False


class Inputs:
    """The inputs of a reader, each made from its number alone."""

    def __init__(self, reader: Reader, seeds: list[Files] | None = None) -> None:
        self.reader = reader
        self.seeds = reader.seeds() if seeds is None else seeds
        self._pools: dict[str, list[bytes]] = {}
        for files in self.seeds:
            for name, content in files.items():
                self._pools.setdefault(self._kind(name), []).append(content)

    def write(self, number: int, folder: Path) -> None:
        """Write an input into an empty folder."""
        dice = Random(f"{self.reader.name}:{number}")
        files = dict(dice.choice(self.seeds))
        if self.reader.renames and dice.random() < 0.3:
            files = _rename(dice, files)
        chance = dice.random()
        victim = self._choose(dice, files) if chance >= UNTOUCHED else None
        if victim and chance >= UNTOUCHED + OTHER_ENTRY:
            kind = self._kind(victim)
            harm = self._pick(dice, kind)
            files[victim] = harm(dice, files[victim], self._pools.get(kind, [files[victim]]))
            victim = None
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if name == victim:
                _put_something_else(dice, path, content)
            else:
                path.write_bytes(content)

    def _choose(self, dice: Random, files: Files) -> str | None:
        chosen = self.reader.victims or (lambda name: True)
        names = [name for name in sorted(files) if chosen(name)]
        return dice.choice(names) if names else None

    def _kind(self, name: str) -> str:
        return self.reader.kinds.get(name.rpartition("/")[2]) or kind_of(name)

    def _pick(self, dice: Random, kind: str) -> Damage:
        return dice.choice(KINDS[kind])


def _rename(dice: Random, files: Files) -> Files:
    """Give one folder or file of an input an odd name."""
    parts = dice.choice(sorted(files)).split("/")
    at = dice.randrange(len(parts))
    old = "/".join(parts[: at + 1])
    odd = os.fsdecode(dice.choice(ODD_NAMES))
    new = "/".join([*parts[:at], odd if dice.random() < 0.7 else odd + parts[at]])
    moved = {}
    for name, content in files.items():
        inside = name == old or name.startswith(old + "/")
        moved[new + name[len(old) :] if inside else name] = content
    return moved


def _put_something_else(dice: Random, path: Path, content: bytes) -> None:
    what = dice.randrange(5)
    if what == 0:
        path.mkdir()
    elif what == 1:
        path.symlink_to(path.name)  # leads to itself
    elif what == 2:
        path.symlink_to("nowhere")
    elif what == 3:
        path.write_bytes(b"")
    # else: the file is not there
