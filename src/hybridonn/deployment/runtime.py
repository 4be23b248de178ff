"""Runs ONNX files by onnxruntime."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hybridonn.deployment.extras import need_extra

AT_A_TIME = 256  # images


class OnnxNetwork:
    """An ONNX file as a function of tensors.

    Args:
        path: The file.
        threads: Threads of the runtime; None: as many as there are cores.

    Raises:
        DeploymentError: onnxruntime is not installed.
    """

    def __init__(self, path: Path, threads: int | None = None) -> None:
        need_extra("onnxruntime")
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors alone
        if threads is not None:
            options.intra_op_num_threads = options.inter_op_num_threads = threads
        self.session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
        self.names = [one.name for one in self.session.get_inputs()]

    def __call__(self, inputs: Sequence[Tensor]) -> Tensor:
        """Outputs of one tensor an input, (B, ...) each."""
        feed: dict[str, Any] = {
            name: one.contiguous().numpy() for name, one in zip(self.names, inputs, strict=True)
        }
        (found,) = self.session.run(None, feed)
        return torch.from_numpy(found)

    def predict(self, inputs: Sequence[Tensor]) -> Tensor:
        """The same for any number of images, some at a time."""
        parts = zip(*(one.split(AT_A_TIME) for one in inputs), strict=True)
        return torch.cat([self(part) for part in parts])
