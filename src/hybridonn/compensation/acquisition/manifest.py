"""The manifest: which file shows what, with which exposure.

A CSV file with the columns ``frame`` (path beside the manifest), ``image_id`` and ``exposure_s``.
An image id is that of an image of the data set (``test-00042``), ``dark`` (shutter closed),
``flat`` (sensor lit evenly) or ``point`` (one bright pixel in the middle: the point spread
functions). Where every sub-optic has a file of its own, ``kernel`` (0, 1 ...) and ``sign``
(plus, minus) say which; where a point is shown colour by colour, ``channel`` (0, 1 ...) does.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from os.path import normpath
from pathlib import Path, PurePath

from hybridonn.compensation.acquisition.capture_dataset import split_image_id
from hybridonn.core.errors import DataError
from hybridonn.core.memory import say_bytes

DARK, FLAT, POINT = "dark", "flat", "point"
COLUMNS = ("frame", "image_id", "exposure_s")
NUMBERS = ("exposure_s", "kernel", "channel")
KNOWN = (*COLUMNS, "kernel", "sign", "channel")
SIGNS = {"plus": 0, "minus": 1}
MOST_BYTES = 2**28  # of a manifest: two million rows
MOST_CHARACTERS = 1000  # of a cell; notes in columns of one's own may be longer
SHOWN = 5  # faults that a message names; the others are counted


@dataclass(frozen=True)
class Frame:
    """One row of the manifest.

    Attributes:
        path: The capture.
        image_id: What was shown.
        exposure_s: For how long.
        sub_optic: ``2 kernel + (0 plus, 1 minus)``; None: the capture holds all of them.
        channel: Colour of the point that was shown; None: all colours, or no point.
    """

    path: Path
    image_id: str
    exposure_s: float
    sub_optic: int | None = None
    channel: int | None = None

    @property
    def key(self) -> tuple[str, int | None, int | None]:
        """What no second frame may show."""
        return self.image_id, self.sub_optic, self.channel


@dataclass(frozen=True)
class Manifest:
    """All frames of a folder, in the order of the manifest.

    Attributes:
        path: The CSV file.
        frames: Its rows.
        unlisted: Captures in the folder that it does not name.
    """

    path: Path
    frames: tuple[Frame, ...]
    unlisted: int

    def showing(self, image_id: str) -> list[Frame]:
        """The frames of one image id."""
        return [frame for frame in self.frames if frame.image_id == image_id]

    @property
    def image_ids(self) -> list[str]:
        """The images of the data set that were shown, in order of first appearance."""
        special = (DARK, FLAT, POINT)
        return list(dict.fromkeys(f.image_id for f in self.frames if f.image_id not in special))

    @property
    def is_mosaic(self) -> bool:
        """Whether each capture of an image holds all sub-optics."""
        shown = [f for f in self.frames if f.image_id not in (DARK, FLAT)]
        return all(frame.sub_optic is None for frame in shown)


def read_manifest(path: Path, kernels: int, branches: Sequence[int] = ()) -> Manifest:
    """Read a manifest and check that it is whole.

    Args:
        path: The CSV file.
        kernels: Signed kernels of the student.
        branches: Signed kernels of each of its branches; empty: it has one.

    Raises:
        DataError: It is missing or no CSV; rows are wrong or leave the folder, files are missing or
            doubled, or an image lacks frames of some sub-optics: each counted, the first named.
    """
    frames = _parse_rows(_read_rows(path), path, kernels)
    _check_files(frames, path)
    _check_doubles(frames, path)
    _check_sub_optics(frames, path, kernels, branches)
    named = {frame.path.resolve() for frame in frames}
    suffixes = {frame.path.suffix for frame in frames}
    folders = {frame.path.parent for frame in frames}
    found = (file for folder in folders for file in folder.iterdir() if file.suffix in suffixes)
    return Manifest(path, tuple(frames), sum(file.resolve() not in named for file in found))


def refuse(faults: Iterable[str], what: str, cure: str, where: Path) -> None:
    """Name the first faults, count them all, and say what to do.

    Raises:
        DataError: There is a fault.
    """
    faults = list(faults)
    if not faults:
        return
    more = f" and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
    raise DataError(f"{where}: {len(faults)} {what}: {', '.join(faults[:SHOWN])}{more}; {cure}")


def _read_rows(path: Path) -> list[tuple[int, dict[str, str]]]:
    """Number of the last line, and cells by column, of each row.

    Raises:
        DataError: It is no table in CSV with the columns of a manifest.
    """
    names, rows = _read_table(_read_text(path), path)
    if missing := [name for name in COLUMNS if name not in names]:
        raise DataError(
            f"{path} lacks the column {', '.join(missing)}; its first line must be "
            f"{','.join(COLUMNS)}[,kernel,sign]"
        )
    doubled = [name for name, number in Counter(names).items() if number > 1 and name in KNOWN]
    if doubled:
        raise DataError(f"{path} has the column {doubled[0]} twice; keep one")
    if not rows:
        raise DataError(f"{path} has no row; list each frame in one")
    return rows


def _read_text(path: Path) -> str:
    try:
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise DataError(
                f"{path} has {say_bytes(size)}; a manifest, one row a frame, has at most "
                f"{say_bytes(MOST_BYTES)}"
            )
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise DataError(
            f"{path} is missing; `hybridonn captures template RUN` writes one to fill in"
        ) from None
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is not UTF-8 (byte {error.start} is {error.object[error.start]:#04x}); save "
            "it as CSV in UTF-8"
        ) from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from None


def _read_table(text: str, path: Path) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    table = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        return list(table.fieldnames or ()), [(table.line_num, row) for row in table]
    except csv.Error as error:
        raise DataError(
            f"{path} cannot be read as CSV after line {table.line_num} ({error}); close its "
            "quotes, and keep cells short"
        ) from None


def _parse_rows(rows: list[tuple[int, dict[str, str]]], path: Path, kernels: int) -> list[Frame]:
    frames, faults = [], []
    for number, row in rows:
        try:
            frames.append(_parse(row, path.parent, kernels))
        except (ValueError, TypeError, DataError) as error:
            faults.append(f"line {number} ({error})")
    refuse(faults, "rows cannot be used", "mend them", path)
    return frames


def _parse(row: dict[str, str], folder: Path, kernels: int) -> Frame:
    cell: Callable[[str], str] = lambda name: _read_cell(row, name)  # noqa: E731
    image_id = cell("image_id")
    if image_id not in (DARK, FLAT, POINT):
        split_image_id(image_id)
    if not cell("frame"):
        raise ValueError("it names no frame")
    if leaves(cell("frame")):
        raise ValueError(f"the frame {cell('frame')} leaves the folder; copy it there")
    exposure = float(cell("exposure_s") or "nan")
    if not 0 < exposure < float("inf"):
        raise ValueError(f"exposure_s is {cell('exposure_s')!r}; it must be seconds, above 0")
    channel = int(cell("channel")) if cell("channel") else None
    return Frame(folder / cell("frame"), image_id, exposure, _sub_optic(cell, kernels), channel)


def _read_cell(row: dict[str, str], name: str) -> str:
    """A cell of one short line.

    Raises:
        ValueError: It is long, or holds a line break or another control character.
    """
    text = (row.get(name) or "").strip()
    if len(text) > MOST_CHARACTERS:
        raise ValueError(
            f"{name} has {len(text)} characters; at most {MOST_CHARACTERS} are allowed"
        )
    if not text.isprintable():
        raise ValueError(f"{name} holds a line break or another control character: {text[:80]!r}")
    if "_" in text and name in NUMBERS:  # Python's own way to write numbers
        raise ValueError(f"{name} is {text!r}; write a plain number")
    return text


def leaves(name: str) -> bool:
    """Whether a path that a manifest names lies outside of its folder."""
    path = PurePath(normpath(name))
    return path.is_absolute() or path.parts[:1] == ("..",)


def _sub_optic(cell: Callable[[str], str], kernels: int) -> int | None:
    if not cell("kernel"):
        return None
    kernel, sign = int(cell("kernel")), cell("sign")
    if not 0 <= kernel < kernels or sign not in SIGNS:
        raise ValueError(
            f"kernel {kernel}, sign {sign!r}; the student of the run has the kernels 0 to "
            f"{kernels - 1}, a sign is plus or minus"
        )
    return 2 * kernel + SIGNS[sign]


def _check_files(frames: list[Frame], path: Path) -> None:
    missing = [frame.path.name for frame in frames if not _is_file(frame.path)]
    cure = "take them again, or remove their rows"
    refuse(missing, f"of {len(frames)} frames are not there", cure, path)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that the system cannot have
        return False


def _check_doubles(frames: list[Frame], path: Path) -> None:
    counts = Counter(Path(normpath(frame.path)) for frame in frames)
    doubled = [f"{file.name} ({number} rows)" for file, number in counts.items() if number > 1]
    refuse(doubled, "frames are named more than once", "keep one row a frame", path)
    shown = Counter(frame.key for frame in frames if frame.image_id not in (DARK, FLAT))
    doubled = [f"{key[0]} ({number} frames)" for key, number in shown.items() if number > 1]
    refuse(doubled, "images were captured more than once", "keep one capture of each", path)


def _check_sub_optics(
    frames: list[Frame], path: Path, kernels: int, branches: Sequence[int]
) -> None:
    shown = [frame for frame in frames if frame.image_id not in (DARK, FLAT)]
    apart = [frame.sub_optic is not None for frame in shown]
    if not any(apart):
        return
    if not all(apart):
        raise DataError(
            f"{path}: {sum(apart)} of {len(apart)} rows name a kernel; name one in each row (a "
            "file a sub-optic) or in none (mosaic captures)"
        )
    _check_branches({frame.sub_optic for frame in shown}, path, branches)
    counts = Counter(frame.image_id for frame in shown if frame.channel in (None, 0))
    wanted = 2 * kernels
    lacking = [f"{key} ({found} of {wanted})" for key, found in counts.items() if found != wanted]
    cure = f"each needs one a sub-optic, {kernels} kernels plus and minus"
    refuse(lacking, "images lack frames", cure, path)


def _check_branches(sub_optics: set[int | None], path: Path, branches: Sequence[int]) -> None:
    """Refuse a manifest that holds no frame of a branch at all."""
    missing = [
        f"branch {number} (kernels {start} to {start + count - 1})"
        for number, start, count in list_branches(branches)
        if not sub_optics & set(range(2 * start, 2 * (start + count)))
    ]
    cure = "capture the sub-optics of all branches; each image needs one frame of each"
    refuse(missing, f"of {len(branches)} branches have no frame", cure, path)


def list_branches(branches: Sequence[int]) -> list[tuple[int, int, int]]:
    """Number, first kernel and number of kernels of each branch."""
    starts = [sum(branches[:number]) for number in range(len(branches))]
    return list(zip(range(len(branches)), starts, branches, strict=True))
