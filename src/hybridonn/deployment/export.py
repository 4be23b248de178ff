"""Networks as ONNX files with named inputs and a batch of any size."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hybridonn.core.errors import DeploymentError
from hybridonn.deployment.extras import need_extra
from hybridonn.deployment.pooling import ExportablePooling

OPSET = 20  # of ONNX; read by every onnxruntime since 1.17 (2024)
OUTPUT = "logits"
SCENE = "scene"
TRIED = 2  # images with which a network is traced: with one, torch takes the batch for a constant


def name_branches(count: int) -> tuple[str, ...]:
    """The names of a backend's inputs, from fine to coarse."""
    return tuple(f"branch_{index}" for index in range(count))


def export_backend(
    backend: nn.Module, branch_shapes: Sequence[tuple[int, int, int]], path: Path
) -> None:
    """Write a backend as ONNX: inputs ``branch_0``, ..., output ``logits``, all float32.

    Args:
        backend: From a tuple of branches, each (B, K_b, H', W'), to outputs.
        branch_shapes: (K_b, H', W') of each branch, from fine to coarse.
        path: The file to write.

    Raises:
        DeploymentError: The backend does something that ONNX cannot say.
    """
    examples = tuple(torch.zeros(TRIED, *shape) for shape in branch_shapes)
    _export(_TakesBranches(backend), examples, name_branches(len(examples)), path)


def export_hybrid(network: nn.Module, image_shape: tuple[int, int, int], path: Path) -> None:
    """Write a whole network as ONNX: input ``scene`` (B, C, H, W) in [0, 1], output ``logits``.

    Args:
        network: From a scene to outputs, in real arithmetic.
        image_shape: (C, H, W).
        path: The file to write.

    Raises:
        DeploymentError: The network does something that ONNX cannot say.
    """
    _export(_TakesScene(network), (torch.zeros(TRIED, *image_shape),), (SCENE,), path)


class _TakesBranches(nn.Module):
    """A backend whose branches are arguments of their own."""

    def __init__(self, backend: nn.Module) -> None:
        super().__init__()
        self.network = backend

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.network(inputs).float()  # of a backend that reckons in double, too


class _TakesScene(nn.Module):
    """A network of one input, as an argument of a list of them."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.network(inputs[0]).float()


def _export(
    network: nn.Module, examples: tuple[Tensor, ...], names: tuple[str, ...], path: Path
) -> None:
    """Trace a copy of a network on the CPU in inference mode, and write it.

    Raises:
        DeploymentError: Torch cannot trace or translate it.
        OSError: The file cannot be written.
    """
    need_extra("onnx", "onnxscript")
    network = deepcopy(network).cpu().eval()
    network.to(memory_format=torch.contiguous_format)  # pyright: ignore[reportCallIssue]
    batch = torch.export.Dim("batch")
    try:
        with _quiet(), torch.no_grad(), ExportablePooling():
            program = torch.onnx.export(
                network,
                examples,
                dynamo=True,
                opset_version=OPSET,
                input_names=list(names),
                output_names=[OUTPUT],
                dynamic_shapes=(tuple({0: batch} for _ in examples),),
                verbose=False,
            )
            assert program is not None
    except OSError:
        raise
    except Exception as error:  # torch's exporter has no class for what it refuses
        raise DeploymentError(
            f"{type(network.network).__name__} cannot be written as ONNX: {_explain(error)}; use "
            "operations of torch that ONNX has, or one of the built-in backends"
        ) from error
    _refuse_constant_batch(program.model, network)
    program.save(str(path), external_data=False)


def _refuse_constant_batch(model: Any, network: nn.Module) -> None:
    """Refuse a network that was traced for some number of images alone.

    Raises:
        DeploymentError: It is one.
    """
    if any(isinstance(one.shape[0], int) for one in (*model.graph.inputs, *model.graph.outputs)):
        raise DeploymentError(
            f"{type(network.network).__name__} cannot be written as ONNX: it takes the number of "
            "images for a constant, as int(x.shape[0]), a loop over images or squeeze() do; use "
            "x.flatten(1), reshape(x.shape[0], ...) and operations on whole batches"
        )


def _explain(error: BaseException) -> str:
    """The innermost reason of the exporter, as one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:200].rstrip(".")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the remarks of torch's exporter about packages that are not needed."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)  # what is refused is said in one sentence
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
