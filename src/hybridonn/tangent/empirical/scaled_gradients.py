"""Embeddings whose gradients are not those of their outputs are refused."""

from __future__ import annotations

from torch import Tensor

from hybridonn.tangent.empirical.graph import users_of
from hybridonn.tangent.empirical.torch_internals import saved
from hybridonn.tangent.errors import TangentError

_EMBEDDINGS = ("EmbeddingBackward0", "EmbeddingBagBackward0")


def refuse_scaled_gradients(outputs: Tensor) -> None:
    """Refuse a forward pass with an embedding that divides its gradients by how often rows occur.

    Args:
        outputs: the network's outputs.

    Raises:
        TangentError: there is one.
    """
    if outputs.grad_fn is None:
        return
    for node in users_of(outputs.grad_fn):
        if node.name() in _EMBEDDINGS and saved(node, "scale_grad_by_freq"):
            raise TangentError(
                "an embedding has scale_grad_by_freq=True, which changes its gradient but not the "
                "outputs, so that a tangent kernel cannot be that of both; switch it off while "
                "the kernel is computed"
            )
