"""Operations of ONNX as those of TensorFlow Lite Micro, in 8-bit integers.

Pooling by two constant matrices acts on the last axis, so it stands in the layout of ONNX; all else
that is done to images stands in that of TensorFlow Lite.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hybridonn.core.errors import DeploymentError
from hybridonn.deployment.tflite.graph import Graph, Node
from hybridonn.deployment.tflite.layout import Layout
from hybridonn.deployment.tflite.model import Range

SAME, VALID = 0, 1  # padding, in the schema
KEEPS_RANGE = ("Reshape", "Flatten", "Identity", "AveragePool", "MaxPool", "Resize")


def translate(graph: Graph) -> tuple[bytes, dict[str, Range]]:
    """A backend as a TensorFlow Lite file: images (1, H, W, K) in, int8 throughout.

    Returns:
        The file, and how its tensors are held, by name.

    Raises:
        DeploymentError: It holds an operation that is not translated.
    """
    ranges = _share_ranges(graph)
    return _Translator(replace(graph, ranges=ranges)).translate(), ranges


def _share_ranges(graph: Graph) -> dict[str, Range]:
    """Ranges in which what is only moved or joined has one range before and after."""
    ranges = dict(graph.ranges)
    for node in reversed(graph.nodes):
        if node.kind == "Concat" and node.output in ranges:
            ranges |= dict.fromkeys(node.inputs, ranges[node.output])
        if node.kind in KEEPS_RANGE and node.output in ranges:  # of what is moved before it is used
            ranges.setdefault(node.inputs[0], ranges[node.output])
    for node in graph.nodes:
        if node.kind in KEEPS_RANGE and node.inputs[0] in ranges:
            ranges[node.output] = ranges[node.inputs[0]]
    return ranges


class _Translator(Layout):
    """Writes the operations of a graph one after another."""

    def translate(self) -> bytes:
        """The file.

        Raises:
            DeploymentError: An operation is not translated.
        """
        inputs = [self._take_branch(name) for name in self.graph.inputs]
        for node in self.graph.nodes:
            if node.output not in self.placed:  # else the operation before it has made it
                self._write(node)
        output = self.take(self.graph.output, last=True)
        return self.model.pack(inputs, [output])

    def _take_branch(self, name: str) -> int:
        """The tensor of a branch.

        Raises:
            DeploymentError: The first operation on it is not done in integers.
        """
        if name not in self.graph.ranges:
            users = self.graph.users(name)
            if users:
                self.refuse(users[0], f"takes {name}, whose range is not known")
            raise DeploymentError(
                f"the backend cannot be written for TensorFlow Lite Micro: it does not use {name}"
            )
        return self.place(name, last=True)

    def _write(self, node: Node) -> None:
        """Write one operation.

        Raises:
            DeploymentError: It is not translated.
        """
        write = getattr(self, f"_write_{node.kind.lower()}", None)
        if write is None:
            self.refuse(node, "is not translated")
        try:
            write(node)
        except (LookupError, ValueError):  # a constant that is none, or a range that nobody knows
            self.refuse(node, "takes or gives other things than layers do")

    # Sums of products

    def _write_gemm(self, node: Node) -> None:
        settings = node.settings
        plain = not settings.get("transA") and settings.get("transB")
        plain = plain and settings.get("alpha", 1) == settings.get("beta", 1) == 1
        if not plain or node.inputs[1] not in self.constants:
            self.refuse(node, "is no layer of constant weights")
        weights, *bias = (self.constants[name] for name in node.inputs[1:])
        source = self.take(node.inputs[0], last=False)
        target, activation = self.finish(node, last=False)
        inputs = self.add_weights(node.inputs[0], source, weights, 0, *bias)
        self.model.add_operator(
            "FULLY_CONNECTED",
            inputs,
            target,
            "FullyConnectedOptions",
            fusedActivationFunction=activation,
        )

    def _write_matmul(self, node: Node) -> None:
        """A constant matrix from the left or the right, on the last axis."""
        left, right = node.inputs
        if left in self.constants and self.constants[left].ndim == 2:
            name, weights, order = right, self.constants[left], (0, 1, 3, 2)
        elif right in self.constants and self.constants[right].ndim == 2:
            name, weights, order = left, self.constants[right].T, None
        else:
            self.refuse(node, "is no product with a constant matrix")
        if len(self.graph.shapes[name]) != 4:
            self.refuse(node, "is no product of an image")
        source = self.take(name, last=False)
        held = self.graph.ranges[name]
        target = self.place(node.output, last=False)
        made = target
        if order is not None:
            source = self.transpose(source, order, held)
            shape = self.graph.shapes[node.output]
            turned = tuple(shape[axis] for axis in order)
            made = self.model.add_tensor("product", turned, self.graph.ranges[node.output])
        inputs = self.add_weights(name, source, weights, 0)
        options = "FullyConnectedOptions"
        self.model.add_operator("FULLY_CONNECTED", inputs, made, options, keepNumDims=True)
        if order is not None:
            axes = self.model.add_constant("order", np.array(order, np.int32))
            self.model.add_operator("TRANSPOSE", [made, axes], target, "TransposeOptions")

    # Each channel by itself

    def _write_batchnormalization(self, node: Node) -> None:
        weight, bias, mean, variance = (self.constants[name] for name in node.inputs[1:])
        factors = weight / np.sqrt(variance + node.settings["epsilon"])
        self._scale_channels(node, node.inputs[0], factors, bias - factors * mean)

    def _write_neg(self, node: Node) -> None:
        channels = self.graph.shapes[node.inputs[0]][1]
        self._scale_channels(node, node.inputs[0], -np.ones(channels), np.zeros(channels))

    def _write_add(self, node: Node) -> None:
        name, values = self._split(node)
        if values is None:
            self._join(node, "ADD", "AddOptions")
        else:
            self._scale_channels(node, name, np.ones(len(values)), values)

    def _write_mul(self, node: Node) -> None:
        name, values = self._split(node)
        if values is None:
            self._join(node, "MUL", "MulOptions")
        else:
            self._scale_channels(node, name, values, np.zeros(len(values)))

    def _split(self, node: Node) -> tuple[str, np.ndarray | None]:
        """The image of an operation, and a number for each channel; None: there are two."""
        constant = [name for name in node.inputs if name in self.constants]
        if not constant:
            return node.inputs[0], None
        (name,) = set(node.inputs) - set(constant)
        shape = self.graph.shapes[name]
        values = self.constants[constant[0]]
        form = (1,) * (len(shape) - values.ndim) + values.shape
        if len(shape) != 4 or form not in ((1, shape[1], 1, 1), (1, 1, 1, 1)):
            self.refuse(node, "has constants that are not one for each channel")
        return name, np.broadcast_to(values.reshape(form)[0, :, 0, 0], shape[1]).copy()

    def _scale_channels(
        self, node: Node, name: str, factors: np.ndarray, shifts: np.ndarray
    ) -> None:
        if len(self.graph.shapes[name]) != 4:
            self.refuse(node, "is no operation on an image")
        weights = factors.astype(np.float32).reshape(1, 1, 1, -1)
        source = self.take(name, last=True)
        target, activation = self.finish(node, last=True)
        inputs = self.add_weights(name, source, weights, 3, shifts)
        self._convolve("DEPTHWISE_CONV_2D", inputs, target, activation, VALID)

    def _write_relu(self, node: Node) -> None:
        source = self.placed[node.inputs[0]]
        self.model.add_operator("RELU", [source.index], self.place(node.output, source.last))

    def _join(self, node: Node, name: str, options: str) -> None:
        """An operation on two tensors, pixel by pixel."""
        if len({self.graph.shapes[one] for one in node.inputs}) > 1:
            self.refuse(node, "takes tensors of several shapes")
        sources = [self.take(one, last=True) for one in node.inputs]
        target, activation = self.finish(node, last=True)
        self.model.add_operator(name, sources, target, options, fusedActivationFunction=activation)

    # Images

    def _write_conv(self, node: Node) -> None:
        name, weights = node.inputs[0], self.constants[node.inputs[1]]
        bias = self.constants[node.inputs[2]] if len(node.inputs) > 2 else None
        groups, channels = node.settings.get("group", 1), self.graph.shapes[name][1]
        kind, axis, laid = "CONV_2D", 0, weights.transpose(0, 2, 3, 1)
        if groups == channels == len(weights) and groups > 1:
            kind, axis, laid = "DEPTHWISE_CONV_2D", 3, weights.transpose(1, 2, 3, 0)
        elif groups != 1:
            self.refuse(node, "is a convolution in groups of several channels")
        source, padding = self._pad(node, name)
        target, activation = self.finish(node, last=True)
        inputs = self.add_weights(name, source, laid, axis, bias)
        strides = node.settings.get("strides", [1, 1])
        dilations = node.settings.get("dilations", [1, 1])
        self._convolve(kind, inputs, target, activation, padding, strides, dilations)

    def _convolve(
        self,
        kind: str,
        inputs: list[int],
        target: int,
        activation: int,
        padding: int,
        strides: Sequence[int] = (1, 1),
        dilations: Sequence[int] = (1, 1),
    ) -> None:
        depth = {"depthMultiplier": 1} if kind.startswith("DEPTHWISE") else {}
        self.model.add_operator(
            kind,
            inputs,
            target,
            "DepthwiseConv2DOptions" if depth else "Conv2DOptions",
            padding=padding,
            strideH=strides[0],
            strideW=strides[1],
            dilationHFactor=dilations[0],
            dilationWFactor=dilations[1],
            fusedActivationFunction=activation,
            **depth,
        )

    def _pad(self, node: Node, name: str) -> tuple[int, int]:
        """The image of a convolution, padded where its own padding does not say it."""
        source, pads = self.take(name, last=True), node.settings.get("pads", [0] * 4)
        if not any(pads):
            return source, VALID
        kernel = self.constants[node.inputs[1]].shape[2:]
        spans = [
            d * (k - 1) for d, k in zip(node.settings.get("dilations", [1, 1]), kernel, strict=True)
        ]
        halves = [*(span // 2 for span in spans), *(span - span // 2 for span in spans)]
        if list(pads) == halves and list(node.settings.get("strides", [1, 1])) == [1, 1]:
            return source, SAME
        top, left, bottom, right = pads
        sizes = np.array([[0, 0], [top, bottom], [left, right], [0, 0]], np.int32)
        shape = tuple(
            size + int(more)
            for size, more in zip(self.model.shape_of(source), sizes.sum(1), strict=True)
        )
        padded = self.model.add_tensor("padded", shape, self.graph.ranges[name])
        around = self.model.add_constant("padding", sizes)
        self.model.add_operator("PAD", [source, around], padded, "PadOptions")
        return padded, VALID

    def _write_convtranspose(self, node: Node) -> None:
        name, weights = node.inputs[0], self.constants[node.inputs[1]]
        bias = [self.constants[one] for one in node.inputs[2:]]
        strides, pads = node.settings["strides"], node.settings["pads"]
        kernel = weights.shape[2:]
        spare = [size - step for size, step in zip(kernel, strides, strict=True)]
        wide = any(one != 1 for one in node.settings.get("dilations", ()))
        fits = all(one >= 0 and one % 2 == 0 for one in spare) and not wide
        fits = fits and not any(node.settings.get("output_padding", ()))
        halves = [one // 2 for one in spare]
        if node.settings.get("group", 1) != 1 or not fits or list(pads) != 2 * halves:
            self.refuse(node, "does not enlarge an image by a whole number")
        source = self.take(name, last=True)
        target, activation = self.finish(node, last=True)
        _, *inputs = self.add_weights(name, source, weights.transpose(1, 2, 3, 0), 0, *bias)
        size = self.model.add_constant("size", np.array(self.model.shape_of(target), np.int32))
        self.model.add_operator(
            "TRANSPOSE_CONV",
            [size, inputs[0], source, inputs[1]],
            target,
            "TransposeConvOptions",
            padding=SAME,
            strideH=strides[0],
            strideW=strides[1],
            fusedActivationFunction=activation,
        )

    def _write_averagepool(self, node: Node) -> None:
        self._pool(node, "AVERAGE_POOL_2D")

    def _write_maxpool(self, node: Node) -> None:
        self._pool(node, "MAX_POOL_2D")

    def _pool(self, node: Node, kind: str) -> None:
        settings = node.settings
        wide = any(one != 1 for one in settings.get("dilations", ()))
        if any(settings.get("pads", ())) or settings.get("ceil_mode") or wide:
            self.refuse(node, "pools beyond the edge, or leaves pixels out")
        source, kernel = self.take(node.inputs[0], last=True), settings["kernel_shape"]
        strides = settings.get("strides", [1, 1])
        self.model.add_operator(
            kind,
            [source],
            self.place(node.output, last=True),
            "Pool2DOptions",
            padding=VALID,
            filterHeight=kernel[0],
            filterWidth=kernel[1],
            strideH=strides[0],
            strideW=strides[1],
        )

    # What moves numbers only

    def _write_concat(self, node: Node) -> None:
        if node.settings["axis"] != 1 or len(self.graph.shapes[node.output]) != 4:
            self.refuse(node, "joins other axes than the channels of images")
        sources = [self.take(name, last=True) for name in node.inputs]
        target = self.place(node.output, last=True)
        self.model.add_operator("CONCATENATION", sources, target, "ConcatenationOptions", axis=3)

    def _write_reshape(self, node: Node) -> None:
        source, shape = self.take(node.inputs[0], last=False), self.graph.shapes[node.output]
        target = self.place(node.output, last=False)
        sizes = self.model.add_constant("shape", np.array(shape, np.int32))
        options = {"newShape": list(shape)}
        self.model.add_operator("RESHAPE", [source, sizes], target, "ReshapeOptions", **options)

    _write_flatten = _write_reshape

    def _write_identity(self, node: Node) -> None:
        self.placed[node.output] = self.placed[node.inputs[0]]

    def _write_resize(self, node: Node) -> None:
        mode, place = node.settings["mode"], node.settings["coordinate_transformation_mode"]
        linear, rounding = mode == b"linear", node.settings.get("nearest_mode")
        halves = (b"half_pixel", b"pytorch_half_pixel")
        fits = place in halves if linear else (place, rounding) == (b"asymmetric", b"floor")
        if not fits:
            self.refuse(node, f"enlarges by {mode.decode()} with pixels at {place.decode()}")
        source, target = self.take(node.inputs[0], last=True), self.place(node.output, last=True)
        size = np.array(self.graph.shapes[node.output][2:], np.int32)
        kind = "BILINEAR" if linear else "NEAREST_NEIGHBOR"
        options = "ResizeBilinearOptions" if linear else "ResizeNearestNeighborOptions"
        inputs = [source, self.model.add_constant("size", size)]
        self.model.add_operator(f"RESIZE_{kind}", inputs, target, options, halfPixelCenters=linear)
