"""Parameter gradients one sample at a time: for what no rule knows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from hybridonn.tangent.backward import quiet_batching
from hybridonn.tangent.errors import TangentError


def graph_rows(
    outputs: Tensor, parameters: Sequence[Tensor], seeds: Tensor, *, create_graph: bool = True
) -> Tensor:
    """Gradients of every sample's outputs, from the graph of the whole batch.

    Args:
        outputs: the network's outputs (n, ...).
        parameters: the parameters.
        seeds: combinations (C, ...) of the outputs.
        create_graph: let the gradients be differentiated.

    Returns:
        Gradients (n, C, p), p counting all parameters.
    """
    count = len(outputs)
    rows = [
        _sample(outputs[index : index + 1], parameters, seeds, create_graph)
        for index in range(count)
    ]
    return torch.stack(rows)


def model_rows(
    model: nn.Module,
    parameters: Mapping[str, Tensor],
    x: Tensor,
    seeds: Tensor,
    *,
    create_graph: bool = False,
) -> Tensor:
    """Gradients of every sample's outputs, from forward passes of single samples.

    All samples at once where torch.func can (it cannot where a layer has no batching rule,
    draws random numbers or looks at its numbers), one after the other where not.

    Args:
        model: the model, whose samples do not interact.
        parameters: the parameters by name.
        x: samples (n, ...).
        seeds: combinations (C, ...) of the outputs.
        create_graph: let the gradients be differentiated.

    Returns:
        Gradients (n, C, p), p counting all parameters.
    """
    try:
        with quiet_batching():
            rows = _vectorised(model, parameters, x, seeds)
    except (RuntimeError, NotImplementedError, ValueError):
        found = [
            graph_rows(
                model(x[i : i + 1]), list(parameters.values()), seeds, create_graph=create_graph
            )
            for i in range(len(x))
        ]
        rows = torch.cat(found)
    return rows if create_graph else rows.detach()


def require_independence(model: nn.Module, x: Tensor, outputs: Tensor) -> None:
    """Refuse a model that gives a sample another output alone than in its batch.

    Args:
        model: the model.
        x: samples (n, ...).
        outputs: the outputs of the whole batch (n, ...).

    Raises:
        TangentError: samples interact, or the model draws random numbers.
    """
    last = len(x) - 1
    with torch.no_grad():
        alone = model(x[last:])[0]
    scale = float(outputs.detach().abs().amax())
    error = float((alone - outputs[last]).detach().abs().amax())
    if not error <= 1e-3 * scale + torch.finfo(outputs.dtype).tiny:
        raise TangentError(
            f"{type(model).__name__} gives a sample another output alone than in its batch "
            f"(they differ by {error:.3g} of {scale:.3g}): its samples interact or it draws "
            "random numbers, so they have no gradients of their own; call .eval() on it"
        )


def _vectorised(
    model: nn.Module, parameters: Mapping[str, Tensor], x: Tensor, seeds: Tensor
) -> Tensor:
    """Gradients (n, C, p) of all samples at once."""
    combinations = seeds.flatten(1)

    def outputs(values: dict[str, Tensor], sample: Tensor) -> Tensor:
        found = torch.func.functional_call(model, values, (sample[None],))
        return combinations @ found.flatten()

    jacobian = torch.func.vmap(torch.func.jacrev(outputs), in_dims=(None, 0))
    found = jacobian(dict(parameters), x)
    return torch.cat([found[name].flatten(2) for name in parameters], -1)


def _sample(
    outputs: Tensor, parameters: Sequence[Tensor], seeds: Tensor, create_graph: bool
) -> Tensor:
    """Gradients (C, p) of the outputs (1, ...) of one sample."""

    def gradients(vector: Tensor, batched: bool) -> Sequence[Tensor | None]:
        return torch.autograd.grad(
            outputs,
            list(parameters),
            vector,
            retain_graph=True,
            create_graph=create_graph,
            allow_unused=True,
            is_grads_batched=batched,
        )

    return _batched_or_looped(gradients, parameters, seeds[:, None])


def _batched_or_looped(
    gradients: Callable[[Tensor, bool], Sequence[Tensor | None]],
    parameters: Sequence[Tensor],
    vectors: Tensor,
) -> Tensor:
    """Gradients (C, p) for all vectors at once, or one by one where torch cannot."""
    try:
        with quiet_batching():
            return _join(gradients(vectors, True), parameters, (len(vectors),))
    except (RuntimeError, NotImplementedError):  # an operation without a batched backward
        rows = [_join(gradients(vector, False), parameters, ()) for vector in vectors]
        return torch.stack(rows)


def _join(
    row: Sequence[Tensor | None], parameters: Sequence[Tensor], lead: tuple[int, ...]
) -> Tensor:
    """Gradients of each parameter, side by side; zero where there is none."""
    parts = [
        (parameter.new_zeros(*lead, parameter.numel()) if g is None else g.reshape(*lead, -1))
        for g, parameter in zip(row, parameters, strict=True)
    ]
    return torch.cat(parts, -1)
