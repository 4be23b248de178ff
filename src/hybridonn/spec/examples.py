"""The examples of the package: specs that can be copied by name."""

from __future__ import annotations

from pathlib import Path

from hybridonn.core.errors import SpecError


def list_examples() -> dict[str, Path]:
    """The examples of the package by their names."""
    from importlib.resources import files

    folder = find_folder(Path(str(files("hybridonn") / "examples")))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def find_example(name: str) -> Path:
    """The file of an example.

    Raises:
        SpecError: There is none of this name.
    """
    found = list_examples()
    if name not in found:
        raise SpecError(f"{name!r} is no example; the examples are {', '.join(found)}")
    return found[name]


def find_folder(place: Path) -> Path:
    """The folder of the examples.

    Args:
        place: The folder in an installed package. In a checkout it is a symbolic link, which git
            writes as a file that holds the target where there are no links, as on Windows.
    """
    return place.parent / place.read_text("utf-8").strip() if place.is_file() else place
