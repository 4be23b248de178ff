"""A TensorFlow Lite file of 8-bit integers, put together operation by operation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hybridonn.deployment.extras import need_extra

INT8, INT32 = np.dtype(np.int8), np.dtype(np.int32)
VERSION = 3  # of the schema
IDENTIFIER = b"TFL3"


@dataclass(frozen=True)
class Range:
    """How numbers are held in 8 bits: ``scale * (integer - zero)``.

    Attributes:
        scale: Step between two numbers.
        zero: Integer of zero.
    """

    scale: float
    zero: int


class Model:
    """Tensors and operations of a network of one image.

    Raises:
        DeploymentError: tflite-micro, which holds the schema, is not installed.
    """

    def __init__(self) -> None:
        need_extra("tflite_micro", "flatbuffers")
        from tflite_micro.tensorflow.lite.micro.python import (  # pyright: ignore[reportMissingImports]
            schema_py_generated,
        )

        self._schema: Any = schema_py_generated
        self._buffers: list[Any] = [self._schema.BufferT()]  # the first one is empty, by the format
        self._tensors: list[Any] = []
        self._operators: list[Any] = []
        self._codes: dict[int, int] = {}

    def add_tensor(self, name: str, shape: tuple[int, ...], held: Range) -> int:
        """A tensor that is computed, int8; its index."""
        return self._add(name, shape, INT8, [held.scale], [held.zero], 0, 0)

    def add_constant(
        self, name: str, values: np.ndarray, scales: np.ndarray | None = None, axis: int = 0
    ) -> int:
        """A constant, int8 or int32; its index.

        Args:
            name: What it is.
            values: The integers.
            scales: Scale of each slice, (slices,); None: they are plain integers.
            axis: Axis along which the slices lie.
        """
        buffer = self._schema.BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
        self._buffers.append(buffer)
        known = [] if scales is None else scales.tolist()
        last = len(self._buffers) - 1
        return self._add(name, values.shape, values.dtype, known, [0] * len(known), axis, last)

    def shape_of(self, index: int) -> tuple[int, ...]:
        """Shape of a tensor."""
        return tuple(self._tensors[index].shape)

    def add_operator(
        self, name: str, inputs: list[int], output: int, options: str = "", **values: Any
    ) -> None:
        """An operation.

        Args:
            name: Its name in the schema, such as ``CONV_2D``.
            inputs: Indices of the tensors that it takes.
            output: Index of the tensor that it gives.
            options: Name of its settings in the schema, such as ``Conv2DOptions``; empty: it has
                none.
            **values: Settings.
        """
        schema, operator = self._schema, self._schema.OperatorT()
        code = getattr(schema.BuiltinOperator, name)
        operator.opcodeIndex = self._codes.setdefault(code, len(self._codes))
        operator.inputs, operator.outputs = inputs, [output]
        if options:
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, options)
            operator.builtinOptions = getattr(schema, f"{options}T")()
            for key, value in values.items():
                setattr(operator.builtinOptions, key, value)
        self._operators.append(operator)

    def pack(self, inputs: list[int], outputs: list[int]) -> bytes:
        """The file, with the tensors that are given to it and that it gives."""
        import flatbuffers  # pyright: ignore[reportMissingImports]

        schema = self._schema
        graph, model = schema.SubGraphT(), schema.ModelT()
        graph.tensors, graph.operators, graph.name = self._tensors, self._operators, "backend"
        graph.inputs, graph.outputs = inputs, outputs
        model.version, model.subgraphs, model.buffers = VERSION, [graph], self._buffers
        model.description = "hybridonn backend"
        model.operatorCodes = [self._code(code) for code in self._codes]
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), IDENTIFIER)
        return bytes(builder.Output())

    def _code(self, code: int) -> Any:
        found = self._schema.OperatorCodeT()
        found.builtinCode = code
        found.deprecatedBuiltinCode = min(code, 127)  # a byte, of readers before 2020
        return found

    def _add(
        self,
        name: str,
        shape: tuple[int, ...],
        kind: np.dtype,
        scales: list[float],
        zeros: list[int],
        axis: int,
        buffer: int,
    ) -> int:
        schema, tensor = self._schema, self._schema.TensorT()
        tensor.name, tensor.shape, tensor.buffer = name, list(shape), buffer
        tensor.type = schema.TensorType.INT8 if kind == INT8 else schema.TensorType.INT32
        tensor.hasRank = True
        if scales:
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale, tensor.quantization.zeroPoint = scales, zeros
            tensor.quantization.quantizedDimension = axis
        self._tensors.append(tensor)
        return len(self._tensors) - 1
