"""Data-parallel training: several processes train one network, each on its share of every batch.

Each process draws the whole batch, from the same seeds, and sends its share through the network.
The logits of all shares are gathered before the loss, so that any loss is that of the whole batch:

    L = l(z_1, ..., z_R),    dL/dw = sum_r (dL/dz_r) (dz_r/dw)

Batch normalisation takes its moments over all shares. So the training is that of one process, up to
rounding; of dropout each process draws masks of its own.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm

from hybridonn.core.errors import TrainingError
from hybridonn.data.indexed import Inputs, cut_inputs


@dataclass(frozen=True)
class Team:
    """The processes that train a network together.

    Attributes:
        rank: Number of this process; 0 alone writes files.
        count: Number of processes.
    """

    rank: int = 0
    count: int = 1

    @property
    def shared(self) -> bool:
        """Whether there are several processes."""
        return self.count > 1

    @property
    def seeds(self) -> tuple[int, ...]:
        """What the seed of dropout depends on beside the epoch: each process has own masks."""
        return (self.rank,) if self.rank else ()

    def cut(self, size: int) -> slice:
        """The share of this process in a batch of so many images."""
        return slice(size * self.rank // self.count, size * (self.rank + 1) // self.count)

    def take(self, inputs: Inputs, size: int) -> Inputs:
        """The inputs that are the share of this process.

        Args:
            inputs: Those of a whole batch.
            size: Number of its images.
        """
        own = self.cut(size)
        return cut_inputs(inputs, own.start, own.stop)


ALONE = Team()
PATIENCE = timedelta(
    days=7
)  # process 0 may wait for another command; a dead one is noticed at once


@contextmanager
def join() -> Iterator[Team]:
    """Join the processes that torchrun has started; this one alone without torchrun.

    Processes of one machine talk over 127.0.0.1 alone.

    Raises:
        TrainingError: There are more processes than CUDA devices, or one does not answer.
    """
    count, own = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("LOCAL_RANK", "0"))
    if count == 1:
        yield ALONE
        return
    if os.environ.get("LOCAL_WORLD_SIZE") == str(count):
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo0" if sys.platform == "darwin" else "lo")
    backend = "gloo"
    if torch.cuda.is_available():
        backend = "cpu:gloo,cuda:nccl"
        if own >= torch.cuda.device_count():
            raise TrainingError(
                f"process {own} of this machine has no CUDA device of its own, there are "
                f"{torch.cuda.device_count()}; start as many processes as there are devices"
            )
        torch.cuda.set_device(own)
    _call(lambda: dist.init_process_group(backend, timeout=PATIENCE))
    before = signal.signal(signal.SIGTERM, _end)
    try:
        yield find_team()
    except TrainingError:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # what went wrong is still to be said
        raise
    signal.signal(signal.SIGTERM, before)
    dist.destroy_process_group()


def _end(number: int, frame: object) -> None:
    """Say why torchrun ends this process: it does so when another one has died.

    Raises:
        TrainingError: Always.
    """
    raise TrainingError(_say_gone("torchrun ends this one"))


def find_team() -> Team:
    """The processes that torch has joined (``torch.distributed``), or this one alone."""
    if not (dist.is_available() and dist.is_initialized()):
        return ALONE
    return Team(dist.get_rank(), dist.get_world_size())


class SharedNetwork(nn.Module):
    """A network of which each process computes its share of a batch.

    Args:
        network: The network.
        team: The processes.
    """

    def __init__(self, network: nn.Module, team: Team) -> None:
        super().__init__()
        self.network = network
        self.team = team

    def forward(self, inputs: Inputs) -> Tensor:
        """Logits of the whole batch, (B, ...); the gradient goes through the share alone."""
        size = len(inputs[0]) if isinstance(inputs, tuple) else len(inputs)
        own = self.team.cut(size)
        logits = self.network(self.team.take(inputs, size))
        whole = torch.zeros(size, *logits.shape[1:], device=logits.device)
        whole[own] = logits.detach().float()
        add_up(whole)
        whole = whole.to(logits.dtype)
        return torch.cat([whole[: own.start], logits, whole[own.stop :]])


class SharedNorm(_BatchNorm):
    """Batch normalisation with the moments of all shares; weights and names are the layer's own.

    Args:
        layer: The layer that it stands for.
    """

    def __init__(self, layer: _BatchNorm) -> None:
        super().__init__(
            layer.num_features,
            layer.eps,
            layer.momentum,
            layer.affine,
            layer.track_running_stats,
            device="meta",
        )
        self._parameters.update(layer._parameters)
        self._buffers.update(layer._buffers)
        self.train(layer.training)

    def forward(self, features: Tensor) -> Tensor:
        """The normalised features, (B, C, ...)."""
        if self.training or self.running_mean is None or self.running_var is None:
            mean, variance = self._measure(features)
        else:
            mean, variance = self.running_mean, self.running_var
        shape = (1, -1, *[1] * (features.ndim - 2))
        scale = (variance + self.eps).rsqrt()
        scale = scale * self.weight if self.affine else scale
        found = (features.float() - mean.view(shape)) * scale.view(shape)
        found = found + self.bias.view(shape) if self.affine else found
        return found.to(features.dtype)

    def _measure(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance of each channel over all shares, (C,); the running ones follow."""
        values = features.float().transpose(0, 1).flatten(1)
        count = torch.full((1,), float(values.shape[1]), device=values.device)
        total = _AddUp.apply(torch.cat([values.sum(1), count]))
        number = total[-1].detach()
        mean = total[:-1] / number
        spread = _AddUp.apply((values - mean[:, None]).square().sum(1))
        if self.training and self.track_running_stats:
            self._follow(mean.detach(), spread.detach() / (number - 1).clamp(min=1))
        return mean, spread / number

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        assert self.num_batches_tracked is not None
        assert self.running_mean is not None
        assert self.running_var is not None
        self.num_batches_tracked.add_(1)
        share = self.momentum
        if share is None:  # the mean of all batches
            share = 1 / float(self.num_batches_tracked)
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance, share)


class _AddUp(torch.autograd.Function):
    """The sum over all processes, and of its gradients over all processes."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        return add_up(values.clone())

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return add_up(gradient.contiguous().clone())


def prepare(network: nn.Module, team: Team, batch_size: int) -> None:
    """Let the batch normalisations of a network take the moments of all shares, in place.

    The names of weights and statistics stay.

    Args:
        network: The network.
        team: The processes.
        batch_size: Images of a training step.

    Raises:
        TrainingError: Batches are smaller than twice the number of processes, since the last one
            of an epoch can have half of the size; or a layer cannot be shared.
    """
    if batch_size < 2 * team.count:
        raise TrainingError(
            f"batch_size is {batch_size} and there are {team.count} processes; the last batch can "
            f"be half as large, so at least {2 * team.count} images or at most "
            f"{max(1, batch_size // 2)} processes are needed"
        )
    for name, layer in network.named_modules():
        if isinstance(layer, _InstanceNorm) and layer.track_running_stats:
            raise TrainingError(
                f"the layer '{name}' keeps running statistics of single images, which several "
                "processes cannot share; train in one process"
            )
    for parent in list(network.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, _BatchNorm):
                setattr(parent, name, SharedNorm(layer))


def add_up(values: Tensor) -> Tensor:
    """Sum a tensor over all processes, in place.

    Raises:
        TrainingError: A process is gone.
    """
    _call(lambda: dist.all_reduce(values))
    return values


def add_gradients(network: nn.Module) -> None:
    """Sum the gradients of all weights over all processes.

    Raises:
        TrainingError: A process is gone.
    """
    gradients = [weight.grad for weight in network.parameters() if weight.grad is not None]
    if not gradients:
        return
    flat = add_up(torch.cat([one.flatten().float() for one in gradients]))
    for one, summed in zip(gradients, flat.split([one.numel() for one in gradients]), strict=True):
        one.copy_(summed.view(one.shape))


def tell_all(numbers: dict[str, float], device: torch.device) -> dict[str, float]:
    """The numbers as process 0 has them, in every process.

    Raises:
        TrainingError: A process is gone.
    """
    values = torch.tensor(list(numbers.values()), dtype=torch.float64, device=device)
    _call(lambda: dist.broadcast(values, 0))
    return dict(zip(numbers, values.tolist(), strict=True))


def _call(operation: Callable[[], object]) -> None:
    try:
        operation()
    except RuntimeError as error:  # torch has no kind of its own for what gloo says
        first = str(error).strip().splitlines()[0]
        raise TrainingError(_say_gone(first)) from None


def _say_gone(found: str) -> str:
    return (
        f"another process of this data-parallel training is gone ({found}); the checkpoint is "
        "kept: start all processes again with the same command to go on"
    )
