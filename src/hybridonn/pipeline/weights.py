"""Weights that a stage left, put into the network that the spec describes."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from hybridonn.core.errors import ArtefactError
from hybridonn.core.files import read_tensors


def put_weights(network: nn.Module, path: Path) -> None:
    """Load the weights of a finished stage.

    Args:
        network: Changed in place.
        path: A file of the stage.

    Raises:
        ArtefactError: The file is missing or damaged, or its weights are another network's.
    """
    tensors, _ = read_tensors(path)
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        detail = " ".join(str(error).splitlines()[1:2]).strip()
        raise ArtefactError(
            f"the {path.parent.name} of {path.parent.parent} does not fit its spec ({detail}); "
            "leave out settings that change the network, or run the spec again"
        ) from None
