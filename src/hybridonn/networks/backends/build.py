"""Digital backends: built in, or named by the user as ``package.module:callable``."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from hybridonn import spec
from hybridonn.core.errors import SpecError
from hybridonn.core.random import generator_of
from hybridonn.core.tables import resolve
from hybridonn.core.user_code import import_callable, searched_first
from hybridonn.networks.backends.backend import Backend, Shape
from hybridonn.networks.backends.table import BACKEND_CODE, BACKENDS
from hybridonn.networks.own_code import accepts, find_instability, quote

IMAGES = 2  # whose feature maps a user's own backend answers before any training


def build_backend(
    student: spec.Student, branch_shapes: tuple[Shape, ...], output_shape: Shape
) -> nn.Module:
    """The electronics of a student.

    Args:
        student: What the spec says of it. A backend of the user's own gets those of
            ``branch_shapes`` and ``output_shape`` that it takes, and ``backend_arguments``.
        branch_shapes: (K_b, H', W') of each branch, from fine to coarse.
        output_shape: What the task asks of an image, such as (classes,) or (classes, H, W).

    Returns:
        A network from a tuple of branches, each (B, K_b, H', W'), to ``(B, *output_shape)``.

    Raises:
        SpecError: The user's own backend cannot be built, has no weights that train, gives
            something else, or is no function of an image in inference.
    """
    if student.backend in BACKENDS:
        return find_built_in(student.backend).build(student, branch_shapes, output_shape)
    make = find_backend(student)
    given = {"branch_shapes": branch_shapes, "output_shape": output_shape}
    keywords = {name: value for name, value in given.items() if accepts(make, name)}
    with searched_first(student.code_folder):
        backend = _call(partial(make, **keywords | student.backend_arguments), student.backend)
        _check(backend, student.backend, branch_shapes, output_shape)
    return backend


def find_built_in(name: str) -> type[Backend]:
    """The class of a built-in backend."""
    return resolve(BACKEND_CODE, name)


def find_backend(student: spec.Student) -> Any:
    """What makes a backend: built in, or imported, but not called.

    Raises:
        SpecError: There is none, or what there is may not be called.
    """
    if student.backend in BACKENDS:
        return find_built_in(student.backend)
    return import_callable(student.backend, student.code_folder, nn.Module, "student.backend")


def _call(make: partial[Any], name: str) -> Any:
    try:
        return make()
    except Exception as error:  # the user's own code may raise anything
        raise SpecError(
            f"backend {name} cannot be built with {_state(make.keywords)}: {quote(error)}; "
            "branch_shapes and output_shape are given where its signature names them, and what "
            "else it takes is stated by student.backend_arguments"
        ) from error


def _check(backend: Any, name: str, branch_shapes: tuple[Shape, ...], output_shape: Shape) -> None:
    """Refuse a backend that cannot be trained for the task.

    Raises:
        SpecError: It is no network, none of its weights trains, or it refuses the branches or
            gives something else than the task asks for.
    """
    if not isinstance(backend, nn.Module):
        raise SpecError(f"backend {name} is a {type(backend).__name__}; it must be an nn.Module")
    if not any(weight.requires_grad for weight in backend.parameters()):
        raise SpecError(
            f"backend {name} has no weights that train; a backend needs parameters that require "
            "a gradient"
        )
    training = backend.training
    _try(backend.eval(), name, branch_shapes, output_shape)  # lazy layers get their weights
    state = {key: value.clone() for key, value in backend.state_dict().items()}
    _try(backend.train(), name, branch_shapes, output_shape)
    backend.load_state_dict(state)  # batch norm has seen the branches
    _check_stability(backend.eval(), name, branch_shapes)
    backend.train(training)


def _check_stability(backend: nn.Module, name: str, branch_shapes: tuple[Shape, ...]) -> None:
    """Refuse a backend in inference whose answer is no function of an image.

    Raises:
        SpecError: It draws random numbers or mixes images.
    """
    branches = _draw_branches(branch_shapes)
    few = tuple(branch[:1] for branch in branches)
    if fault := find_instability(backend, branches, few):
        raise SpecError(f"backend {name} {fault}")


def _draw_branches(branch_shapes: tuple[Shape, ...]) -> tuple[Tensor, ...]:
    generator = generator_of("feature maps to try a backend")
    return tuple(torch.randn((IMAGES, *shape), generator=generator) for shape in branch_shapes)


@torch.no_grad()
def _try(
    backend: nn.Module, name: str, branch_shapes: tuple[Shape, ...], output_shape: Shape
) -> None:
    branches = _draw_branches(branch_shapes)
    when = "in training mode" if backend.training else "in inference"
    try:
        found = backend(branches)
    except Exception as error:  # the user's own code may raise anything
        raise SpecError(
            f"backend {name} cannot take a tuple of {len(branches)} feature maps of "
            f"{_list(branches)} (B, K, H, W) {when}: {quote(error)}"
        ) from error
    wanted = (IMAGES, *output_shape)
    shape = tuple(found.shape) if isinstance(found, Tensor) else f"a {type(found).__name__}"
    if shape != wanted:
        raise SpecError(
            f"backend {name} gives {shape} for {IMAGES} images {when}; the task takes {wanted}"
        )
    if found.dtype != torch.float32 or not found.isfinite().all():
        raise SpecError(
            f"backend {name} gives numbers of {found.dtype} that are "
            f"{'' if found.isfinite().all() else 'not '}all finite {when}; allowed are finite "
            "numbers of torch.float32"
        )


def _list(branches: tuple[Tensor, ...]) -> str:
    return ", ".join(str(tuple(branch.shape)) for branch in branches)


def _state(arguments: dict[str, Any]) -> str:
    return f"the arguments {arguments}" if arguments else "no arguments"
