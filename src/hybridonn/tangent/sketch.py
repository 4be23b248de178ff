"""Random sketches of the tangent kernel by directional derivatives in the parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from numbers import Real
from typing import Literal

import torch
from torch import Tensor, nn

from hybridonn.tangent.empirical.backends import plain_operations, uncompiled
from hybridonn.tangent.empirical.checks import (
    check_count,
    check_derivatives,
    check_generator,
    check_inputs,
    first_line,
    require_inference,
    without_notes,
)
from hybridonn.tangent.empirical.forward_pass import call_with
from hybridonn.tangent.empirical.model_state import unchanged_buffers
from hybridonn.tangent.empirical.repeatability import run_repeatably
from hybridonn.tangent.errors import TangentError


def trace_estimate(
    model: nn.Module,
    x: Tensor,
    *,
    epsilon: float = 0.01,
    generator: torch.Generator | None = None,
) -> Tensor:
    """One-draw estimate of the kernel's trace, ``||f(theta) - f(theta + eps v)||_F^2 / eps^2``.

    ``v ~ N(0, I)``; NTK-SAP, Wang et al., ICLR 2023, which the NTKD paper uses with
    ``eps = 0.01``. In the limit ``eps -> 0`` it is unbiased with variance
    ``2 ||Theta||_F^2`` (Theta with all outputs); a finite eps adds a bias of order eps^2.

    Args:
        model: any module.
        x: samples (n, ...).
        epsilon: the length of the step, relative to a standard normal direction.
        generator: source of v.

    Returns:
        A scalar, differentiable in the parameters.

    Raises:
        TangentError: the inputs are not usable or epsilon is not positive.
    """
    return (
        sketch(model, x, 1, method="difference", epsilon=epsilon, generator=generator)
        .square()
        .sum()
    )


def sketch(
    model: nn.Module,
    x: Tensor,
    probes: int,
    *,
    method: Literal["jvp", "difference"] = "jvp",
    epsilon: float = 0.01,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Tangent features from random directions v_k: ``Theta ~ Phi Phi^T``.

    ``Theta = E[(J v)(J v)^T]`` for ``v ~ N(0, I)``. An entry of one probe has the variance
    ``sum_cd (Theta_ii,cd Theta_jj,cd + Theta_ij,cd Theta_ij,dc)``, that of K probes 1/K of it.

    Args:
        model: any module; samples lead in its inputs and outputs.
        x: samples (n, ...).
        probes: the number K of directions.
        method: "jvp" takes exact derivatives, by forward differentiation or, for models that have
            none, by two backward passes; "difference" takes
            ``(f(theta + eps v) - f(theta)) / eps``, biased by order eps.
        epsilon: the step of "difference".
        generator: source of the directions; the same seed gives the same directions for
            every batch.

    Returns:
        Features (n, K C), differentiable in the parameters.

    Raises:
        TangentError: the inputs or the outputs are not usable, or an option is not allowed.
    """
    model = uncompiled(model)
    check_inputs(model, x, None)
    require_inference(model)
    _check_options(probes, method, epsilon)
    check_generator(generator)
    parameters = _trainable_parameters(model)

    def outputs(values: Mapping[str, Tensor]) -> Tensor:
        with plain_operations(model):
            return call_with(model, values, x).reshape(len(x), -1)

    columns = []
    with unchanged_buffers(model):
        start = run_repeatably(model, x)
        for _ in range(probes):
            direction = {n: _normal_like(p, generator) for n, p in parameters.items()}
            if method == "jvp":
                columns.append(_derivative(outputs, parameters, direction))
            else:
                moved = {n: p + epsilon * direction[n] for n, p in parameters.items()}
                columns.append((outputs(moved) - start.reshape(len(x), -1)) / epsilon)
    return check_derivatives(torch.cat(columns, 1) / probes**0.5, model)


_Outputs = Callable[[Mapping[str, Tensor]], Tensor]


def _derivative(
    outputs: _Outputs, parameters: dict[str, Tensor], direction: dict[str, Tensor]
) -> Tensor:
    """The derivative (n, C) of the outputs in a direction, forwards or by two backward passes.

    Raises:
        TangentError: the model has neither.
        OutOfMemoryError: the memory does not hold it.
    """
    try:
        with without_notes():
            return torch.func.jvp(outputs, (parameters,), (direction,))[1]
    except torch.OutOfMemoryError:
        raise
    except Exception:  # an operation without a forward derivative
        pass
    try:
        return _derivative_twice_back(outputs, parameters, direction)
    except torch.OutOfMemoryError:
        raise
    except Exception as fault:  # whatever a layer's own backward pass raises
        raise TangentError(
            "the model has no derivative in a direction, neither forwards nor by two backward "
            f"passes ({first_line(fault)}); give method='difference'"
        ) from fault


def _derivative_twice_back(
    outputs: _Outputs, parameters: dict[str, Tensor], direction: dict[str, Tensor]
) -> Tensor:
    """``J v = d<J^T u, v> / du`` for any u: it is linear in u, which can be zero."""
    keep = torch.is_grad_enabled()
    with torch.enable_grad():
        found = outputs(parameters)
        u = torch.zeros_like(found, requires_grad=True)
        values = list(parameters.values())
        back = torch.autograd.grad(found, values, u, create_graph=True, allow_unused=True)
        parts = [
            (g.conj() * v).real.sum() if g.is_complex() else (g * v).sum()
            for g, v in zip(back, direction.values(), strict=True)
            if g is not None
        ]
        return torch.autograd.grad(torch.stack(parts).sum(), u, create_graph=keep)[0]


def _check_options(probes: int, method: str, epsilon: float) -> None:
    """Refuse options that are not allowed.

    Raises:
        TangentError: one of them is not.
    """
    check_count(probes, "probes")
    if not isinstance(epsilon, Real) or not epsilon > 0:
        raise TangentError(f"epsilon is {epsilon!r}; it must be a positive number")
    if method not in ("jvp", "difference"):
        raise TangentError(f"method is '{method}'; it must be 'jvp' or 'difference'")


def _trainable_parameters(model: nn.Module) -> dict[str, Tensor]:
    """The trainable parameters of a model by name.

    Raises:
        TangentError: there are none.
    """
    found: dict[str, Tensor] = {n: p for n, p in model.named_parameters() if p.requires_grad}
    if not found:
        raise TangentError(
            f"{type(model).__name__} has no trainable parameters, so it has no tangent kernel; "
            "set requires_grad on those that the kernel is meant for"
        )
    return found


def _normal_like(parameter: Tensor, generator: torch.Generator | None) -> Tensor:
    """A direction of a parameter's shape, standard normal in its real and in its imaginary part."""
    device = parameter.device if generator is None else generator.device
    parts = (2,) if parameter.is_complex() else ()
    drawn = torch.randn((*parameter.shape, *parts), generator=generator, device=device)
    return (torch.view_as_complex(drawn) if parts else drawn).to(parameter)
