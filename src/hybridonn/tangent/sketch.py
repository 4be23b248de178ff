"""Random sketches of the tangent kernel by directional derivatives in the parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from hybridonn.tangent.empirical.checks import check_finite, check_inputs, require_inference
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
        method: "jvp" takes exact derivatives; "difference" takes
            ``(f(theta + eps v) - f(theta)) / eps``, biased by order eps.
        epsilon: the step of "difference".
        generator: source of the directions; the same seed gives the same directions for
            every batch.

    Returns:
        Features (n, K C), differentiable in the parameters.

    Raises:
        TangentError: the inputs or the outputs are not usable, or an option is not allowed.
    """
    check_inputs(model, x, None)
    require_inference(model)
    _check_options(probes, method, epsilon)
    parameters = _trainable_parameters(model)

    def outputs(values: Mapping[str, Tensor]) -> Tensor:
        return torch.func.functional_call(model, dict(values), (x,)).flatten(1)

    start = outputs(parameters) if method == "difference" else None
    columns = []
    for _ in range(probes):
        direction = {n: _normal_like(p, generator) for n, p in parameters.items()}
        if start is None:
            here, column = torch.func.jvp(outputs, (parameters,), (direction,))[:2]
        else:
            moved = {n: p + epsilon * direction[n] for n, p in parameters.items()}
            here, column = start, (outputs(moved) - start) / epsilon
        if not columns:
            check_finite(here, model)
        columns.append(column)
    return torch.cat(columns, 1) / probes**0.5


def _check_options(probes: int, method: str, epsilon: float) -> None:
    """Refuse options that are not allowed.

    Raises:
        TangentError: one of them is not.
    """
    if probes < 1 or not epsilon > 0:
        raise TangentError(
            f"probes is {probes} and epsilon {epsilon}; both must be positive (probes at least 1)"
        )
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
    """A standard normal direction of a parameter's shape."""
    device = parameter.device if generator is None else generator.device
    drawn = torch.randn(parameter.shape, generator=generator, device=device)
    return drawn.to(parameter)
