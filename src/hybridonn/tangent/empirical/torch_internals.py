"""Everything that this package reads of torch beyond torch's documented interface.

tests/tangent/empirical/test_torch_internals.py checks each of them, so that another version of
torch that drops or renames one fails there, by the name of that one and the version.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import Node
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.nn.modules.dropout import _DropoutNd
from torch.nn.modules.instancenorm import _InstanceNorm

from hybridonn.tangent.errors import TangentError

# The common bases of torch's layers of one, two and three dimensions.
BatchNorm = _BatchNorm
Convolution = _ConvNd
Dropout = _DropoutNd
InstanceNorm = _InstanceNorm
TransposedConvolution = _ConvTransposeNd

# Names of autograd's operations, without the number of their overload, that keep every number
# and its row-major order.
RESHAPES = (
    "ViewBackward",
    "UnsafeViewBackward",
    "ReshapeAliasBackward",
    "SqueezeBackward",
    "UnsqueezeBackward",
    "AliasBackward",
    "CloneBackward",
)


def count_changes(tensor: Tensor) -> int:
    """How often a tensor was changed in place; of inference tensors, which do not count, zero."""
    return 0 if tensor.is_inference() else tensor._version


def own_parameters(module: nn.Module) -> dict[str, nn.Parameter | None]:
    """A module's own parameters by name; a name that is not used holds None."""
    return module._parameters


def own_buffers(module: nn.Module) -> dict[str, Tensor | None]:
    """A module's own buffers by name; a name that is not used holds None."""
    return module._buffers


def hooks_of(module: nn.Module) -> tuple[dict[int, Any], ...]:
    """The hooks that a module runs besides its own forward pass."""
    return (
        module._forward_hooks,
        module._forward_pre_hooks,
        module._backward_hooks,
        module._backward_pre_hooks,
    )


def gradient_hooks(parameter: Tensor) -> bool:
    """Whether a tensor has hooks that are given its gradient."""
    return bool(parameter._backward_hooks)


def is_transformed(tensor: Tensor) -> bool:
    """Whether a tensor stands inside a transformation of torch.func, such as vmap."""
    return torch._C._functorch.is_functorch_wrapped_tensor(tensor)  # type: ignore[attr-defined]


def result_shape(node: Node, result: int = 0) -> torch.Size:
    """The shape of one of an operation's results."""
    return torch.Size(node._input_metadata[result].shape)  # type: ignore[attr-defined]


def result_types(node: Node) -> list[torch.dtype]:
    """The types of an operation's results."""
    return [metadata.dtype for metadata in node._input_metadata]  # type: ignore[attr-defined]


def count_results(node: Node) -> int:
    """How many results an operation has."""
    return len(node._input_metadata)  # type: ignore[attr-defined]


def pass_back(node: Node, gradient: Tensor) -> Tensor:
    """The gradient of an operation's one argument from that of its result."""
    found = node(gradient)  # type: ignore[operator]
    return found[0] if isinstance(found, tuple) else found


def saved(node: Node, name: str) -> Any:
    """What an operation saves for its backward pass.

    Args:
        node: the operation.
        name: what it is called there, "weight" or "stride" for example.

    Returns:
        A tensor, a number, a list or None, as the operation was given it.

    Raises:
        TangentError: this version of torch saves nothing under that name, what it saved was
            changed in place since, or a backward pass has freed it.
    """
    try:
        return getattr(node, f"_saved_{name}")
    except AttributeError:
        raise TangentError(
            f"{node.name()} of torch {torch.__version__} saves no '{name}' for its backward pass, "
            "which tangent kernels read; install torch 2.13, or give method='vector_products'"
        ) from None
    except RuntimeError as fault:
        if "a second time" in str(fault):
            raise TangentError(
                "the graph of the outputs was freed by a backward pass; compute the kernel before "
                "it, or give it retain_graph=True"
            ) from fault
        raise TangentError(
            f"the '{name}' that {node.name()} saved for its backward pass was changed in place "
            f"since, so the model cannot be differentiated ({str(fault).splitlines()[0][:200]}); "
            "write the operation after it without changing it in place"
        ) from fault


def saved_sizes(node: Node, name: str, axes: int) -> tuple[int, ...]:
    """What an operation saves for each spatial axis, such as its stride.

    torch saves one number for all axes where it was given one, and for ``padding="valid"``.

    Args:
        node: the operation.
        name: what the sizes are called there, "padding" for example.
        axes: the number of spatial axes.

    Returns:
        A number for each axis; none where torch saves an empty list, which is its default.
    """
    found = tuple(saved(node, name))
    return found * axes if len(found) == 1 else found


@contextmanager
def without_fused_layers() -> Iterator[None]:
    """Switch oneDNN and cuDNN off; torch's own switches warn where there is no such device."""
    mkldnn, cudnn = torch._C._get_mkldnn_enabled(), torch._C._get_cudnn_enabled()
    torch._C._set_mkldnn_enabled(False)
    torch._C._set_cudnn_enabled(False)
    try:
        yield
    finally:
        torch._C._set_mkldnn_enabled(mkldnn)
        torch._C._set_cudnn_enabled(cudnn)


def parameter_of(node: Node) -> Tensor | None:
    """The parameter that a leaf of the graph accumulates gradients for; None elsewhere."""
    return getattr(node, "variable", None)


def sequence_number(node: Node) -> int:
    """When an operation was recorded: later ones have larger numbers within a thread."""
    return node._sequence_nr()


def signed(axes: list[int]) -> list[int]:
    """Axes as they were given; autograd saves negative ones as unsigned 64-bit numbers."""
    return [axis - 2**64 if axis >= 2**63 else axis for axis in axes]
