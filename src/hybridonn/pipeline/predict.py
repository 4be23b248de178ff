"""Answers of a deployed run to files: images, captures, folders, and what a camera writes."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from hybridonn.core.errors import DataError, DeploymentError, HybridonnError
from hybridonn.core.files import read_arrays, write_bytes
from hybridonn.data.readers.boxes import restore_boxes
from hybridonn.data.readers.image_files import Target, read_picture, read_shape
from hybridonn.deployment.predictor import Answer, Predictor, describe_answer
from hybridonn.pipeline.deployment_state import refuse_other_state
from hybridonn.pipeline.loaded_run import LoadedRun, load_run

PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp")
CAPTURES = ".npz"
MASK, DRAWN = ".mask.png", ".boxes.png"  # follow the whole name of the file that was answered
PAUSE_S = 0.2  # between two looks at a watched folder
SHOWN_PIXELS = 1024  # of the longer side, about, of a drawn image
COLOURS = ((0, 0, 0), (230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178))


@dataclass(frozen=True)
class System:
    """A deployed run, and how files become what it takes.

    Attributes:
        predictor: The deployed files.
        target: Size and colour of its images.
        fits: Whether images of another size or colour are brought to it.
    """

    predictor: Predictor
    target: Target
    fits: bool

    def answer(self, path: Path) -> Answer:
        """Answer one file.

        Raises:
            DataError: It is missing or damaged, or does not fit the network.
            DeploymentError: It is an image, and the optics are not known or --int8 is given.
        """
        if path.suffix.lower() == CAPTURES:
            captures = read_arrays(path)
            try:
                return self.predictor.answer_captures(captures)
            except DataError as error:
                raise DataError(f"{path}: {error}") from None
        if not path.is_file():
            raise DataError(f"{path} is missing; it vanished, or its name is another one")
        if not self.fits:
            self._refuse_other(path)
        return self.predictor.answer_picture(np.array(read_picture(path, self.target)))

    def _refuse_other(self, path: Path) -> None:
        shape, target = read_shape(path), self.target
        if (shape.height, shape.width, shape.grey) != (target.height, target.width, target.grey):
            wanted = f"{target.height} x {target.width} pixels, "
            raise DataError(
                f"{path} has {shape}; the network takes {wanted}"
                f"{'grey' if target.grey else 'in colour'}: bring it to that, or let it be done "
                "with --fit crop, pad or stretch"
            )


def open_system(place: Path, fit: str | None = None, int8: bool = False) -> System:
    """Open a deployed run or a bundle of one.

    Args:
        place: A run folder with ``deployed/``, or a bundle.
        fit: How images of another size or colour are brought to the network's: ``crop``,
            ``pad`` or ``stretch``. None: as the spec does with the files of its data set, where it
            states a size; else they are refused.
        int8: Whether captures are answered in 8-bit integers.

    Raises:
        DeploymentError: The run is not deployed, or a file of it was changed.
        ArtefactError: The place is no finished run.
    """
    run = load_run(place)
    folder = run.folder / "deployed"
    if not folder.is_dir():
        raise DeploymentError(
            f"{place} is not deployed; run `hybridonn deploy {place}` first"
            + (", and bundle it again" if place.suffix == ".zip" else "")
        )
    predictor = Predictor(folder, int8)
    refuse_other_state(run.folder, predictor.manifest, place)
    data = run.spec.data
    channels, height, width = run.image_shape
    target = Target(height, width, channels == 1, fit or data.resize)
    return System(predictor, target, fit is not None or _states_size(run))


def _states_size(run: LoadedRun) -> bool:
    return run.spec.data.size_pixels is not None


def list_files(paths: Sequence[Path]) -> list[Path]:
    """The images and captures that paths name: files themselves, and those in folders.

    Raises:
        DataError: A path is missing, a file is of another kind, or a folder holds none.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = _list_folder(path)
            if not inside:
                raise DataError(f"the folder {path} holds no image and no captures: {_allowed()}")
            found += inside
        elif not path.exists():
            raise DataError(f"{path} is missing; name an image, captures, or a folder of them")
        elif path.suffix.lower() not in (*PICTURES, CAPTURES):
            raise DataError(f"{path} is no image and no captures: {_allowed()}")
        else:
            found.append(path)
    return found


def _allowed() -> str:
    return f"allowed are {', '.join(PICTURES)} and {CAPTURES}"


def _list_folder(folder: Path) -> list[Path]:
    known = (*PICTURES, CAPTURES)
    found = {
        path.name: path
        for path in folder.iterdir()
        if path.suffix.lower() in known and not path.name.startswith(".")
    }
    return [found[name] for name in sorted(found) if not _is_answer(name, found)]


def _is_answer(name: str, beside: Container[str]) -> bool:
    """Whether a file is what was drawn of one beside it, where answers go into the same folder."""
    return any(name.endswith(end) and name.removesuffix(end) in beside for end in (MASK, DRAWN))


def predict_files(
    system: System, paths: Sequence[Path], out: Path | None
) -> Iterator[dict[str, Any]]:
    """Answer files one after another, a row each.

    Args:
        system: The deployed run.
        paths: Images and captures.
        out: Where masks are written, as PNG with the class of each pixel, and boxes, as CSV and as
            PNG of the image with its boxes; None: nowhere.

    Raises:
        HybridonnError: A file cannot be answered, or its answer would be written over another.
    """
    written: dict[str, Path] = {}
    for path in paths:
        yield _make_row(system, path, out, written)


def watch(
    system: System,
    folder: Path,
    out: Path | None,
    say: Callable[[str], None],
    stop: Callable[[], bool] = lambda: False,
    pause_s: float = PAUSE_S,
) -> Iterator[dict[str, Any]]:
    """Answer every file that appears in a folder, or that is written anew, once it is whole.

    A file is whole when two looks in a row find it with the same size and time. One that vanishes,
    or that cannot be read, is a sentence, and the watching goes on.

    Args:
        system: The deployed run.
        folder: The folder that a camera writes into.
        out: Where masks and boxes are written; None: nowhere.
        say: Is told what could not be answered.
        stop: Whether to end, asked between two looks.
        pause_s: Seconds between two looks.

    Raises:
        DataError: The folder is missing when the watching begins.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder that could be watched")
    seen: dict[Path, tuple[int, int]] = {}
    done: dict[Path, tuple[int, int]] = {}
    there = True
    while not stop():
        if there and not folder.is_dir():
            say(f"{folder} vanished; waiting for it to come back")
        there, now = folder.is_dir(), _look(folder)
        for path, state in now.items():
            if seen.get(path) == state and done.get(path) != state:
                done[path] = state
                try:
                    yield _make_row(system, path, out, {})
                except HybridonnError as error:
                    say(str(error))
        for path in seen.keys() - now.keys() - done.keys():
            say(f"{path} vanished before it was whole")
        seen = now
        time.sleep(pause_s)


def _look(folder: Path) -> dict[Path, tuple[int, int]]:
    """Size and time of each image in a folder; none of one that is not there."""
    found: dict[Path, tuple[int, int]] = {}
    with suppress(OSError):  # files vanish, and the folder may
        for path in _list_folder(folder):
            with suppress(OSError):
                state = path.stat()
                found[path] = (state.st_size, state.st_mtime_ns)
    return found


def _make_row(
    system: System, path: Path, out: Path | None, written: dict[str, Path]
) -> dict[str, Any]:
    answer = system.answer(path)
    if out is not None and not answer.label:
        _refuse_same_name(path, written, out)
    row: dict[str, Any] = {"file": str(path)}
    row |= describe_answer(answer, system.predictor.manifest.classes)
    if out is not None and answer.boxes is not None:
        row |= write_boxes(system, answer.boxes, out, path)
    elif out is not None and not answer.label:
        row["mask"] = str(write_mask(answer, out, path))
    return row


def _refuse_same_name(path: Path, written: dict[str, Path], out: Path) -> None:
    """Refuse a second file of one name, whose answer would be written over that of the first.

    Raises:
        DataError: It is one.
    """
    first = written.setdefault(path.name, path)
    if first.resolve() != path.resolve():
        raise DataError(
            f"{first} and {path} have one name, by which their answers in {out} are called; "
            "predict their folders one after the other, each with an --out of its own"
        )


def write_boxes(system: System, boxes: Tensor, out: Path, path: Path) -> dict[str, str]:
    """Write the boxes of an image as CSV, and draw them into the image as PNG.

    Edges are in pixels of the file's image; it is drawn as the network takes it. Captures are no
    image: of them there is the CSV alone, in pixels of the image that the network is trained on.

    Args:
        system: The deployed run.
        boxes: Classes, edges and scores, (n, 6).
        out: The folder to write into.
        path: The file that was answered, by whose whole name the files are called.

    Returns:
        The paths, by what they hold.
    """
    classes = system.predictor.manifest.classes
    out.mkdir(parents=True, exist_ok=True)
    captured = path.suffix.lower() == CAPTURES
    stored = boxes if captured else restore_boxes(boxes, read_shape(path), system.target)
    table = out / f"{path.name}.boxes.csv"
    lines = ["class,xmin,ymin,xmax,ymax,score"]
    for kind, *numbers in stored.tolist():
        name = classes[int(kind)]
        quoted = '"' + name.replace('"', '""') + '"'
        lines.append(",".join([quoted, *(f"{one:.6g}" for one in numbers)]))
    write_bytes(table, ("\n".join(lines) + "\n").encode())
    if captured:
        return {"boxes": str(table)}
    drawn = out / f"{path.name}{DRAWN}"
    write_bytes(drawn, draw_boxes(read_picture(path, system.target), boxes, classes))
    return {"boxes": str(table), "drawn": str(drawn)}


def draw_boxes(image: np.ndarray, boxes: Tensor, classes: tuple[str, ...]) -> bytes:
    """An image with its boxes, each with class and score, as the bytes of a PNG.

    A small image is enlarged by a whole factor, so that the texts can be read.

    Args:
        image: (C, H, W) uint8.
        boxes: Classes, edges and scores, (n, 6).
        classes: Names of the classes.
    """
    from PIL import Image, ImageDraw

    picture = Image.fromarray(image[0] if len(image) == 1 else image.transpose(1, 2, 0))
    factor = max(1, SHOWN_PIXELS // max(picture.size))
    size = picture.width * factor, picture.height * factor
    picture = picture.convert("RGB").resize(size, Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(picture)
    for kind, *edges, score in boxes.flip(0).tolist():  # the best on top
        left, top, right, bottom = (factor * edge for edge in edges)
        colour = COLOURS[1 + int(kind) % (len(COLOURS) - 1)]
        pen.rectangle((left, top, right, bottom), outline=colour, width=2)
        said = f"{classes[int(kind)]} {score:.2f}"
        pen.rectangle(pen.textbbox((left + 3, top + 2), said), fill=colour)
        pen.text((left + 3, top + 2), said, fill="white")
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def write_mask(answer: Answer, out: Path, path: Path) -> Path:
    """Write a map of classes as PNG: the value of a pixel is its class, and has a colour.

    Maps of numbers are written as ``.npy``.

    Args:
        answer: The answer.
        out: The folder to write into.
        path: The file that was answered, by whose whole name the mask is called.
    """
    from PIL import Image

    buffer = io.BytesIO()
    if answer.predicted.is_floating_point():
        np.save(buffer, answer.predicted.numpy())
        place = out / f"{path.name}.npy"
    else:
        picture = Image.fromarray(answer.predicted.numpy().astype(np.uint8), mode="P")
        picture.putpalette([value for colour in COLOURS for value in colour])
        picture.save(buffer, "PNG")
        place = out / f"{path.name}{MASK}"
    out.mkdir(parents=True, exist_ok=True)
    write_bytes(place, buffer.getvalue())
    return place
