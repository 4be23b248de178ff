"""Networks in 8-bit integers."""

from __future__ import annotations

import torch

from hybridonn.deployment.quantise import quantise
from hybridonn.deployment.runtime import OnnxNetwork


def test_it_is_close_to_torch_and_smaller_numbers_are_in_it(system, onnx_file, tmp_path) -> None:
    import onnx

    path = tmp_path / "backend.int8.onnx"
    quantise(onnx_file, path, system.features)
    found = OnnxNetwork(path, threads=1)([one[:3] for one in system.features])
    kinds = {one.data_type for one in onnx.load(str(path)).graph.initializer}

    assert (found - system.logits[:3]).abs().max() / system.logits.abs().max() < 0.1
    assert onnx.TensorProto.INT8 in kinds
    assert torch.isfinite(found).all()
