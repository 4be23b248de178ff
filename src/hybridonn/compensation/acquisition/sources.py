"""Where captures come from: a folder with a manifest, or arrays; both give light by image."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from hybridonn.compensation.acquisition.capture_dataset import name_image
from hybridonn.compensation.acquisition.corrections import (
    MOST_BAD_SHARE,
    Corrections,
    read_corrections,
)
from hybridonn.compensation.acquisition.levels import Alignment, Levels, Tally, find_levels, tally
from hybridonn.compensation.acquisition.manifest import DARK, FLAT, POINT, Frame, Manifest, refuse
from hybridonn.core.array_reading import ArrayHeader, read_archive, read_headers
from hybridonn.core.errors import DataError
from hybridonn.data.readers.frame_files import read_picture


class Source(Protocol):
    """What an import reads from."""

    where: Path

    @property
    def blind(self) -> np.ndarray | None:
        """Pixels of a frame that measure nothing, (H, W) bool; None: there are none."""
        ...

    @property
    def image_ids(self) -> list[str]:
        """The images of the data set that were captured."""
        ...

    @property
    def is_mosaic(self) -> bool:
        """Whether one capture holds all sub-optics."""
        ...

    def read(self, image_id: str) -> np.ndarray:
        """Light behind the chip for one image, (1, H, W) of a mosaic, else (2 K, H, W)."""
        ...

    def exposure_s(self, image_id: str) -> float:
        """How long the image was exposed."""
        ...

    @property
    def levels(self) -> Levels:
        """At which value the camera saturates; known once saturated frames were looked for."""
        ...

    def find_saturated(self, picture_pixels: float | None = None) -> dict[str, str]:
        """Image id by the name of each saturated frame."""
        ...


class FrameSource:
    """Camera frames in a folder with a manifest.

    Args:
        manifest: Rows of the folder's manifest.
        bit_depth: Bits that the camera really has; None: recognised, or those of the file.
        alignment: Alignment of the camera's bits in the file's; None: recognised.

    Raises:
        DataError: A dark or flat frame cannot be used.
    """

    def __init__(
        self,
        manifest: Manifest,
        bit_depth: int | None = None,
        alignment: Alignment | None = None,
    ) -> None:
        self.where = manifest.path
        self.manifest = manifest
        self.stated = bit_depth, alignment
        self.levels = find_levels((), bit_depth, alignment)
        self.corrections: Corrections = read_corrections(manifest)
        self._frames: dict[str, list[Frame]] = {}
        for frame in manifest.frames:
            self._frames.setdefault(frame.image_id, []).append(frame)
        for frames in self._frames.values():
            frames.sort(key=lambda frame: (frame.sub_optic or 0, frame.channel or 0))

    @property
    def blind(self) -> np.ndarray | None:
        """Hot and dead pixels: what stands there was guessed from their neighbours."""
        return self.corrections.bad

    @property
    def image_ids(self) -> list[str]:
        """The images of the data set that were captured, in the order of the manifest."""
        return self.manifest.image_ids

    @property
    def is_mosaic(self) -> bool:
        """Whether one capture holds all sub-optics."""
        return self.manifest.is_mosaic

    def exposure_s(self, image_id: str) -> float:
        """How long the image was exposed: the longest of its frames."""
        return max(frame.exposure_s for frame in self._frames[image_id])

    def read(self, image_id: str) -> np.ndarray:
        """Light behind the chip, colours summed, (1, H, W) or (2 K, H, W)."""
        light: dict[int | None, np.ndarray] = {}
        for frame in self._frames[image_id]:
            one = _sum_colours(self.read_light(frame))
            light[frame.sub_optic] = light.get(frame.sub_optic, 0) + one
        return np.stack(list(light.values()))

    def points(self) -> list[Frame]:
        """The frames of a point."""
        return self._frames.get(POINT, [])

    def read_light(self, frame: Frame) -> np.ndarray:
        """One frame, corrected, (H, W) or (H, W, 3)."""
        return self.corrections.apply(read_picture(frame.path), frame.exposure_s)

    def find_saturated(self, picture_pixels: float | None = None) -> dict[str, str]:
        """Read every frame, recognise at which value the camera saturates, and check.

        Args:
            picture_pixels: Of one sub-optic's capture, of which a mosaic holds many; None: each
                frame holds one.

        Returns:
            Image id by the name of each saturated frame.

        Raises:
            DataError: Frames differ in size or bit depth, are damaged, or hold other values than
                the stated bit depth allows; a dark or flat frame is saturated.
        """
        tallies = self._count_values()
        lit = {frame: one for frame, one in tallies.items() if frame.image_id != DARK}
        self.levels = find_levels(lit.values(), *self.stated)
        saturated: dict[str, str] = {}
        for frame, one in tallies.items():
            if not self.levels.reaches(one) or not (share := one.share(picture_pixels)):
                continue
            if frame.image_id not in (DARK, FLAT):
                saturated[frame.path.name] = frame.image_id
            elif frame.image_id == FLAT or share > MOST_BAD_SHARE:
                cure = (
                    "with a shorter exposure" if frame.image_id == FLAT else "with closed shutter"
                )
                raise DataError(
                    f"{frame.path} is saturated in {share:.2%} of its pixels ({one.top:g}); take "
                    f"the {frame.image_id} capture {cure}"
                )
        return saturated

    def _count_values(self) -> dict[Frame, Tally]:
        kinds: dict[str, tuple[tuple[int, ...], str]] = {}
        found: dict[Frame, Tally] = {}
        damaged: list[str] = []
        bad = self.corrections.bad
        for frame in (f for frames in self._frames.values() for f in frames):
            try:
                raw = read_picture(frame.path)
            except DataError as error:
                damaged.append(str(error))
                continue
            kinds[frame.path.name] = (raw.shape, raw.dtype.name)
            fits = bad is not None and bad.shape == raw.shape[:2] and frame.image_id != DARK
            planes = raw if raw.ndim == 2 else np.moveaxis(raw, 2, 0)
            found[frame] = tally(planes, frame.exposure_s, bad if fits else None)
        refuse(damaged, "frames cannot be read", "take them again", self.where)
        _check_kinds(kinds, self.where)
        return found


class ArraySource:
    """Feature maps as arrays in an npz: ``image_ids``, ``positive``, ``negative``.

    ``exposure_s`` (N,), ``dark`` and ``flat`` (H, W) or (K, 2, H, W) may be there too.

    Args:
        path: The npz.
        kernels: Signed kernels of the student.
        shape: Shape of the feature maps.
        bit_depth: Bits of the camera, where the arrays hold its own values; None: recognised.
        alignment: Alignment of these bits in the array's; None: recognised.
        branches: Signed kernels of each branch of the student; empty: it has one.

    Raises:
        DataError: An array is missing or of a wrong shape or kind, holds values that are not
            finite, or an image is doubled.
    """

    is_mosaic = False
    blind = None

    def __init__(
        self,
        path: Path,
        kernels: int,
        shape: tuple[int, int],
        bit_depth: int | None = None,
        alignment: Alignment | None = None,
        branches: Sequence[int] = (),
    ) -> None:
        self.where = path
        self.stated = bit_depth, alignment
        self.levels = find_levels((), bit_depth, alignment)
        headers = read_headers(path)
        _check_branches(headers, branches, path)
        count = _check_headers(headers, kernels, shape, path)
        arrays = read_archive(path, [*CAPTURED, *FIELDS])
        ids = [str(one) for one in arrays["image_ids"]]
        wanted = (count, kernels, *shape)
        for name in CAPTURED[1:]:
            _check_finite(arrays[name], name, path)
        doubled = [f"{key} ({n} times)" for key, n in Counter(ids).items() if n > 1]
        refuse(doubled, "images are there more than once", "keep one capture of each", path)
        self.image_ids = ids
        self._positions = {image_id: number for number, image_id in enumerate(ids)}
        self._arrays = arrays
        self._exposures = _read_exposures(arrays, count, path)
        self._dark, self._flat = (_read_field(arrays, name, wanted, path) for name in KINDS)

    def exposure_s(self, image_id: str) -> float:
        """How long the image was exposed; 1 where the arrays do not say."""
        return float(self._exposures[self._positions[image_id]])

    def find_saturated(self, picture_pixels: float | None = None) -> dict[str, str]:
        """The images whose arrays hold values at which a camera saturates.

        Args:
            picture_pixels: Is that of a feature map here.

        Raises:
            DataError: The arrays hold other values than the stated bit depth allows.
        """
        stacks = {image_id: self._stack(image_id) for image_id in self.image_ids}
        tallies = {one: tally(stack, self.exposure_s(one)) for one, stack in stacks.items()}
        self.levels = find_levels(tallies.values(), *self.stated)
        pixels = float(np.prod(self._arrays["positive"].shape[2:]))
        return {
            f"image {one}": one
            for one, found in tallies.items()
            if self.levels.reaches(found) and found.share(pixels)
        }

    def _stack(self, image_id: str) -> np.ndarray:
        number = self._positions[image_id]
        return np.stack([self._arrays[name][number] for name in CAPTURED[1:]], 1)

    def read(self, image_id: str) -> np.ndarray:
        """Light behind the chip, (2 K, H, W): plus and minus of kernel 0, of kernel 1 ..."""
        light = self._stack(image_id).astype(np.float64)
        with np.errstate(over="ignore"):  # what is not finite is refused as such
            light = (light - self._dark) / self._flat / self.exposure_s(image_id)
        return light.reshape(-1, *light.shape[2:])


KINDS = ("dark", "flat")
CAPTURED, FIELDS = ("image_ids", "positive", "negative"), ("exposure_s", *KINDS)


def _check_branches(headers: dict[str, ArrayHeader], branches: Sequence[int], path: Path) -> None:
    """Refuse arrays of the kernels of one branch alone.

    Raises:
        DataError: They are.
    """
    for name in CAPTURED[1:]:
        shape = headers[name].shape if name in headers else ()
        held = shape[1] if len(shape) > 1 else 0
        if len(branches) > 1 and held in branches:
            own = list(branches).index(held)
            others = [number for number in range(len(branches)) if number != own]
            raise DataError(
                f"{path}: {name} holds {held} kernels, as many as branch {own} has; those of "
                f"{len(others)} branches ({', '.join(map(str, others))}) are missing: put the "
                "kernels of all branches into one array, in their order"
            )


def _check_headers(
    headers: dict[str, ArrayHeader], kernels: int, shape: tuple[int, int], path: Path
) -> int:
    """Refuse arrays of a wrong kind or shape before one is read; the number of images.

    Raises:
        DataError: An array is missing or does not fit.
    """
    if missing := [name for name in CAPTURED if name not in headers]:
        raise DataError(
            f"{path} lacks the array {', '.join(missing)}; it needs image_ids (N,) and "
            "positive and negative (N, kernels, height, width)"
        )
    ids = headers["image_ids"]
    if ids.dtype.kind != "U" or len(ids.shape) != 1:
        raise DataError(
            f"{path}: image_ids are {ids.dtype} of the shape {ids.shape}; they must be texts, "
            f"(images,), such as {name_image('test', 42)}"
        )
    wanted = (*ids.shape, kernels, *shape)
    for name, found in headers.items():
        if name in CAPTURED[1:] and found.shape != wanted:
            raise DataError(
                f"{path}: {name} has the shape {found.shape}; the image ids and the student of the "
                f"run need {wanted} (images, kernels, height, width): were the captures made for "
                "another run?"
            )
        if name in (*CAPTURED[1:], *FIELDS) and found.dtype.kind not in "uif":
            raise DataError(f"{path}: {name} holds {found.dtype}; allowed are integers and floats")
    return ids.shape[0]


def _check_finite(array: np.ndarray, name: str, path: Path) -> None:
    if bad := int((~np.isfinite(array)).sum()):
        raise DataError(f"{path}: {name} holds {bad} values that are not finite numbers")


def _read_exposures(arrays: dict[str, Any], number: int, path: Path) -> np.ndarray:
    exposures = arrays.get("exposure_s", np.ones(number))
    if exposures.shape != (number,) or not np.all((exposures > 0) & np.isfinite(exposures)):
        raise DataError(f"{path}: exposure_s must be {number} times in seconds, all above 0")
    return exposures


def _read_field(
    arrays: dict[str, Any], name: str, wanted: tuple[int, ...], path: Path
) -> np.ndarray | float:
    if name not in arrays:
        return 0.0 if name == "dark" else 1.0
    field = arrays[name].astype(np.float64)
    if field.shape not in (wanted[2:], (wanted[1], 2, *wanted[2:])):
        raise DataError(
            f"{path}: {name} has the shape {field.shape}; allowed are {wanted[2:]} and "
            f"{(wanted[1], 2, *wanted[2:])}"
        )
    _check_finite(field, name, path)
    if name == "dark":
        return field
    dark = arrays.get("dark", 0.0)
    light = field - dark
    if not np.all(light > 0):
        raise DataError(f"{path}: {int((light <= 0).sum())} values of flat are not above dark")
    return light / light.mean()


def _check_kinds(kinds: dict[str, tuple[tuple[int, ...], str]], where: Path) -> None:
    counts = Counter(kinds.values())
    if len(counts) < 2:
        return
    usual = counts.most_common(1)[0][0]
    others = [
        f"{name} {shape} {depth}"
        for name, (shape, depth) in kinds.items()
        if (shape, depth) != usual
    ]
    refuse(
        others,
        f"frames are of another size or bit depth than the usual {usual[0]} {usual[1]}",
        "take all with one setting, dark and flat ones too",
        where,
    )


def _sum_colours(light: np.ndarray) -> np.ndarray:
    return light.sum(2) if light.ndim == 3 else light
