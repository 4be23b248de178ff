"""Frames of the browser's camera, and of a watched folder, as answers that the page can show."""

from __future__ import annotations

import base64
import threading
from pathlib import Path
from typing import Any

import numpy as np

from hybridonn.core.errors import DataError
from hybridonn.deployment.predictor import Answer
from hybridonn.pipeline.predict import System, watch

LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601


def answer_frame(system: System, content: bytes, invert: bool) -> dict[str, Any]:
    """Answer a frame of the browser's camera.

    Args:
        system: The deployed run.
        content: Red, green and blue of each pixel, one byte each, row after row, of the size that
            the network takes.
        invert: Whether dark becomes bright: ink on paper, for networks of bright strokes.

    Raises:
        DataError: The frame has another size.
    """
    target = system.target
    if len(content) != 3 * target.height * target.width:
        raise DataError(
            f"the browser sent {len(content):,} bytes; a frame of {target.height} x {target.width} "
            f"pixels has {3 * target.height * target.width:,}: load the page again"
        )
    frame = np.frombuffer(content, np.uint8).reshape(target.height, target.width, 3)
    frame = 255 - frame if invert else frame
    image = (
        (frame @ LUMA).round().astype(np.uint8)[None] if target.grey else frame.transpose(2, 0, 1)
    )
    return show_answer(system, system.predictor.answer_picture(np.ascontiguousarray(image)))


def show_answer(system: System, answer: Answer) -> dict[str, Any]:
    """An answer as the page takes it.

    Raises:
        DataError: It is no class and no map of classes.
    """
    shown: dict[str, Any] = {
        "label": answer.label,
        "confidence": answer.confidence,
        "milliseconds": answer.milliseconds,
    }
    if answer.predicted.is_floating_point():
        raise DataError("this network predicts numbers, and the page shows classes; use `predict`")
    if answer.label:
        classes = system.predictor.manifest.classes
        shown["shares"] = dict(zip(classes, answer.shares, strict=True))
    else:
        mask = answer.predicted.numpy().astype(np.uint8)
        shown |= {
            "mask": base64.b64encode(mask.tobytes()).decode(),
            "rows": mask.shape[0],
            "columns": mask.shape[1],
        }
    return shown


class WatchedFolder:
    """The last answer to what a camera writes into a folder; a thread follows it.

    Args:
        system: The deployed run.
        folder: The folder.

    Raises:
        DataError: The folder is missing.
    """

    def __init__(self, system: System, folder: Path) -> None:
        if not folder.is_dir():
            raise DataError(f"{folder} is no folder that could be watched")
        self.folder = folder
        self._system = _Keeping(system)
        self._last: dict[str, Any] = {"number": 0, "said": ""}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def start(self) -> None:
        """Begin to follow the folder."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()

    @property
    def last(self) -> dict[str, Any]:
        """The last answer with its number and its file, and the last file that had none."""
        return self._last

    def _follow(self) -> None:
        found = watch(self._system, self.folder, None, self._say, self._ended.is_set, 0.05)
        for row in found:
            assert self._system.kept is not None
            shown = show_answer(self._system, self._system.kept)
            number = self._last["number"] + 1
            self._last = {"number": number, "file": Path(row["file"]).name, "said": ""} | shown

    def _say(self, line: str) -> None:
        self._last = self._last | {"said": line}


class _Keeping(System):
    """A system that keeps its last answer."""

    kept: Answer | None

    def __init__(self, system: System) -> None:
        super().__init__(system.predictor, system.target, system.fits)
        object.__setattr__(self, "kept", None)

    def answer(self, path: Path) -> Answer:
        """Answer one file."""
        found = super().answer(path)
        object.__setattr__(self, "kept", found)
        return found
