"""Runs ONNX files by onnxruntime."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hybridonn.core.errors import DeploymentError
from hybridonn.deployment.extras import need_extra

AT_A_TIME = 256  # images
# Without it onnxruntime adds pairs of 8-bit products in 16 bits on processors of AVX2 or AVX-512
# without VNNI: sums saturate without a word, and outputs were off by up to 43 % of the largest.
# Elsewhere it does nothing. The name is kOrtSessionOptionsAvx2PrecisionMode's in its headers.
EXACT_SUMS = ("session.x64quantprecision", "1")


class OnnxNetwork:
    """An ONNX file as a function of tensors.

    Args:
        path: The file.
        threads: Threads of the runtime; None: as many as there are cores.

    Raises:
        DeploymentError: onnxruntime is not installed, or cannot run the file.
    """

    def __init__(self, path: Path, threads: int | None = None) -> None:
        need_extra("onnxruntime")
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors alone
        options.add_session_config_entry(*EXACT_SUMS)
        if threads is not None:
            options.intra_op_num_threads = options.inter_op_num_threads = threads
        self._name = path.name
        try:
            self.session = _open(path, options)
        except Exception as error:  # the library has a class for each of its codes
            raise self._explain(error) from error
        self.names = [one.name for one in self.session.get_inputs()]

    def __call__(self, inputs: Sequence[Tensor]) -> Tensor:
        """Outputs of one tensor an input, (B, ...) each.

        Raises:
            DeploymentError: The tensors do not fit the file.
        """
        feed: dict[str, Any] = {
            name: one.contiguous().numpy() for name, one in zip(self.names, inputs, strict=True)
        }
        try:
            (found,) = self.session.run(None, feed)
        except Exception as error:
            raise self._explain(error) from error
        return torch.from_numpy(found)

    def _explain(self, error: Exception) -> DeploymentError:
        said = " ".join(str(error).split())[:300].rstrip(". ")
        return DeploymentError(
            f"{self._name} cannot be run by onnxruntime ({said}); use operations of torch that "
            "ONNX has, or one of the built-in backends"
        )

    def predict(self, inputs: Sequence[Tensor]) -> Tensor:
        """The same for any number of images, some at a time."""
        parts = zip(*(one.split(AT_A_TIME) for one in inputs), strict=True)
        return torch.cat([self(part) for part in parts])


def _open(path: Path, options: Any) -> Any:
    import onnxruntime

    providers = ["CPUExecutionProvider"]
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=providers)
    except Exception:
        # On the processors that need EXACT_SUMS onnxruntime cannot apply it to every graph. With
        # nothing fused it dequantises and adds in float32: slower, and as right.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        return onnxruntime.InferenceSession(str(path), options, providers=providers)
