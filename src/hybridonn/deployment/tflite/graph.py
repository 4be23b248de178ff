"""An ONNX backend as a list of operations with known shapes, constants and ranges."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hybridonn.deployment.tflite.model import Range


@dataclass(frozen=True)
class Node:
    """An operation of ONNX.

    Attributes:
        kind: Its name in ONNX.
        inputs: Names of what it takes.
        output: Name of what it gives.
        settings: Its attributes.
    """

    kind: str
    inputs: tuple[str, ...]
    output: str
    settings: dict[str, Any]


@dataclass(frozen=True)
class Graph:
    """A backend for one image.

    Attributes:
        nodes: Operations in the order in which they are done.
        constants: Arrays by name.
        shapes: Shape of every tensor that is computed, (1, ...), as ONNX lays it out.
        ranges: How tensors are held in 8 bits, by name, where calibration told.
        inputs: Names of the branches.
        output: Name of the answer.
    """

    nodes: tuple[Node, ...]
    constants: dict[str, np.ndarray]
    shapes: dict[str, tuple[int, ...]]
    ranges: dict[str, Range]
    inputs: tuple[str, ...]
    output: str

    def users(self, name: str) -> list[Node]:
        """Operations that take a tensor."""
        return [node for node in self.nodes if name in node.inputs]


def read_graph(network: Path, quantised: Path) -> Graph:
    """The operations of a backend, with the ranges of the same backend in 8-bit integers.

    Args:
        network: The backend in float32.
        quantised: The same, as :func:`~hybridonn.deployment.quantise.quantise` wrote it.
    """
    import onnx

    prepared = _fix_batch(network)
    constants = {one.name: onnx.numpy_helper.to_array(one) for one in prepared.graph.initializer}
    values = [*prepared.graph.value_info, *prepared.graph.input, *prepared.graph.output]
    shapes = {
        one.name: tuple(size.dim_value for size in one.type.tensor_type.shape.dim)
        for one in values
        if one.name not in constants
    }
    nodes = tuple(_read_node(one) for one in prepared.graph.node)
    inputs = tuple(one.name for one in prepared.graph.input)
    ranges = _read_ranges(quantised)
    return Graph(nodes, constants, shapes, ranges, inputs, prepared.graph.output[0].name)


def _fix_batch(network: Path) -> Any:
    """The network as the quantiser saw it, for one image."""
    import onnx
    from onnxruntime.quantization.shape_inference import quant_pre_process
    from onnxruntime.tools.onnx_model_utils import make_dim_param_fixed

    with tempfile.TemporaryDirectory() as folder:
        single, prepared = Path(folder) / "single.onnx", Path(folder) / "prepared.onnx"
        model = onnx.load(str(network))
        batch = model.graph.input[0].type.tensor_type.shape.dim[0].dim_param
        make_dim_param_fixed(model.graph, batch, 1)
        onnx.save(model, str(single))
        quant_pre_process(str(single), str(prepared), skip_symbolic_shape=True)
        return onnx.shape_inference.infer_shapes(onnx.load(str(prepared)))


def _read_node(node: Any) -> Node:
    import onnx

    settings = {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}
    return Node(node.op_type, tuple(node.input), node.output[0], settings)


def _read_ranges(quantised: Path) -> dict[str, Range]:
    import onnx

    graph = onnx.load(str(quantised)).graph
    constants = {one.name: one for one in graph.initializer}
    read = onnx.numpy_helper.to_array
    return {
        node.input[0].removesuffix("_QuantizeLinear_Input"): Range(
            float(read(constants[node.input[1]])), int(read(constants[node.input[2]]))
        )
        for node in graph.node
        if node.op_type == "QuantizeLinear"
    }
