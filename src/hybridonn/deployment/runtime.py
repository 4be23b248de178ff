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

        from hybridonn.deployment.runner import open_session  # which imports onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors alone
        if threads is not None:
            options.intra_op_num_threads = options.inter_op_num_threads = threads
        self._name = path.name
        try:
            self.session = open_session(str(path), options)
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
