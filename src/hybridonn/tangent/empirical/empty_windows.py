"""Maximum poolings with windows wholly in their padding, whose derivative torch gets wrong.

torch takes the maximum of such a window for minus infinity at a position that is not in the window,
and its backward pass writes beyond the image.
"""

from __future__ import annotations

from torch import Tensor
from torch.autograd.graph import Node

from hybridonn.tangent.empirical.graph import argument_shape, users_of
from hybridonn.tangent.empirical.torch_internals import result_shape, saved, saved_sizes
from hybridonn.tangent.errors import TangentError

_POOLINGS = {"MaxPool2DWithIndicesBackward0": 2, "MaxPool3DWithIndicesBackward0": 3}


def refuse_empty_windows(outputs: Tensor) -> None:
    """Refuse a forward pass in which a maximum was taken of padding alone.

    Args:
        outputs: the network's outputs.

    Raises:
        TangentError: it was; the message names the pooling's settings.
    """
    if outputs.grad_fn is None:
        return
    for node in users_of(outputs.grad_fn):
        axes = _POOLINGS.get(node.name())
        if axes and any(saved(node, "padding")) and _has_empty_window(node, axes):
            size, stride, padding, dilation = (
                saved_sizes(node, name, axes)
                for name in ("kernel_size", "stride", "padding", "dilation")
            )
            raise TangentError(
                f"a maximum pooling (kernel_size={size}, stride={stride or size}, "
                f"padding={padding}, dilation={dilation}) of images of shape "
                f"{tuple(argument_shape(node, 0)[-axes:])} has windows wholly in its padding, "
                "which have no maximum; give it less padding or a smaller dilation"
            )


def _has_empty_window(node: Node, axes: int) -> bool:
    """Whether no position of a window lies in the image, along one axis."""
    size, stride, padding, dilation = (
        saved_sizes(node, name, axes) for name in ("kernel_size", "stride", "padding", "dilation")
    )
    lengths, counts = argument_shape(node, 0)[-axes:], result_shape(node)[-axes:]
    for k, s, p, d, length, count in zip(
        size, stride or size, padding, dilation, lengths, counts, strict=True
    ):
        starts = (window * s - p for window in range(count))
        if any(not any(0 <= start + t * d < length for t in range(k)) for start in starts):
            return True
    return False
