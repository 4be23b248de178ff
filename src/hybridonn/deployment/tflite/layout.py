"""Tensors of a TensorFlow Lite file in the layout that each operation asks for.

ONNX lays images out as (1, K, H, W), TensorFlow Lite as (1, H, W, K). Each tensor is kept in the
layout in which it was made, and turned where an operation asks for the other one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

import numpy as np

from hybridonn.core.errors import DeploymentError
from hybridonn.deployment.tflite.graph import Graph, Node
from hybridonn.deployment.tflite.model import Model, Range
from hybridonn.deployment.tflite.weights import quantise_bias, quantise_weights

TO_LAST, TO_FIRST = (0, 2, 3, 1), (0, 3, 1, 2)  # channels
RELU = 1  # activation, in the schema


@dataclass(frozen=True)
class Placed:
    """A tensor of the file.

    Attributes:
        index: Its index in the file.
        last: Whether its channels come last; of a tensor that is no image, False.
    """

    index: int
    last: bool


class Layout:
    """The file of a graph, and where the graph's tensors are in it.

    Args:
        graph: The backend.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph, self.model = graph, Model()
        self.placed: dict[str, Placed] = {}

    @property
    def constants(self) -> dict[str, np.ndarray]:
        """Arrays of the graph by name."""
        return self.graph.constants

    def refuse(self, node: Node, why: str) -> NoReturn:
        """Refuse an operation.

        Raises:
            DeploymentError: Always.
        """
        raise DeploymentError(
            f"the backend cannot be written for TensorFlow Lite Micro: its operation {node.kind} "
            f"({node.output}) {why}; deploy it with --target c, or use a built-in backend"
        )

    def place(self, name: str, last: bool) -> int:
        """Make the tensor of a name; its index."""
        shape, held = self.graph.shapes[name], self.graph.ranges[name]
        last = last and len(shape) == 4
        laid = tuple(shape[axis] for axis in TO_LAST) if last else shape
        index = self.model.add_tensor(name, laid, held)
        self.placed[name] = Placed(index, last)
        return index

    def take(self, name: str, last: bool) -> int:
        """The tensor of a name in one of the two layouts; its index."""
        found = self.placed[name]
        if found.last == last or len(self.graph.shapes[name]) != 4:
            return found.index
        order = TO_LAST if last else TO_FIRST
        return self.transpose(found.index, order, self.graph.ranges[name])

    def transpose(self, index: int, order: Sequence[int], held: Range) -> int:
        """A tensor with its axes in another order; its index."""
        shape = self.model.shape_of(index)
        turned = self.model.add_tensor("turned", tuple(shape[axis] for axis in order), held)
        axes = self.model.add_constant("order", np.array(order, np.int32))
        self.model.add_operator("TRANSPOSE", [index, axes], turned, "TransposeOptions")
        return turned

    def finish(self, node: Node, last: bool) -> tuple[int, int]:
        """The tensor that an operation gives, and the activation that is done with it.

        What has no range of its own is only seen by a rectifier, which is done at once.
        """
        name, activation = node.output, 0
        if name not in self.graph.ranges:
            users = self.graph.users(name)
            if [one.kind for one in users] != ["Relu"]:
                self.refuse(node, "gives numbers whose range is not known")
            name, activation = users[0].output, RELU
        return self.place(name, last), activation

    def add_weights(
        self, name: str, source: int, weights: np.ndarray, axis: int, bias: np.ndarray | None = None
    ) -> list[int]:
        """Inputs of a sum of products: the tensor, its weights, and its bias, zero if none."""
        integers, scales = quantise_weights(weights, axis)
        if bias is None:
            bias = np.zeros(len(scales), np.float32)
        steps = scales * np.float32(self.graph.ranges[name].scale)
        held = self.model.add_constant("weights", integers, scales, axis)
        added = self.model.add_constant("bias", quantise_bias(bias, steps), steps)
        return [source, held, added]
