"""ONNX files in 8-bit integers, calibrated on real inputs."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

from torch import Tensor

from hybridonn.deployment.extras import need_extra

AT_A_TIME = 32  # calibration images


def quantise(source: Path, path: Path, inputs: Sequence[Tensor]) -> None:
    """Write a network in 8-bit integers: static, QDQ, one scale a channel of the weights.

    The ranges of what flows between layers are the smallest and largest values for the inputs
    (Jacob et al. 2018, arXiv 1712.05877, section 3); weights are symmetric, activations affine.

    Args:
        source: The network in float32, ONNX.
        path: The file to write.
        inputs: What it is calibrated on, one (N, ...) an input.

    Raises:
        DeploymentError: onnx or onnxruntime is not installed.
    """
    need_extra("onnx", "onnxruntime")
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    level = logging.root.level
    logging.root.setLevel(logging.ERROR)  # the library speaks through the root logger
    try:
        with tempfile.TemporaryDirectory() as folder:
            prepared = Path(folder) / "prepared.onnx"
            quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
            quantize_static(
                str(prepared),
                str(path),
                cast(Any, _Reader(source, inputs)),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                weight_type=QuantType.QInt8,
                activation_type=QuantType.QInt8,
            )
    finally:
        logging.root.setLevel(level)


class _Reader:
    """Gives the calibration inputs, some images at a time, as the library asks for them."""

    def __init__(self, source: Path, inputs: Sequence[Tensor]) -> None:
        self.batches = self._list(source, inputs)

    @staticmethod
    def _list(source: Path, inputs: Sequence[Tensor]) -> Iterator[dict[str, Any]]:
        import onnx

        names = [one.name for one in onnx.load(str(source)).graph.input]
        for part in zip(*(one.split(AT_A_TIME) for one in inputs), strict=True):
            yield {name: one.numpy() for name, one in zip(names, part, strict=True)}

    def get_next(self) -> dict[str, Any] | None:
        """The next batch; None: there is no more."""
        return next(self.batches, None)
