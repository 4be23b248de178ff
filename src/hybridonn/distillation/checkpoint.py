"""The whole state of a training on the disk, so that a killed one goes on as if it had not been.

A checkpoint is two files. ``NAME.safetensors`` holds network and optimizer after an epoch, which
change with every step; ``NAME-best-EPOCH.safetensors`` holds the weights of the best epoch, written
once when a later epoch was not better. After the last epoch ``NAME.safetensors`` holds the weights
of the best epoch alone: there is nothing to go on with but what is made of them.

Both have a checksum over all that they hold, and are on the disk before an older one is removed.
"""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from hybridonn.core.errors import ArtefactError
from hybridonn.core.files import read_tensors, write_tensors
from hybridonn.core.progress import Progress

AT_STAKE_S = 60.0  # of training that a kill may cost where writing takes long
# Where it does not, so much time between two checkpoints for the time that one takes: 2 %.
SPARED = 50.0


@dataclass
class TrainingState:
    """What changes while a network is trained.

    Attributes:
        epoch: Epochs that are complete.
        history: A row an epoch.
        best_epoch: The epoch with the best validation score, from 1; 0: none yet.
        best: Weights of that epoch.
        finished: Whether only the weights of the best epoch were kept.
        averaged: State of the weight average; empty: nothing is averaged yet.
        balance: Numbers of the balance of the terms' gradients.
    """

    epoch: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    best_epoch: int = 0
    best: dict[str, Tensor] = field(default_factory=dict)
    finished: bool = False
    averaged: dict[str, Tensor] = field(default_factory=dict)
    balance: dict[str, float | bool] = field(default_factory=dict)


class Keeper:
    """Keeps the checkpoint of one training.

    A checkpoint is written after an epoch when a minute of work is at stake, or when the
    last one took less than a fiftieth of the time since.

    Args:
        path: ``NAME.safetensors``.
        network: That is trained.
        optimizer: That trains it.
    """

    def __init__(self, path: Path, network: nn.Module, optimizer: Optimizer) -> None:
        self._path = path
        self._parts = network, optimizer
        self._since = time.monotonic()
        self._cost_s = 0.0

    def resume(self, progress: Progress) -> TrainingState:
        """Put network and optimizer where they were; a checkpoint that is no use is said to be."""
        try:
            return load_checkpoint(self._path, *self._parts)
        except ArtefactError as error:
            progress.say(f"{error}; the training begins anew")
            return TrainingState()

    def keep(self, state: TrainingState) -> None:
        """Write the state after an epoch, if it is worth it.

        Raises:
            ArtefactError: The disk is full.
        """
        began = time.monotonic()
        if began - self._since < min(AT_STAKE_S, SPARED * self._cost_s):
            return
        save_checkpoint(self._path, *self._parts, state)
        self._since = time.monotonic()
        self._cost_s = self._since - began

    def finish(self, state: TrainingState) -> None:
        """Write what the training has come to, unless that was done before.

        Raises:
            ArtefactError: The disk is full.
        """
        if not state.finished:
            save_outcome(self._path, state)


def save_checkpoint(
    path: Path, network: nn.Module, optimizer: Optimizer, state: TrainingState
) -> None:
    """Write network, optimizer and state, whole or not at all.

    The data order and all random draws depend on seed and epoch alone, so no
    generator has to be kept.

    Raises:
        ArtefactError: The disk is full.
    """
    best = _best_file(path, state.best_epoch)
    # The best weights are those of the network itself, unless they are a mean of several.
    same = state.best_epoch == state.epoch and not state.averaged
    if state.best_epoch and not same and not best.exists():
        _write(best, state.best, {"epoch": state.best_epoch})
    tensors = {f"network/{name}": value for name, value in network.state_dict().items()}
    tensors |= {f"averaged/{name}": value for name, value in state.averaged.items()}
    for key, slots in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{key}/{slot}": value for slot, value in slots.items()}
    _write(path, tensors, _notes_of(state))
    _drop_best(path, but=best)


def save_outcome(path: Path, state: TrainingState) -> None:
    """Write the weights of the best epoch and the history of a training that is over.

    Raises:
        ArtefactError: The disk is full.
    """
    state.finished = True
    _write(path, {f"best/{name}": value for name, value in state.best.items()}, _notes_of(state))
    _drop_best(path)


def load_checkpoint(path: Path, network: nn.Module, optimizer: Optimizer) -> TrainingState:
    """Put network and optimizer where they were and return the state; fresh without a file.

    Network and optimizer are left as they are where the training is over.

    Raises:
        ArtefactError: A file is missing, damaged, or of another network; network and optimizer
            are as they were.
    """
    if not path.exists():
        return TrainingState()
    tensors, notes = _read(path)
    try:
        state = TrainingState(**notes)
    except TypeError:
        raise ArtefactError(f"the checkpoint {path} holds no state of a training") from None
    state.averaged = _under("averaged/", tensors)
    if state.finished:
        state.best = _under("best/", tensors)
    elif state.best_epoch == state.epoch and not state.averaged:
        state.best = {name: value.clone() for name, value in _under("network/", tensors).items()}
    elif state.best_epoch:
        state.best = _read(_best_file(path, state.best_epoch))[0]
    weights = state.best if state.finished else _under("network/", tensors)
    for some in (weights, state.best) if state.best_epoch else (weights,):
        _refuse_other(path, some, network)
    if not state.finished:
        moments = _under("optimizer/", tensors)
        _refuse_other_moments(path, moments, optimizer)
        network.load_state_dict(weights)
        _restore(optimizer, moments)
    return state


def _restore(optimizer: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    slots: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        key, slot = name.split("/")
        slots.setdefault(int(key), {})[slot] = value
    optimizer.load_state_dict(optimizer.state_dict() | {"state": slots})
    for weight, known in optimizer.state.items():
        for slot, value in known.items():
            if value.shape == weight.shape:
                # A fused step goes through the memory of both at once: they must lie alike.
                known[slot] = torch.empty_like(weight).copy_(value)


def _refuse_other(path: Path, tensors: Mapping[str, Tensor], network: nn.Module) -> None:
    wanted = {name: (value.shape, value.dtype) for name, value in network.state_dict().items()}
    found = {name: (value.shape, value.dtype) for name, value in tensors.items()}
    if found != wanted:
        differ = sorted(name for name in wanted | found if wanted.get(name) != found.get(name))
        raise ArtefactError(
            f"the checkpoint {path} is of another network: they differ in {', '.join(differ[:3])}"
        )


def _refuse_other_moments(path: Path, moments: Mapping[str, Tensor], optimizer: Optimizer) -> None:
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    shapes = {str(index): weight.shape for index, weight in enumerate(weights)}
    for name, value in moments.items():
        key, _, slot = name.partition("/")
        if not slot or key not in shapes or value.shape not in (torch.Size(), shapes[key]):
            raise ArtefactError(
                f"the checkpoint {path} is of another optimizer: it holds {name} of shape "
                f"{tuple(value.shape)}"
            )


def _write(path: Path, tensors: Mapping[str, Tensor], notes: dict[str, Any]) -> None:
    laid = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    write_tensors(path, laid, {"state": notes, "checksum": _sum(laid, notes)}, durable=True)


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    tensors, notes = read_tensors(path)
    state = notes.get("state") if isinstance(notes, dict) else None
    if not isinstance(state, dict) or notes.get("checksum") != _sum(tensors, state):
        raise ArtefactError(f"the checkpoint {path} is damaged: its checksum is another one")
    return tensors, state


def _sum(tensors: Mapping[str, Tensor], notes: dict[str, Any]) -> str:
    """CRC-32 over names, numbers and notes."""
    value = zlib.crc32(json.dumps(notes, sort_keys=True).encode())
    for name in sorted(tensors):
        value = zlib.crc32(name.encode(), value)
        value = zlib.crc32(tensors[name].reshape(-1).view(torch.uint8).numpy().data, value)
    return f"{value:08x}"


def _notes_of(state: TrainingState) -> dict[str, Any]:
    return {
        "epoch": state.epoch,
        "history": state.history,
        "best_epoch": state.best_epoch,
        "finished": state.finished,
        "balance": state.balance,
    }


def _best_file(path: Path, epoch: int) -> Path:
    return path.with_name(f"{path.stem}-best-{epoch}{path.suffix}")


def _drop_best(path: Path, but: Path | None = None) -> None:
    for old in path.parent.glob(f"{path.stem}-best-*{path.suffix}"):
        if old != but:
            old.unlink(missing_ok=True)


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): value
        for name, value in tensors.items()
        if name.startswith(prefix)
    }
