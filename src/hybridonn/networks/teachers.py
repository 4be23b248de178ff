"""Digital teachers: built in, or named by the user as ``package.module:callable``."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from hybridonn.core.random import seeded
from hybridonn.errors import ArtefactError, SpecError
from hybridonn.files import read_tensors
from hybridonn.networks.alexnet import AlexNet
from hybridonn.networks.resnet import AirbenchNet, resnet18, resnet50
from hybridonn.networks.unet import UNet, residual_unet


class LeNet(nn.Sequential):
    """Two convolutions and two dense layers, after LeCun et al. 1998, in today's dress.

    Against the original: ReLU, max pooling, batch normalisation and dropout,
    and wider layers, so that on MNIST it is a teacher worth learning from.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        classes: int,
        channels: Sequence[int] = (32, 64),
        hidden: int = 128,
        dropout: float = 0.3,
    ) -> None:
        depth, height, width = image_shape
        layers: list[nn.Module] = []
        for out in channels:
            # Batch norm makes the bias of the convolution idle.
            layers += [nn.Conv2d(depth, out, 5, padding=2, bias=False), nn.BatchNorm2d(out)]
            layers += [nn.ReLU(), nn.MaxPool2d(2)]
            depth, height, width = out, height // 2, width // 2
        super().__init__(
            *layers,
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Linear(depth * height * width, hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, classes),
        )


BUILT_IN: Mapping[str, Callable[..., nn.Module]] = MappingProxyType(
    {
        "lenet": LeNet,
        "alexnet": AlexNet,
        "airbench": AirbenchNet,
        "resnet18": resnet18,
        "resnet50": resnet50,
        "u-net": UNet,
        "resu-net": residual_unet,
    }
)


def build_teacher(
    name: str,
    arguments: Mapping[str, Any],
    image_shape: tuple[int, int, int],
    classes: int,
    seed: int,
    *,
    per_pixel: bool = False,
) -> nn.Module:
    """Build a teacher; the same seed gives the same weights.

    Args:
        name: A built-in teacher, or ``package.module:callable``. A callable that
            takes ``image_shape`` and ``classes`` gets them.
        arguments: Further keyword arguments.
        image_shape: (C, H, W) of a scene.
        classes: Number of classes.
        seed: Of the weights.
        per_pixel: Whether the task wants an answer for each pixel.

    Returns:
        A network from (B, C, H, W) to (B, classes), or (B, classes, H, W).

    Raises:
        SpecError: There is no such teacher, its arguments do not fit, or its
            output does not fit the task.
    """
    make = _find(name)
    given = {"image_shape": image_shape, "classes": classes}
    wanted = inspect.signature(make).parameters
    keywords = {key: value for key, value in given.items() if key in wanted} | dict(arguments)
    try:
        with seeded("teacher", seed):
            teacher = make(**keywords)
    except (TypeError, ValueError, RuntimeError) as error:
        raise SpecError(f"teacher {name} cannot be built with {keywords}: {error}") from None
    answer = (classes, *image_shape[1:]) if per_pixel else (classes,)
    _check_output(teacher, name, image_shape, answer)
    return teacher


def load_weights(teacher: nn.Module, path: Path) -> None:
    """Load weights from a safetensors file into a teacher, every name and shape checked.

    Raises:
        ArtefactError: The file is missing or damaged, or its names or shapes are not
            the teacher's.
    """
    found, _ = read_tensors(path)
    wanted = teacher.state_dict()
    # A counter that only batch norm in training reads; files of other libraries leave it out.
    idle = {name for name in wanted if name.endswith("num_batches_tracked")} - set(found)
    faults = [
        *_name("it lacks", sorted(set(wanted) - set(found) - idle)),
        *_name("it has in excess", sorted(set(found) - set(wanted))),
        *_name(
            "of another shape are",
            [
                f"{name} {tuple(found[name].shape)} in place of {tuple(wanted[name].shape)}"
                for name in wanted
                if name in found and found[name].shape != wanted[name].shape
            ],
        ),
    ]
    if faults:
        raise ArtefactError(
            f"teacher.weights {path} does not fit the teacher: {'; '.join(faults)}. "
            "Check teacher.name and teacher.arguments, or leave teacher.weights out to train it"
        )
    teacher.load_state_dict({**{name: wanted[name] for name in idle}, **found})


def _name(what: str, names: Iterable[str], shown: int = 3) -> list[str]:
    names = list(names)
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return [f"{what} {', '.join(names[:shown])}{more}"] if names else []


def _find(name: str) -> Callable[..., nn.Module]:
    if name in BUILT_IN:
        return BUILT_IN[name]
    module, colon, attribute = name.partition(":")
    if not colon:
        raise SpecError(
            f"teacher.name is {name!r}; allowed is {', '.join(BUILT_IN)} or package.module:callable"
        )
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, RuntimeError) as error:
        raise SpecError(f"teacher.name is {name!r}, which cannot be imported: {error}") from None


def _check_output(
    teacher: nn.Module, name: str, image_shape: tuple[int, int, int], answer: tuple[int, ...]
) -> None:
    if not isinstance(teacher, nn.Module):
        raise SpecError(f"teacher {name} is a {type(teacher).__name__}; it must be an nn.Module")
    training = teacher.training
    try:
        with torch.no_grad():
            logits = teacher.eval()(torch.zeros(2, *image_shape))
    except RuntimeError as error:
        raise SpecError(
            f"teacher {name} cannot take images of {image_shape} (C, H, W): {error}"
        ) from None
    teacher.train(training)
    found = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
    if found != (2, *answer):
        each = "pixel and class" if len(answer) > 1 else "image and class"
        raise SpecError(
            f"teacher {name} gives {found} for 2 images; allowed is {(2, *answer)}, "
            f"a logit for each {each}"
        )
