"""Dense layers: ``z_t = W a_t + b`` at any number of positions t."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.autograd.graph import Node

from hybridonn.tangent.empirical.gradient_factors import (
    ExplicitGradient,
    FactoredGradient,
    LayerCall,
    ParameterGradient,
)
from hybridonn.tangent.empirical.rules.base import Rule, sum_over_calls, trainable
from hybridonn.tangent.empirical.torch_internals import parameter_of, saved


class DenseRule(Rule):
    """``df/dW = sum_t g_t a_t^T`` and ``df/db = sum_t g_t``."""

    name = "dense"

    def covers(self, layer: nn.Module) -> tuple[str, ...]:
        """Weight and bias, as far as they are trainable."""
        return trainable(layer, "weight", "bias")

    def fits(self, layer: nn.Module, inputs: Tensor, output: Tensor) -> bool:
        """Samples first, features last, positions between."""
        return inputs.ndim >= 2 and inputs.is_floating_point()

    def gradients(self, layer: nn.Module, calls: Sequence[LayerCall]) -> list[ParameterGradient]:
        """A factored gradient of weight and bias, or an explicit one of the bias alone."""
        names = self.covers(layer)
        if "weight" not in names:
            sums = [_left(call.cotangents)[:, :, 0].sum(-1) for call in calls]
            return [ExplicitGradient("bias", sum_over_calls(sums))]
        bias = "bias" if "bias" in names else None
        return [FactoredGradient(tuple(calls), _left, _right, "weight", bias, lambda m: m[0])]


def is_dense_product(node: Node, layer: nn.Module, inputs: Tensor) -> bool:
    """Whether autograd's graph says that an operation is ``inputs W^T + b`` of a layer.

    Args:
        node: the operation that gave the layer's output.
        layer: the layer.
        inputs: what the layer was given, (n, k).

    Returns:
        Whether the operation was given these inputs as they are, the layer's weight and its bias.
    """
    if node.name() != "AddmmBackward0" or saved(node, "alpha") != 1 or saved(node, "beta") != 1:
        return False
    (shift, _), _, (turned, _) = node.next_functions
    weight, bias = getattr(layer, "weight", None), getattr(layer, "bias", None)
    if shift is None or turned is None or turned.name() != "TBackward0":
        return False
    (leaf, _) = turned.next_functions[0]
    if leaf is None or parameter_of(leaf) is not weight or parameter_of(shift) is not bias:
        return False
    given = saved(node, "mat1")
    same = given.shape == inputs.shape and given.stride() == inputs.stride()
    return same and given.dtype == inputs.dtype and given.data_ptr() == inputs.data_ptr()


def _left(cotangents: Tensor) -> Tensor:
    """Cotangents (n, C, ..., o) to (n, C, 1, o, T)."""
    n, C, *_, o = cotangents.shape
    return cotangents.reshape(n, C, 1, -1, o).transpose(3, 4)


def _right(inputs: Tensor) -> Tensor:
    """Inputs (n, ..., k) to (n, 1, k, T)."""
    return inputs.reshape(inputs.shape[0], 1, -1, inputs.shape[-1]).transpose(2, 3)
