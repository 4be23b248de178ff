"""Digital teachers: built in, or named by the user as ``package.module:callable``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hybridonn import spec
from hybridonn.core.errors import ArtefactError, HybridonnError, SpecError
from hybridonn.core.files import read_tensors
from hybridonn.core.random import generator_of, seeded
from hybridonn.core.tables import resolve
from hybridonn.core.user_code import import_callable, searched_first
from hybridonn.networks.network_size import refuse_large_weights
from hybridonn.networks.own_code import accepts, find_instability, quote
from hybridonn.networks.teachers.table import TEACHER_CODE, TEACHERS


def build_stated_teacher(
    stated: spec.Teacher,
    image_shape: tuple[int, int, int],
    classes: int,
    *,
    outputs: tuple[int, ...],
) -> nn.Module:
    """Build the teacher that a spec states; arguments, errors as of :func:`build_teacher`."""
    return build_teacher(
        stated.name,
        stated.arguments,
        image_shape,
        classes,
        stated.seed,
        outputs=outputs,
        code_folder=stated.code_folder,
        trained=stated.weights is None,
    )


def build_teacher(
    name: str,
    arguments: Mapping[str, Any],
    image_shape: tuple[int, int, int],
    classes: int,
    seed: int,
    *,
    outputs: tuple[int, ...] | None = None,
    code_folder: Path | None = None,
    trained: bool = True,
) -> nn.Module:
    """Build a teacher; the same seed gives the same weights.

    Args:
        name: A built-in teacher, or ``package.module:callable``. A callable that
            takes ``image_shape`` and ``classes`` gets them.
        arguments: Further keyword arguments.
        image_shape: (C, H, W) of a scene.
        classes: Number of classes.
        seed: Seed of the weights.
        outputs: Shape of the outputs for one image, as the task wants them; None: (classes,).
        code_folder: Where ``package.module`` is looked for first.
        trained: Whether it will be trained, so that it must give logits in training mode, too.

    Returns:
        A network from (B, C, H, W) to ``(B, *outputs)``.

    Raises:
        SpecError: There is no such teacher, its arguments do not fit, no machine holds it, or
            its output does not fit the task.
        HybridonnError: What the user's own code raises of this kind.
    """
    make = prepare_teacher(name, arguments, image_shape, classes, code_folder)
    with searched_first(code_folder), seeded("teacher", seed):
        try:
            if name in TEACHERS:  # code of the user's own is run once only
                cure = "lower what is large in teacher.arguments, or data.size_pixels"
                refuse_large_weights(make, f"teacher {name}", cure, must_build=True)
            teacher = make()
        except HybridonnError:
            raise
        except Exception as error:  # the user's own code may raise anything
            raise SpecError(
                f"teacher {name} cannot be built with {make.keywords}: {quote(error)}"
            ) from error
        answer = (classes,) if outputs is None else outputs
        _check_output(teacher, name, image_shape, answer)
        if trained:
            _check_training(teacher, name, image_shape, answer)
    return teacher


def prepare_teacher(
    name: str,
    arguments: Mapping[str, Any],
    image_shape: tuple[int, int, int],
    classes: int,
    code_folder: Path | None = None,
) -> partial[nn.Module]:
    """What builds a teacher once it is called, with all its arguments.

    Arguments and errors are those of :func:`build_teacher`.
    """
    make = find_teacher(name, code_folder)
    given = {"image_shape": image_shape, "classes": classes}
    keywords = {key: value for key, value in given.items() if accepts(make, key)}
    return partial(make, **keywords | dict(arguments))


def find_teacher(name: str, code_folder: Path | None = None) -> Callable[..., nn.Module]:
    """What makes a teacher: built in, or imported, but not called.

    Raises:
        SpecError: There is none, or what there is may not be called.
    """
    if name in TEACHERS:
        return resolve(TEACHER_CODE, name)
    if ":" not in name:
        raise SpecError(
            f"teacher.name is {name!r}; allowed is {', '.join(TEACHERS)} or package.module:callable"
        )
    return import_callable(name, code_folder, nn.Module, "teacher.name")


def load_weights(teacher: nn.Module, path: Path) -> None:
    """Load weights from a safetensors file into a teacher: every name, shape and number is checked.

    A weight that several layers share may stand in the file under one of its names or all.

    Raises:
        ArtefactError: The file is missing or damaged, its names, shapes or types are not
            the teacher's, or a number is not finite.
    """
    try:
        found, _ = read_tensors(path)
    except ArtefactError as error:
        found = f"damaged ({error.__context__})" if error.__context__ else "missing"
        raise ArtefactError(
            f"teacher.weights {path} is no safetensors file, or {found}; name another, or leave "
            "teacher.weights out to train the teacher"
        ) from None
    wanted = teacher.state_dict()
    found |= _fill_shared(teacher, found)
    # A counter that only batch norm in training reads; files of other libraries leave it out.
    idle = {name for name in wanted if name.endswith("num_batches_tracked")} - set(found)
    both = [name for name in wanted if name in found]
    faults = [
        *_name("it lacks", sorted(set(wanted) - set(found) - idle)),
        *_name("it has in excess", sorted(set(found) - set(wanted))),
        *_name(
            "of another shape are",
            [
                f"{name} {tuple(found[name].shape)} in place of {tuple(wanted[name].shape)}"
                for name in both
                if found[name].shape != wanted[name].shape
            ],
        ),
        *_name(
            "of another type are",
            [
                f"{name} {found[name].dtype} in place of {wanted[name].dtype}"
                for name in both
                if _kind(found[name]) != _kind(wanted[name])
            ],
        ),
        *_name("shared by layers, but not the same, are", _list_contradictions(teacher, found)),
    ]
    if faults:
        raise ArtefactError(
            f"teacher.weights {path} does not fit the teacher: {'; '.join(faults)}. "
            "Check teacher.name and teacher.arguments, or leave teacher.weights out to train it"
        )
    cast = {name: found[name].to(wanted[name].dtype) for name in both}
    if faults := _name("in", [name for name in both if not cast[name].isfinite().all()]):
        raise ArtefactError(
            f"teacher.weights {path} holds NaN or infinity {faults[0]}; the training that wrote "
            "it failed: name another file, or leave teacher.weights out to train the teacher"
        )
    teacher.load_state_dict({**{name: wanted[name] for name in idle}, **cast})


def _list_shared(network: nn.Module) -> list[list[str]]:
    """The names of each weight or buffer that has several."""
    names: dict[int, list[str]] = {}
    for name, value in network.state_dict(keep_vars=True).items():
        names.setdefault(id(value), []).append(name)
    return [group for group in names.values() if len(group) > 1]


def _fill_shared(network: nn.Module, found: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Shared weights under the names that a file leaves out, as safetensors' own writer does."""
    filled: dict[str, Tensor] = {}
    for group in _list_shared(network):
        given = [name for name in group if name in found]
        filled |= {name: found[given[0]] for name in group if given and name not in found}
    return filled


def _list_contradictions(network: nn.Module, found: Mapping[str, Tensor]) -> list[str]:
    return [
        " and ".join(group)
        for group in _list_shared(network)
        if all(name in found for name in group)
        and not all(_same(found[group[0]], found[name]) for name in group[1:])
    ]


def _same(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and bool(((one == other) | (one != one)).all())


def _kind(tensor: Tensor) -> str:
    if tensor.is_complex():
        return "complex"
    return (
        "real"
        if tensor.is_floating_point()
        else "boolean"
        if tensor.dtype == torch.bool
        else "whole"
    )


def _name(what: str, names: Iterable[str], shown: int = 3) -> list[str]:
    names = list(names)
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return [f"{what} {', '.join(names[:shown])}{more}"] if names else []


def _check_output(
    teacher: Any, name: str, image_shape: tuple[int, int, int], answer: tuple[int, ...]
) -> None:
    """Refuse a teacher that does not give a logit for each class in inference.

    Raises:
        SpecError: What it gives has another form, another type, is not finite, or is no function
            of an image.
    """
    if not isinstance(teacher, nn.Module):
        raise SpecError(f"teacher {name} is a {type(teacher).__name__}; it must be an nn.Module")
    training = teacher.training
    _try(teacher.eval(), name, image_shape, answer, "in inference")
    scene = _draw_scenes(image_shape)
    if fault := find_instability(teacher, scene, scene[:1]):
        raise SpecError(f"teacher {name} {fault}")
    if next(teacher.parameters(), None) is None:
        raise SpecError(f"teacher {name} has no weights; a teacher must have a tangent kernel")
    teacher.train(training)


def _check_training(
    teacher: nn.Module, name: str, image_shape: tuple[int, int, int], answer: tuple[int, ...]
) -> None:
    """Refuse a teacher that cannot be trained, or gives something else in training.

    Raises:
        SpecError: All its weights are frozen, or as of :func:`_check_output`.
    """
    if not any(weight.requires_grad for weight in teacher.parameters()):
        raise SpecError(
            f"all weights of teacher {name} are frozen, so it cannot be trained; name its weights "
            "by teacher.weights, or let weights require a gradient"
        )
    training, state = teacher.training, deepcopy(teacher.state_dict())
    _try(teacher.train(), name, image_shape, answer, "in training mode")
    teacher.load_state_dict(state)  # batch norm has seen the scene
    teacher.train(training)


def _draw_scenes(image_shape: tuple[int, int, int]) -> Tensor:
    return torch.rand(2, *image_shape, generator=generator_of("scenes to try a teacher"))


@torch.no_grad()
def _try(
    teacher: nn.Module,
    name: str,
    image_shape: tuple[int, int, int],
    answer: tuple[int, ...],
    when: str,
) -> None:
    scene = _draw_scenes(image_shape)
    try:
        logits = teacher(scene)
    except Exception as error:  # the user's own code may raise anything
        raise SpecError(
            f"teacher {name} cannot take images of {image_shape} (C, H, W) {when}: {quote(error)}"
        ) from error
    if fault := _find_fault(logits, (len(scene), *answer)):
        raise SpecError(f"teacher {name} gives {fault}, {when}")


def _find_fault(logits: Any, wanted: tuple[int, ...]) -> str | None:
    """What is wrong with what a teacher gives; None: nothing."""
    found = tuple(logits.shape) if isinstance(logits, Tensor) else f"a {type(logits).__name__}"
    if found != wanted:
        images, *answer = wanted
        each = "pixel and class" if len(answer) > 1 else "image and class"
        return (
            f"{found} for {images} images; allowed is {wanted}, a tensor with a logit for each "
            f"{each}"
        )
    if logits.dtype != torch.float32:
        return f"logits of {logits.dtype}; allowed is torch.float32: end its forward by .float()"
    if not logits.isfinite().all():
        return "logits that are not finite for random images; check its layers and its weights"
    return None
