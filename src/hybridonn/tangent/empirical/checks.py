"""Models, inputs and options that have no tangent kernel are refused, with the cure."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from numbers import Integral, Real

import torch
from torch import Tensor, nn

from hybridonn.tangent.empirical.backends import plain_operations
from hybridonn.tangent.empirical.torch_internals import (
    BatchNorm,
    Dropout,
    count_changes,
    gradient_hooks,
)
from hybridonn.tangent.errors import TangentError


def check_inputs(model: nn.Module, x1: Tensor, x2: Tensor | None) -> None:
    """Refuse what is no model, and inputs that have no tangent kernel.

    Args:
        model: the model.
        x1: samples (n1, ...).
        x2: samples (n2, ...), or None.

    Raises:
        TangentError: the model is no module, or inputs are no finite tensors with samples first
            and of one shape.
    """
    check_model(model)
    _check_samples(x1, "x1")
    if x2 is None:
        return
    _check_samples(x2, "x2")
    if x1.shape[1:] != x2.shape[1:]:
        raise TangentError(
            f"x1 has samples of shape {tuple(x1.shape[1:])} and x2 of {tuple(x2.shape[1:])}; "
            "both must have the shape that the model takes"
        )
    if x1.dtype != x2.dtype or x1.device != x2.device:
        raise TangentError(
            f"x1 is {x1.dtype} on {x1.device} and x2 is {x2.dtype} on {x2.device}; "
            "give both the same type and device"
        )


def check_model(model: nn.Module) -> None:
    """Refuse what is no module that can be differentiated.

    Raises:
        TangentError: it is not.
    """
    if not isinstance(model, nn.Module):
        raise TangentError(
            f"the model is of type {type(model).__name__}; a tangent kernel needs a torch.nn.Module"
        )
    if isinstance(model, torch.jit.ScriptModule):
        raise TangentError(
            "the model was compiled by torch.jit, which hides its layers; give the module that it "
            "was made from (modules of torch.compile are allowed)"
        )
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if nn.parameter.is_lazy(tensor):
            raise TangentError(
                f"'{name}' of the lazy module has no shape yet; run the model once on some samples"
            )
    for name, parameter in model.named_parameters():
        if parameter.is_inference():
            raise TangentError(
                f"parameter '{name}' was made in torch.inference_mode(), where nothing can be "
                "differentiated; build the model outside of it"
            )


def _check_samples(x: Tensor, name: str) -> None:
    """Refuse one tensor of samples.

    Raises:
        TangentError: it is no finite tensor with samples first.
    """
    if not isinstance(x, Tensor):
        raise TangentError(f"{name} is of type {type(x).__name__}; give a torch.Tensor (n, ...)")
    if x.layout != torch.strided or x.is_meta or x.is_inference():
        kind = "made in torch.inference_mode()" if x.is_inference() else f"{x.layout} on {x.device}"
        raise TangentError(f"{name} is {kind}; give an ordinary dense tensor (n, ...)")
    if x.ndim == 0 or x.shape[0] == 0:
        raise TangentError(f"{name} has shape {tuple(x.shape)}; give at least one sample (n, ...)")
    if not _is_finite(x):
        bad = int((~torch.isfinite(x)).flatten(1 if x.ndim > 1 else 0).sum())
        raise TangentError(
            f"{name} holds {bad} values that are NaN or infinite; its kernel would be NaN: "
            "remove or repair those samples"
        )


def run(model: nn.Module, x: Tensor) -> Tensor:
    """The outputs of a model; what goes wrong in it becomes a sentence.

    Args:
        model: the model.
        x: samples (n, ...).

    Returns:
        What the model returns.

    Raises:
        TangentError: the model raises an error for these samples, or changes them.
        OutOfMemoryError: the memory does not hold its forward pass.
    """
    kind, changes = type(model).__name__, count_changes(x)
    try:
        with plain_operations(model):
            outputs = model(x)
    except (TangentError, torch.OutOfMemoryError):
        raise
    except Exception as fault:  # whatever the model raises
        whole = "" if x.is_floating_point() else ", such as x.float() scaled as in training"
        raise TangentError(
            f"{kind} cannot be run on samples of shape {tuple(x.shape)} and type {x.dtype} "
            f"({first_line(fault)}); give samples of the shape, type and device that it "
            f"takes{whole}"
        ) from fault
    if count_changes(x) != changes:
        raise TangentError(
            f"{kind} changes the samples that it is given in place, so that another call would "
            "see others; let it work on x.clone(), or give its first operation inplace=False"
        )
    return outputs


def first_line(fault: Exception) -> str:
    """What an error says, in one line without a stop."""
    lines = str(fault).strip().splitlines()
    return f"{type(fault).__name__}: {lines[0].strip().rstrip('.')}" if lines else repr(fault)


# What torch tells of ways that it takes for tangent kernels, which nobody could change.
_NOTES = (
    "There is a performance drop",
    "Full backward hook is firing",
    "`torch.jit.script` is deprecated",
)


@contextmanager
def without_notes() -> Iterator[None]:
    """Keep torch from telling how it batches operations, and when it calls hooks."""
    with warnings.catch_warnings():
        for note in _NOTES:
            warnings.filterwarnings("ignore", message=note)
        yield


@contextmanager
def backward_faults() -> Iterator[None]:
    """What goes wrong in a backward pass becomes a sentence.

    Raises:
        TangentError: a layer raises an error in it.
        OutOfMemoryError: the memory does not hold it.
    """
    try:
        with without_notes():
            yield
    except (TangentError, torch.OutOfMemoryError):
        raise
    except Exception as fault:  # whatever a layer's own backward pass raises
        raise TangentError(
            f"the model cannot be differentiated ({first_line(fault)}); replace or mend the "
            "operation whose backward pass that is"
        ) from fault


def check_count(value: int, name: str, allowed: str = "1 or more") -> None:
    """Refuse what is no positive whole number.

    Args:
        value: the number.
        name: what it is called.
        allowed: what may be given.

    Raises:
        TangentError: it is none.
    """
    if not isinstance(value, Integral) or isinstance(value, bool) or value < 1:
        raise TangentError(f"{name} is {value!r}; it must be a whole number, {allowed}")


def check_options(
    outputs: str, method: str, probes: int | None, memory_gb: float, methods: tuple[str, ...]
) -> None:
    """Refuse options that do not exist or contradict each other.

    Args:
        outputs: "contracted" or "full".
        method: one of ``methods``.
        probes: number of random sign probes, or None.
        memory_gb: memory budget in GB.
        methods: the methods that exist.

    Raises:
        TangentError: an option is not allowed.
    """
    if outputs not in ("contracted", "full"):
        raise TangentError(f"outputs is '{outputs}'; it must be 'contracted' or 'full'")
    if method not in methods:
        raise TangentError(f"method is '{method}'; it must be one of {', '.join(methods)}")
    if probes is not None:
        check_count(probes, "probes", "at least 1, or None for all outputs")
    if probes is not None and outputs == "full":
        raise TangentError(
            "probes estimate the kernel contracted over the outputs; "
            "outputs='full' needs probes=None"
        )
    check_memory(memory_gb)


def check_generator(generator: torch.Generator | None) -> None:
    """Refuse what is no source of random numbers.

    Raises:
        TangentError: it is none.
    """
    if generator is not None and not isinstance(generator, torch.Generator):
        raise TangentError(f"generator is {generator!r}; give a torch.Generator or None")


def check_memory(memory_gb: float) -> None:
    """Refuse what is no positive number.

    Raises:
        TangentError: it is none.
    """
    if not isinstance(memory_gb, Real) or isinstance(memory_gb, bool) or not memory_gb > 0:
        raise TangentError(f"memory_gb is {memory_gb!r}; it must be a positive number of gigabytes")


def check_outputs(outputs: Tensor, model: nn.Module, samples: int | None = None) -> None:
    """Refuse outputs without samples or without a graph, or that are not finite.

    Args:
        outputs: what the model returned.
        model: the model.
        samples: how many samples it was given, all of them finite; None: not known, and outputs
            that are not finite pass.

    Raises:
        TangentError: the outputs are no tensor (n, ...), are detached from the parameters or hold
            NaN or infinity.
    """
    kind = type(model).__name__
    if not isinstance(outputs, Tensor) or outputs.ndim == 0 or outputs.layout != torch.strided:
        what = f"shape {tuple(outputs.shape)}" if isinstance(outputs, Tensor) else type(outputs)
        raise TangentError(
            f"{kind} returned {what}; a tangent kernel needs one tensor of outputs (n, ...) "
            "with the samples first"
        )
    if outputs.is_meta:
        raise TangentError(
            f"the outputs of {kind} are on the device meta, which holds no numbers; build the "
            "model and its samples on another device"
        )
    if not outputs.numel():
        raise TangentError(
            f"{kind} returned no outputs, {tuple(outputs.shape)}; give at least one sample, and "
            "return at least one output of it"
        )
    if outputs.is_complex():
        raise TangentError(
            f"{kind} returned complex outputs; a tangent kernel is that of real ones: return "
            "their intensity, .abs().square(), or their parts, torch.view_as_real"
        )
    if samples is not None and outputs.shape[0] != samples:
        raise TangentError(
            f"{kind} returned outputs of shape {tuple(outputs.shape)} for {samples} samples; "
            f"the first axis must count the samples, ({samples}, ...)"
        )
    if not outputs.requires_grad:
        raise TangentError(
            f"the outputs of {kind} are detached from its parameters; call the "
            "model outside torch.no_grad(), and without .detach() or .data inside it"
        )
    if samples is not None:
        check_finite(outputs, model)


def check_finite(outputs: Tensor, model: nn.Module) -> None:
    """Refuse outputs that are not finite where the samples are.

    Args:
        outputs: what the model returned for finite samples.
        model: the model.

    Raises:
        TangentError: they hold NaN or infinity; the message names the parameter that does, if any.
    """
    if not _is_finite(outputs):
        kind = type(model).__name__
        bad = [name for name, p in model.named_parameters() if not _is_finite(p)]
        cause = f"parameter '{bad[0]}' does" if bad else "its inputs do not, so a layer overflows"
        cure = "repair its weights" if bad else "scale the inputs as in training, or use float64"
        raise TangentError(
            f"the outputs of {kind} hold NaN or infinity, where {cause}; they have no tangent "
            f"kernel: {cure}"
        )


def check_derivatives(found: Tensor, model: nn.Module) -> Tensor:
    """Refuse kernels and features of derivatives that are not finite.

    Args:
        found: what was computed, (n, ...).
        model: the model.

    Returns:
        The same.

    Raises:
        TangentError: it holds NaN or infinity; the message names the first sample.
    """
    if _is_finite(found):
        return found
    bad = ~torch.isfinite(found.detach().flatten(1))
    first = int(bad.sum(1).argmax())
    raise TangentError(
        f"the derivatives of {type(model).__name__} are not finite, first of all for sample "
        f"{first}: a square root, a norm or a logarithm has none at zero, and large ones overflow "
        f"{found.dtype}; add a small number under the root, or use float64"
    )


def _is_finite(x: Tensor) -> bool:
    """Whether no number is NaN or infinite: the sum of most tensors shows it in one pass."""
    return bool(torch.isfinite(x.detach().sum()) or torch.isfinite(x).all())


def require_inference_statistics(model: nn.Module) -> None:
    """Refuse batch norm that mixes the samples of a batch.

    Args:
        model: the model.

    Raises:
        TangentError: a batch norm uses the statistics of the batch.
    """
    for name, module in model.named_modules():
        if isinstance(module, BatchNorm) and (module.training or module.running_mean is None):
            why = "is in training mode" if module.training else "has no running statistics"
            raise TangentError(
                f"batch norm '{name}' {why}: it couples the samples of a batch, which then have "
                "no gradients of their own; call .eval() on the model (or on its batch norms) "
                "before its forward pass"
            )


def require_inference(model: nn.Module) -> None:
    """Refuse a model whose samples are coupled, or whose outputs are random.

    Args:
        model: the model.

    Raises:
        TangentError: a batch norm uses the statistics of the batch, or a dropout is active.
    """
    require_inference_statistics(model)
    for name, module in model.named_modules():
        if isinstance(module, Dropout) and module.training and module.p > 0:
            raise TangentError(
                f"dropout '{name}' is in training mode: each forward pass draws another "
                "network, so that there is no kernel of one; call .eval() on the model"
            )


def refuse_gradient_hooks(parameters: Mapping[str, Tensor]) -> None:
    """Refuse parameters whose hooks may change the gradients that autograd reports.

    Args:
        parameters: those whose gradients are not what the operations say, by name.

    Raises:
        TangentError: one of them has a hook.
    """
    for name, parameter in parameters.items():
        if gradient_hooks(parameter):
            raise TangentError(
                f"parameter '{name}' has a gradient hook (register_hook), which changes its "
                "gradient but not the outputs, so that a tangent kernel cannot be that of both; "
                "remove the hook while the kernel is computed"
            )
