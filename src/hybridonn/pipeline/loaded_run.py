"""A finished run, read from its folder alone: the data set is not needed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hybridonn.core.errors import ArtefactError, DataError
from hybridonn.core.files import read_json
from hybridonn.core.stage_record import DamagedError, explain_damage, read_record
from hybridonn.pipeline.run_folder import RESULTS
from hybridonn.pipeline.run_record import AGAIN, read_own_spec, read_own_stage, read_run_record

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn

    from hybridonn.networks.frontends.frontend import Frontend
    from hybridonn.networks.hybrid import HybridNetwork
    from hybridonn.spec import Spec


@dataclass(frozen=True)
class LoadedRun:
    """What a run folder holds, read when it is asked for.

    Attributes:
        folder: The run folder.
        spec: The spec that the run was made from.
    """

    folder: Path
    spec: Spec = field(repr=False)

    @cached_property
    def results(self) -> dict[str, Any]:
        """All numbers, by stage: ``run.results["student"]["accuracy"]``.

        Raises:
            ArtefactError: ``results.json`` is damaged, or contradicts a stage.
        """
        return _read_results(self.folder)

    @cached_property
    def record(self) -> dict[str, Any]:
        """Versions, seeds, hashes, data set, machine and times of the run."""
        return read_run_record(self.folder)

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, in the order of the outputs."""
        return tuple(self.record["data"]["classes"])

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """The shape (C, H, W) of the images that the networks take."""
        channels, height, width = self.record["data"]["image_shape"]
        return channels, height, width

    def student(self) -> HybridNetwork:
        """The trained hybrid network, in inference mode: (B, C, H, W) in [0, 1] to logits.

        Raises:
            ArtefactError: The run has no finished student.
        """
        from hybridonn.networks.student import build_student

        spec = self.spec
        network = build_student(
            spec.student, self.image_shape, len(self.classes), spec.seed, spec.optics, spec.task
        )
        self._load(network, "student")
        return network.eval()

    def compensated(self) -> HybridNetwork:
        """The network behind the chip that was compensated last, in inference mode.

        Its optics are those of the simulated chip, or of a real one the measured point spread
        functions; its backend is the one that the compensation kept. It has no camera: to scenes
        (B, C, H, W) in [0, 1] it answers with logits, without noise.

        Raises:
            ArtefactError: No chip of the run was compensated.
            DeploymentError: No point spread functions of the real chip were measured.
        """
        from hybridonn.pipeline.compensated_network import load_compensated

        return load_compensated(self.spec, self.folder, self)

    def frontend(self) -> Frontend:
        """The optics of the trained student: a scene (B, C, H, W) to feature maps."""
        return self.student().frontend

    def teacher(self) -> nn.Module:
        """The digital teacher, in inference mode: (B, C, H, W) in [0, 1] to logits.

        Raises:
            ArtefactError: The run has no finished teacher.
        """
        from hybridonn.networks.memory import lay_channels_last
        from hybridonn.networks.teachers.build import build_stated_teacher
        from hybridonn.tasks.task import make_task

        network = build_stated_teacher(
            self.spec.teacher,
            self.image_shape,
            len(self.classes),
            outputs=make_task(self.spec.task).output_shape(len(self.classes), self.image_shape),
        )
        self._load(network, "teacher")
        lay_channels_last(network)
        return network.eval()

    def _load(self, network: nn.Module, stage: str) -> None:
        from hybridonn.pipeline.weights import put_weights

        put_weights(network, read_own_stage(self.folder, stage).folder / "weights.safetensors")


def load_run(folder: str | Path) -> LoadedRun:
    """Open a finished run: its folder, or a bundle of it.

    Args:
        folder: The run folder, such as ``runs/mnist``, or a file that ``hybridonn bundle`` wrote.

    Raises:
        DeploymentError: The bundle is damaged, was changed, or is of another version.
        ArtefactError: The folder is no run, the run is not finished, or its record or its spec
            was changed.
    """
    if not isinstance(folder, str | PathLike) or isinstance(os.fspath(folder), bytes):
        raise ArtefactError(
            f"found {type(folder).__name__} in place of the path of a run folder; give a path, "
            "such as 'runs/mnist'"
        )
    folder = Path(folder)
    if folder.suffix.lower() == ".zip":
        from hybridonn.pipeline.bundle import open_bundle

        folder = open_bundle(folder)
    return LoadedRun(folder, read_own_spec(folder))


def _read_results(folder: Path) -> dict[str, Any]:
    """The numbers of a run, compared with those that its stages keep.

    Raises:
        ArtefactError: The file is damaged, holds something else, or contradicts a stage.
    """
    path = folder / RESULTS
    results = read_json(path)
    if not isinstance(results, dict) or not all(isinstance(one, dict) for one in results.values()):
        raise ArtefactError(f"{path} does not hold numbers by stage; {AGAIN}")
    for name, numbers in results.items():
        if not (folder / name / "stage.json").is_file():
            continue
        try:
            kept = read_record(folder / name)["results"]
        except DamagedError as error:
            raise ArtefactError(explain_damage(error, folder / name)) from None
        for key in (key for key in kept if key not in numbers or numbers[key] != kept[key]):
            raise ArtefactError(
                f"{path} says {name}.{key} is {str(numbers.get(key))[:40]}, and the stage itself "
                f"says {str(kept[key])[:40]}; {AGAIN}"
            )
    return results


@dataclass(frozen=True)
class Prediction:
    """What a network says of some images.

    Attributes:
        logits: The outputs, float32: (N, classes), (N, classes, H, W) or, in detection,
            (N, classes + 4, H / 4, W / 4).
        predicted: What the task makes of them: the class of each image, (N,), or pixel,
            (N, H, W), or the boxes of each image, best first, (N, 500, 6): class, left, upper,
            right and lower edge in pixels, and score.
        classes: The names of the classes, in the order of the outputs.
        names: The name of each image's class; empty where the task has no one name for an image.
    """

    logits: Tensor
    predicted: Tensor
    classes: tuple[str, ...]
    names: list[str]


def predict(run: LoadedRun | str | Path, images: Tensor | np.ndarray | Sequence[Any]) -> Prediction:
    """Predict the classes of images, or of their pixels, with the trained student of a run.

    Args:
        run: A run, or its folder.
        images: 8-bit images (N, C, H, W), or (N, H, W) of a grey data set, of the size that
            the student was trained on.

    Raises:
        DataError: The images have another type, number of channels or size.
        ArtefactError: The folder is no finished run.
    """
    from hybridonn.distillation.training import predict as predict_logits
    from hybridonn.tasks.task import make_task

    run = run if isinstance(run, LoadedRun) else load_run(run)
    logits = predict_logits(run.student(), _as_images(images, run.image_shape))
    task = make_task(run.spec.task)
    predicted = task.predict(logits)
    names = [task.name_label(one, run.classes) for one in predicted]
    return Prediction(logits, predicted, run.classes, names)


def _as_images(images: Tensor | np.ndarray | Sequence[Any], wanted: tuple[int, int, int]) -> Tensor:
    import torch

    images = _as_tensor(images, wanted)
    if images.ndim == 3 and wanted[0] == 1:
        images = images[:, None]
    if images.dtype != torch.uint8 or images.ndim != 4 or tuple(images.shape[1:]) != wanted:
        raise DataError(
            f"found images of shape {tuple(images.shape)} and type {images.dtype}; the run takes "
            f"(N, {', '.join(map(str, wanted))}) of type torch.uint8, 0 dark and 255 bright"
        )
    if not len(images):
        raise DataError("found no image to predict; give at least one")
    return images


def _as_tensor(images: Any, wanted: tuple[int, int, int]) -> Tensor:
    """Images as a tensor.

    Raises:
        DataError: They are no array of numbers.
    """
    import numpy as np
    import torch

    try:
        if isinstance(images, torch.Tensor):
            return images.detach().cpu()
        array = np.asarray(images)
        if array.dtype.kind in "biuf":
            return torch.from_numpy(np.ascontiguousarray(array))
    except (TypeError, ValueError, RuntimeError, OverflowError):
        pass  # what no array can be made of
    raise DataError(
        f"found {type(images).__name__} that is no array of images; the run takes "
        f"(N, {', '.join(map(str, wanted))}) of type uint8, 0 dark and 255 bright"
    )
