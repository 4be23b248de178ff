"""Answers of deployed files: an image through simulated optics, or captures behind real ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hybridonn.core.errors import DataError, DeploymentError
from hybridonn.deployment.extras import need_extra
from hybridonn.deployment.manifest import read_manifest
from hybridonn.deployment.network_files import BACKEND, HYBRID, INT8
from hybridonn.deployment.runtime import OnnxNetwork
from hybridonn.tasks.boxes import CLASS
from hybridonn.tasks.task import make_task


@dataclass(frozen=True)
class Answer:
    """What a deployed network says of one image.

    Attributes:
        predicted: The class of the image, (), or what the task predicts of each pixel, (H, W).
        label: Name of the class; empty: the answer is a map.
        confidence: Probability of the class by the softmax of the outputs; of a map, the mean over
            its pixels. None: the task predicts numbers, not classes.
        milliseconds: What the network took.
        shares: Probability of each class by the softmax; empty: the answer is a map.
        boxes: Objects with class, edges in pixels and score, (n, 6), see
            :mod:`hybridonn.tasks.boxes`; None: the answer is no boxes.
    """

    predicted: Tensor
    label: str
    confidence: float | None
    milliseconds: float
    shares: tuple[float, ...] = ()
    boxes: Tensor | None = None


class Predictor:
    """The files of a deployed network, ready to answer.

    Args:
        folder: A folder that ``hybridonn deploy`` wrote.
        int8: Whether captures are answered by the backend in 8-bit integers.

    Raises:
        DeploymentError: The folder is not whole, was changed, or is of another version; or
            onnxruntime is not installed.
    """

    def __init__(self, folder: Path, int8: bool = False) -> None:
        need_extra("onnxruntime")
        self.manifest, self._int8 = read_manifest(folder), int8
        self.task = make_task(self.manifest.task)
        self._backend = OnnxNetwork(folder / (INT8 if int8 else BACKEND), threads=1)
        hybrid = folder / HYBRID
        self._hybrid = OnnxNetwork(hybrid, threads=1) if hybrid.is_file() else None

    @property
    def takes_pictures(self) -> bool:
        """Whether the optics are known, so that images can be answered."""
        return self._hybrid is not None

    def answer_picture(self, image: np.ndarray) -> Answer:
        """Answer an image, (C, H, W) uint8, through the simulated optics.

        Raises:
            DataError: It has another shape or type.
            DeploymentError: The optics are not known, or 8-bit integers are asked for.
        """
        if self._int8:
            raise DeploymentError(
                "--int8 is the backend alone, which takes captures, files of .npz; leave it out "
                "for images"
            )
        if self._hybrid is None:
            raise DeploymentError(
                f"the optics of {self.manifest.run} are known by their captures alone, so that no "
                "image can be answered; give captures, files of .npz"
            )
        wanted = self.manifest.image_shape
        if image.dtype != np.uint8 or image.shape != wanted:
            raise DataError(
                f"found an image of shape {image.shape} and type {image.dtype}; the network takes "
                f"{wanted} of uint8"
            )
        scene = torch.from_numpy(np.ascontiguousarray(image))[None].float() / 255
        return self._ask(self._hybrid, (scene,))

    def answer_captures(self, captures: Mapping[str, np.ndarray]) -> Answer:
        """Answer the captures of an image: ``branch_0``, ..., (K, 2, H, W) each, positive first.

        Raises:
            DataError: They do not fit the layout of the manifest.
        """
        from dataclasses import asdict

        from hybridonn.deployment.runner import subtract

        try:
            features = subtract(captures, asdict(self.manifest))
        except ValueError as error:
            raise DataError(str(error)) from None
        found = tuple(map(torch.from_numpy, features.values()))
        if not all(bool(one.isfinite().all()) for one in found):
            raise DataError("the captures hold values that are no number")
        return self._ask(self._backend, found)

    def _ask(self, network: OnnxNetwork, inputs: tuple[Tensor, ...]) -> Answer:
        began = perf_counter()
        logits = network(inputs)
        took = 1e3 * (perf_counter() - began)
        predicted = self.task.predict(logits)[0]
        boxes = self.task.list_boxes(predicted)
        if boxes is not None:
            return Answer(predicted, "", None, took, boxes=boxes)
        if predicted.is_floating_point():
            return Answer(predicted, "", None, took)
        shares = logits.softmax(1)
        confidence = float(shares.amax(1).mean())
        if predicted.ndim:
            return Answer(predicted, "", confidence, took)
        label = self.manifest.classes[int(predicted)]
        return Answer(predicted, label, confidence, took, tuple(shares[0].tolist()))


def describe_answer(answer: Answer, classes: tuple[str, ...]) -> dict[str, Any]:
    """An answer as a row: its class, the share of pixels or the number of boxes of each class."""
    row: dict[str, Any] = {"label": answer.label} if answer.label else {}
    if answer.boxes is not None:
        row |= {
            f"count_{name}": int((answer.boxes[:, CLASS] == index).sum())
            for index, name in enumerate(classes)
        }
    if not answer.label and not answer.predicted.is_floating_point():
        row |= {
            f"share_{name}": round(float((answer.predicted == index).float().mean()), 6)
            for index, name in enumerate(classes)
        }
    if answer.confidence is not None:
        row["confidence"] = round(answer.confidence, 6)
    return row | {"milliseconds": round(answer.milliseconds, 3)}
