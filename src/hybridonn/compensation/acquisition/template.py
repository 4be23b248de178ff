"""What to display in front of a chip, and how to name the camera's frames."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hybridonn.compensation.acquisition.capture_dataset import name_image, refuse_taken
from hybridonn.compensation.acquisition.captured_design import CapturedDesign
from hybridonn.compensation.acquisition.manifest import DARK, FLAT, POINT, SIGNS
from hybridonn.compensation.acquisition.simulate import draw_point
from hybridonn.compensation.capture_sampling import count_captures
from hybridonn.core.errors import ArtefactError, SpecError
from hybridonn.core.files import write_json, write_table, write_text
from hybridonn.core.parts import put_new_folder, scratch_folder
from hybridonn.data.dataset import Dataset
from hybridonn.data.readers.frame_files import check_suffix
from hybridonn.data.splits import draw_positions
from hybridonn.tasks.strata import Strata

REPEATS = 4  # dark and flat frames: their mean has half the noise of one

GUIDE = """How to capture behind the chip

1. Display each capture of the folder display/ in front of the chip, one pixel of the capture as
   one pixel of the scene; never change position, focus or gain between frames.
2. Save what the camera sees under the name that manifest.csv gives, beside this file: TIFF, PNG
   (8 or 16 bits) or npy, linear (no gamma), all of one size and bit depth. Another of these
   suffixes is fine if you change it in the manifest; no other can be read.
3. {layout}
4. Write the true exposure time of each frame into the column exposure_s. Choose it so that no
   pixel saturates in the brightest capture. Each exposure needs its own dark frame.
5. image_id dark: shutter closed. flat: the sensor lit evenly, without the chip. point:
   display/{point}.
   Rows of these may be removed; the import says what it then does without.
6. hybridonn captures import RUN THIS_FOLDER --camera-pixel-um UM --pixels-per-feature N
   UM is the pitch of the camera, N its pixels along a pixel of the kernels. Frames that show one
   sub-optic each (--apart) need --pixels-per-feature alone.

Never reorder rows or frames by hand: image_id says what is shown, and the import checks it.
"""


def write_template(
    design: CapturedDesign,
    folder: Path,
    *,
    fraction: float,
    test_images: int,
    exposure_s: float,
    apart: bool = False,
    suffix: str = "tif",
    seed: int = 0,
) -> dict[str, Any]:
    """Write captures to display, a manifest to fill in, and a guide, whole or not at all.

    Args:
        design: The design of the run.
        folder: New or empty.
        fraction: Of the student's training images, every class in proportion.
        test_images: How many, every class in proportion and with at least one; 0: none.
        exposure_s: Put into every row, to be corrected.
        apart: A frame a sub-optic instead of one mosaic frame an image.
        suffix: Of the frames; one that the import reads.
        seed: Of the choice of images.

    Returns:
        Number of ``images``, ``test_images`` and ``frames``.

    Raises:
        ArtefactError: The folder is taken or cannot be written.
        SpecError: The images can be displayed by no RGB or grey screen, the fraction is not one
            image of each class, or the import cannot read frames of this suffix.
    """
    suffix = check_suffix(suffix)
    refuse_taken(folder)
    apart = apart or design.is_coherent  # its masks are shown one after another
    dataset = design.dataset
    if dataset.image_shape[0] not in (1, 3):
        raise SpecError(
            f"the images of {dataset.name} have {dataset.image_shape[0]} channels; captures to "
            "display have 1 or 3"
        )
    covered = {
        name: dataset.task.cover(getattr(dataset, name).labels, dataset.classes)
        for name in ("student_train", "test")
    }
    wanted = count_captures(fraction, covered["student_train"])
    chosen = {
        "student_train": choose_some(covered["student_train"], wanted, seed),
        "test": choose_some(covered["test"], test_images, seed),
    }
    ids = [name_image(name, int(n)) for name, positions in chosen.items() for n in positions]
    rows = list(_rows(ids, design, exposure_s, apart, suffix))
    try:
        with scratch_folder(folder) as part:
            _write_display(part / "display", chosen, dataset, point=not design.is_coherent)
            write_table(part / "manifest.csv", rows)
            write_json(part / "template.json", {**design.origin, "images": len(ids)})
            write_text(part / "GUIDE.txt", _guide(design, apart))
            (part / "frames").mkdir()
            put_new_folder(part, folder)
    except OSError as error:
        refuse_taken(folder)  # by another command, meanwhile
        raise ArtefactError(f"cannot write {folder}: {error.strerror or error}") from None
    tests = len(chosen["test"])
    return {"images": len(ids) - tests, "test_images": tests, "frames": len(rows)}


def choose_some(covered: Strata, number: int, seed: int) -> Tensor:
    """Positions of some images, every group in proportion, rising, (n,) int64."""
    if number <= 0:
        return torch.zeros(0, dtype=torch.int64)
    return draw_positions(covered, max(number, len(covered.names)), seed)


def _rows(
    ids: list[str], design: CapturedDesign, exposure_s: float, apart: bool, suffix: str
) -> Iterator[dict[str, Any]]:
    colours = design.dataset.image_shape[0]
    for kind in (DARK, FLAT):
        for number in range(REPEATS):
            yield _row(f"{kind}_{number}", kind, exposure_s, suffix)
    shown: list[tuple[str, str, int | str]] = []
    if not design.is_coherent:
        shown = [(f"point_{colour}", POINT, colour) for colour in range(colours)]
    for name, image_id, channel in [*shown, *((one, one, "") for one in ids)]:
        if not apart:
            yield _row(name, image_id, exposure_s, suffix, channel=channel)
            continue
        for kernel in range(len(design.kernels)):
            for sign in SIGNS:
                place = {"kernel": kernel, "sign": sign, "channel": channel}
                yield _row(f"{name}_k{kernel:03d}_{sign}", image_id, exposure_s, suffix, **place)


def _row(name: str, image_id: str, exposure_s: float, suffix: str, **more: Any) -> dict[str, Any]:
    row = {"frame": f"frames/{name}.{suffix}", "image_id": image_id, "exposure_s": exposure_s}
    return row | more


def _guide(design: CapturedDesign, apart: bool) -> str:
    sub_optics = 2 * len(design.kernels)
    what = "masks" if design.is_coherent else "sub-optics"
    layout = (
        f"Each frame shows one of the {sub_optics} {what} (columns kernel and sign), its\n"
        "   capture in the middle."
        if apart
        else f"Each frame shows all {sub_optics} sub-optics at once, the middle of the metasurface "
        "in the\n   middle of the frame, to a few pixels; mirrored or turned is found by itself."
    )
    colours = design.dataset.image_shape[0]
    point = "point.png" if colours == 1 else "point_CHANNEL.png, one colour after the other"
    return GUIDE.format(layout=layout, point=point)


def _write_display(folder: Path, chosen: dict[str, Tensor], dataset: Dataset, point: bool) -> None:
    folder.mkdir(parents=True)
    for name, positions in chosen.items():
        images = getattr(dataset, name).images
        for position in positions.tolist():
            _write_png(folder / f"{name_image(name, position)}.png", images[position].numpy())
    if point:
        _write_point(folder, draw_point(dataset.image_shape)[0].numpy())


def _write_point(folder: Path, point: np.ndarray) -> None:
    if len(point) == 1:
        _write_png(folder / "point.png", point)
        return
    for colour in range(len(point)):
        one = np.zeros_like(point)
        one[colour] = point[colour]
        _write_png(folder / f"point_{colour}.png", one)


def _write_png(path: Path, image: np.ndarray) -> None:
    from PIL import Image

    Image.fromarray(image[0] if len(image) == 1 else np.moveaxis(image, 0, 2)).save(path)
