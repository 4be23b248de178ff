"""The whole state of a training in one file, so that a killed one goes on as if it had not been."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from hybridonn.files import read_tensors, write_tensors


@dataclass
class TrainingState:
    """What changes while a network is trained.

    Attributes:
        epoch: Epochs that are complete.
        history: A row an epoch.
        best_epoch: The epoch with the best validation score, from 1; 0: none yet.
        best: Weights of that epoch.
    """

    epoch: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    best_epoch: int = 0
    best: dict[str, Tensor] = field(default_factory=dict)


def save_checkpoint(
    path: Path, network: nn.Module, optimizer: Optimizer, state: TrainingState
) -> None:
    """Write network, optimizer and state as one safetensors file, whole or not at all.

    The data order and all random draws depend on seed and epoch alone, so no
    generator has to be kept.
    """
    tensors = {f"network/{name}": value for name, value in network.state_dict().items()}
    tensors |= {f"best/{name}": value for name, value in state.best.items()}
    for key, slots in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{key}/{slot}": value for slot, value in slots.items()}
    notes = {"epoch": state.epoch, "history": state.history, "best_epoch": state.best_epoch}
    write_tensors(path, tensors, notes)


def load_checkpoint(path: Path, network: nn.Module, optimizer: Optimizer) -> TrainingState:
    """Put network and optimizer where they were and return the state; fresh without a file.

    Raises:
        ArtefactError: The file is damaged.
    """
    if not path.exists():
        return TrainingState()
    tensors, notes = read_tensors(path)
    network.load_state_dict(_under("network/", tensors))
    slots: dict[int, dict[str, Tensor]] = {}
    for name, value in _under("optimizer/", tensors).items():
        key, slot = name.split("/")
        slots.setdefault(int(key), {})[slot] = value
    optimizer.load_state_dict(optimizer.state_dict() | {"state": slots})
    for weight, known in optimizer.state.items():
        for slot, value in known.items():
            if value.shape == weight.shape:
                # A fused step goes through the memory of both at once: they must lie alike.
                known[slot] = torch.empty_like(weight).copy_(value)
    return TrainingState(best=_under("best/", tensors), **notes)


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): value
        for name, value in tensors.items()
        if name.startswith(prefix)
    }
