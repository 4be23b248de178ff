"""Stochastic weight averaging (Izmailov et al. 2018): the mean of the weights of late epochs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from hybridonn.data.indexed import Inputs
from hybridonn.distillation.statistics import renew_statistics


class WeightAverage:
    """The mean of a network's weights after several epochs.

    Args:
        network: The network that is trained; the average is a copy of it.
        held: State to go on from, see :meth:`state`; empty: nothing was averaged yet.
    """

    def __init__(self, network: nn.Module, held: Mapping[str, Tensor]) -> None:
        self._average = AveragedModel(network)
        if held:
            self._average.load_state_dict(dict(held))

    @property
    def network(self) -> nn.Module:
        """The network with the averaged weights."""
        return self._average.module

    def state(self) -> dict[str, Tensor]:
        """All that :class:`WeightAverage` goes on from."""
        return {name: value.clone() for name, value in self._average.state_dict().items()}

    def add(self, network: nn.Module, inputs: Iterator[Inputs], *draws: int) -> None:
        """Take the weights of one more epoch into the mean.

        The running statistics of batch norm are those of other weights, so they are computed anew
        with the averaged ones.

        Args:
            network: The network after the epoch.
            inputs: Batches of training images, read where the network has batch norm.
            *draws: Seeds of what the network draws while it sees them, such as dropout.
        """
        self._average.update_parameters(network)
        renew_statistics(self._average, inputs, "averaging", *draws)
        self._average.eval()


def averages_epoch(averaging_start: float | None, epoch: int, epochs: int) -> bool:
    """Whether the weights after an epoch are averaged.

    Args:
        averaging_start: Share of the epochs after which averaging starts; None: never.
        epoch: Number of the epoch, from 0.
        epochs: Number of all epochs.
    """
    return averaging_start is not None and epoch >= round(averaging_start * epochs)
