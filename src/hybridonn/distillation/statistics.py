"""Running statistics of batch norm that are taken anew, of other images or other weights."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn
from torch.optim.swa_utils import update_bn

from hybridonn.core.random import seeded
from hybridonn.data.indexed import Inputs

# Images that the statistics are of where training mixes images.
COUNTED = 5000


def renew_statistics(network: nn.Module, inputs: Iterable[Inputs], name: str, *draws: int) -> None:
    """Set the running mean and variance of each batch norm to those over all the inputs.

    Args:
        network: The network; it comes back in the mode that it was in.
        inputs: Batches of images, read where the network has batch norm.
        name: What the network draws while it sees them, such as dropout, is drawn for this,
        *draws: and by these seeds.
    """
    with torch.no_grad(), seeded(name, *draws):
        update_bn(((batch,) for batch in inputs), network)
