"""How much memory a network takes, known before any of it is allocated.

Networks are built on torch's meta device, which knows shapes and allocates nothing.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from hybridonn.core.errors import HybridonnError
from hybridonn.core.memory import machine_bytes, refuse_beyond_memory

Make = Callable[[], nn.Module]


def refuse_large_weights(make: Make, what: str, cure: str, *, must_build: bool = False) -> None:
    """Refuse a network whose weights this machine cannot hold.

    Args:
        make: Builds the network.
        what: The network, as the subject of a sentence.
        cure: What to change.
        must_build: Whether ``make`` works without memory, too, so that what it raises is a fault
            of its arguments and is passed on: to build it for good would take the memory first.

    Raises:
        HybridonnError: They take more than its memory, or what ``make`` raises of this kind.
    """
    _refuse(lambda: count_bytes(_list_weights(make())), what, cure, must_build=must_build)


def refuse_large_training(
    make: Make, scene: tuple[int, ...], what: str, cure: str, available: int | None = None
) -> None:
    """Refuse a network that this machine cannot train.

    A step of AdamW takes weights, gradients, two moments and what each layer gives for the batch.

    Args:
        make: Builds the network.
        scene: (B, C, H, W) of a batch.
        what: Its training, as the subject of a sentence.
        cure: What to change.
        available: Bytes of memory of another device; None: of this machine.

    Raises:
        HybridonnError: A step takes more than the machine's memory, or what ``make`` raises of
            this kind.
    """
    most = machine_bytes() if available is None else available

    def measure() -> float:
        network = make()
        weights = _list_weights(network)
        held = count_bytes(weights) + 3 * count_bytes(one for one in weights if one.requires_grad)
        # Torch takes seconds to learn how to pass scenes through a network on the meta device.
        if held + _bound_layers(network, scene) < most:
            return held
        return held + count_layers(network, scene)

    _refuse(measure, what, cure, most)


def count_layers(network: nn.Module, scene: tuple[int, ...]) -> int:
    """Bytes of what all layers of a network on the meta device give for a batch (B, C, H, W)."""
    outputs: list[Tensor] = []

    def keep(module: nn.Module, inputs: object, output: object) -> None:
        several = output if isinstance(output, tuple) else (output,)
        outputs.extend(one for one in several if isinstance(one, Tensor))

    for module in network.modules():
        module.register_forward_hook(keep)
    network(torch.empty(scene, device="meta"))
    # What a layer passes on as it is, or another view of it, takes no memory of its own.
    storages = {one.untyped_storage()._cdata: one.untyped_storage() for one in outputs}
    return sum(storage.nbytes() for storage in storages.values())


def count_bytes(tensors: Iterable[Tensor]) -> int:
    """Bytes of the numbers of tensors."""
    return sum(one.numel() * one.element_size() for one in tensors)


def _refuse(
    measure: Callable[[], float],
    what: str,
    cure: str,
    available: int | None = None,
    must_build: bool = False,
) -> None:
    try:
        with warnings.catch_warnings(), torch.device("meta"), torch.no_grad():
            warnings.simplefilter("ignore")  # the network itself will give them
            size = measure()
    except HybridonnError:
        raise
    except Exception as error:
        if not isinstance(error, OverflowError) and "overflow" not in str(error).lower():
            if must_build:
                raise
            return  # it fails in the same way as it is built, and there it is explained
        size = math.inf
    refuse_beyond_memory(size, what, cure, available)


def _list_weights(network: nn.Module) -> list[Tensor]:
    # A weight that two layers share is one.
    state = network.state_dict(keep_vars=True).values()
    return [*{id(one): one for one in state}.values()]


def _bound_layers(network: nn.Module, scene: tuple[int, ...]) -> int:
    """More bytes than layers give that make no image larger than the scene."""
    widest = max((one.shape[0] for one in network.parameters() if one.ndim), default=1)
    layers = sum(1 for _ in network.modules())
    return 4 * layers * max(widest, scene[1]) * scene[0] * scene[2] * scene[3]
