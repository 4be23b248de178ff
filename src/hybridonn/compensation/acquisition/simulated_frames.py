"""What a camera would have written for a template: the rehearsal of a measurement."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from hybridonn.compensation.acquisition.camera_view import (
    CameraView,
    place_apart,
    place_on_chip,
    project,
    size_frame,
)
from hybridonn.compensation.acquisition.manifest import DARK, FLAT, POINT, SIGNS
from hybridonn.compensation.acquisition.simulated_camera import SimulatedCamera, SimulatedSensor
from hybridonn.core.progress import Progress
from hybridonn.optics.layout.sites import Layout

if TYPE_CHECKING:
    from scipy.sparse import csr_array

See = Callable[[torch.Tensor], torch.Tensor]  # scenes (B, C, H, W) to light (B, K, 2, H', W')
Row = dict[str, str]


@dataclass(frozen=True)
class Bench:
    """What stands on the optical bench.

    Attributes:
        see: The light of the chip on the sensor plane.
        layout: Layout of the chip.
        view: How the camera looks at the sensor plane.
        camera: The camera.
        apart: Whether each frame shows one sub-optic.
    """

    see: See
    layout: Layout
    view: CameraView
    camera: SimulatedCamera
    apart: bool


def take_frames(folder: Path, bench: Bench, progress: Progress) -> tuple[int, int]:
    """Display each capture of a template and save what the camera sees.

    Args:
        folder: A template; the frames are written where its manifest says.
        bench: What stands on the optical bench.
        progress: Shows how far it is.

    Returns:
        The number of frames, and of those of images or points that saturate.
    """
    rows = _read_rows(folder)
    shown = list(dict.fromkeys(name for row in rows if (name := _name_display(row))))
    brightest, shape = _measure_brightest(folder, shown, bench.see)
    projected, frame_shape = _project(bench, len(_see(folder, shown[0], bench.see)), shape)
    sensor = SimulatedSensor(bench.camera, frame_shape)
    at_hand: tuple[str, np.ndarray] = ("", np.zeros(0))
    saturated = 0
    with progress.bar("frames", len(rows)) as advance:
        for row in rows:
            name = _name_display(row)
            if name and name != at_hand[0]:
                at_hand = name, _see(folder, name, bench.see) / brightest
            values = _take(row, sensor, projected, at_hand[1], frame_shape)
            saturated += bool(name) and sensor.saturates(values)
            write_frame(folder / row["frame"], bench.view.mount(values))
            advance()
    return len(rows), saturated


def write_frame(path: Path, values: np.ndarray) -> None:
    """Write the values of a camera, unchanged: TIFF, PNG or npy."""
    from PIL import Image
    from tifffile import imwrite

    values = np.ascontiguousarray(values)
    if path.suffix == ".npy":
        np.save(path, values)
    elif path.suffix == ".png":
        Image.fromarray(values).save(path)
    else:
        imwrite(path, values, metadata=None)


def _read_rows(folder: Path) -> list[Row]:
    with (folder / "manifest.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _name_display(row: Row) -> str:
    """The capture of the folder ``display`` that a row shows; empty: none."""
    if row["image_id"] in (DARK, FLAT):
        return ""
    channel = row.get("channel") or ""
    return f"{POINT}_{channel}" if row["image_id"] == POINT and channel else row["image_id"]


def _see(folder: Path, name: str, see: See) -> np.ndarray:
    """The light of one displayed capture, (2 K, H', W')."""
    from PIL import Image

    path = folder / "display" / f"{name}.png"
    if not path.is_file():  # the point of a grey display has no channel in its name
        path = folder / "display" / f"{name.partition('_')[0]}.png"
    with Image.open(path) as picture:
        values = np.asarray(picture, np.float32) / 255
    planes = values[None] if values.ndim == 2 else np.moveaxis(values, 2, 0)
    light = see(torch.from_numpy(np.ascontiguousarray(planes))[None])
    return light[0].flatten(0, 1).double().clamp_min(0).numpy()


def _measure_brightest(folder: Path, shown: list[str], see: See) -> tuple[float, tuple[int, int]]:
    """The brightest light of all captures, by which the exposure is chosen, and their shape."""
    peaks: list[float] = []
    shape = (0, 0)
    for name in shown:
        light = _see(folder, name, see)
        shape = light.shape[1], light.shape[2]
        peaks.append(float(light.max()))
    return max(*peaks, 1e-30), shape


def _project(
    bench: Bench, sub_optics: int, shape: tuple[int, int]
) -> tuple[csr_array, tuple[int, int]]:
    """The weights of one frame, and its size."""
    view = bench.view
    centres = place_apart(1) if bench.apart else place_on_chip(bench.layout, view.pixel_m)
    frame_shape = size_frame(view, centres, shape)
    return project(view, centres, frame_shape, shape), frame_shape


def _take(
    row: Row,
    sensor: SimulatedSensor,
    projected: csr_array,
    light: np.ndarray,
    frame_shape: tuple[int, int],
) -> np.ndarray:
    if row["image_id"] == DARK:
        return sensor.expose(np.zeros(frame_shape))
    if row["image_id"] == FLAT:
        return sensor.flat()
    if row.get("kernel"):
        light = light[2 * int(row["kernel"]) + SIGNS[row["sign"]]]
    return sensor.expose((projected @ light.ravel()).reshape(frame_shape))
