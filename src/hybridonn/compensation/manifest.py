"""The manifest: which file shows what, with which exposure.

A CSV file with the columns ``frame`` (path beside the manifest), ``image_id`` and ``exposure_s``.
An image id is that of an image of the data set (``test-00042``), ``dark`` (shutter closed),
``flat`` (sensor lit evenly) or ``point`` (one bright pixel in the middle: the point spread
functions). Where every sub-optic has a file of its own, ``kernel`` (0, 1 ...) and ``sign``
(plus, minus) say which; where a point is shown colour by colour, ``channel`` (0, 1 ...) does.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from hybridonn.compensation.captures import split_image_id
from hybridonn.errors import DataError

DARK, FLAT, POINT = "dark", "flat", "point"
COLUMNS = ("frame", "image_id", "exposure_s")
SIGNS = {"plus": 0, "minus": 1}
SHOWN = 5  # faults that a message names; the others are counted


@dataclass(frozen=True)
class Frame:
    """One row of the manifest.

    Attributes:
        path: The picture.
        image_id: What was shown.
        exposure_s: For how long.
        sub_optic: ``2 kernel + (0 plus, 1 minus)``; None: the picture holds all of them.
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
        unlisted: Pictures in the folder that it does not name.
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
        """Whether each picture of an image holds all sub-optics."""
        shown = [f for f in self.frames if f.image_id not in (DARK, FLAT)]
        return all(frame.sub_optic is None for frame in shown)


def read_manifest(path: Path, kernels: int) -> Manifest:
    """Read a manifest and check that it is whole.

    Args:
        path: The CSV file.
        kernels: Signed kernels of the student.

    Raises:
        DataError: It is missing or no CSV; rows are wrong, files missing or doubled, or an image
            lacks frames of some sub-optics: each counted, the first ones named.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
            names = list(rows[0]) if rows else []
    except FileNotFoundError:
        raise DataError(
            f"{path} is missing; `hybridonn captures template RUN` writes one to fill in"
        ) from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as CSV: {error}") from None
    if missing := [name for name in COLUMNS if name not in names]:
        raise DataError(
            f"{path} lacks the column {', '.join(missing)} or has no row; its first line must be "
            f"{','.join(COLUMNS)}[,kernel,sign]"
        )
    frames = _parse_rows(rows, path, kernels)
    _check_files(frames, path)
    _check_doubles(frames, path)
    _check_sub_optics(frames, path, kernels)
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


def _parse_rows(rows: list[dict[str, str]], path: Path, kernels: int) -> list[Frame]:
    frames, faults = [], []
    for number, row in enumerate(rows, 2):
        try:
            frames.append(_parse(row, path.parent, kernels))
        except (ValueError, TypeError, DataError) as error:
            faults.append(f"line {number} ({error})")
    refuse(faults, "rows cannot be used", "mend them", path)
    return frames


def _parse(row: dict[str, str], folder: Path, kernels: int) -> Frame:
    cell: Callable[[str], str] = lambda name: (row.get(name) or "").strip()  # noqa: E731
    image_id = cell("image_id")
    if image_id not in (DARK, FLAT, POINT):
        split_image_id(image_id)
    if not cell("frame"):
        raise ValueError("it names no frame")
    exposure = float(cell("exposure_s") or "nan")
    if not 0 < exposure < float("inf"):
        raise ValueError(f"exposure_s is {cell('exposure_s')!r}; it must be seconds, above 0")
    channel = int(cell("channel")) if cell("channel") else None
    return Frame(folder / cell("frame"), image_id, exposure, _sub_optic(cell, kernels), channel)


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
    missing = [frame.path.name for frame in frames if not frame.path.is_file()]
    cure = "take them again, or remove their rows"
    refuse(missing, f"of {len(frames)} frames are not there", cure, path)


def _check_doubles(frames: list[Frame], path: Path) -> None:
    counts = Counter(frame.path for frame in frames)
    doubled = [f"{file.name} ({number} rows)" for file, number in counts.items() if number > 1]
    refuse(doubled, "frames are named more than once", "keep one row a frame", path)
    shown = Counter(frame.key for frame in frames if frame.image_id not in (DARK, FLAT))
    doubled = [f"{key[0]} ({number} frames)" for key, number in shown.items() if number > 1]
    refuse(doubled, "images were captured more than once", "keep one capture of each", path)


def _check_sub_optics(frames: list[Frame], path: Path, kernels: int) -> None:
    shown = [frame for frame in frames if frame.image_id not in (DARK, FLAT)]
    apart = [frame.sub_optic is not None for frame in shown]
    if not any(apart):
        return
    if not all(apart):
        raise DataError(
            f"{path}: {sum(apart)} of {len(apart)} rows name a kernel; name one in each row (a "
            "file a sub-optic) or in none (mosaic pictures)"
        )
    counts = Counter(frame.image_id for frame in shown if frame.channel in (None, 0))
    wanted = 2 * kernels
    lacking = [f"{key} ({found} of {wanted})" for key, found in counts.items() if found != wanted]
    cure = f"each needs one a sub-optic, {kernels} kernels plus and minus"
    refuse(lacking, "images lack frames", cure, path)
