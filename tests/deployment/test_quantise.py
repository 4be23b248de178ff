"""Networks in 8-bit integers."""

from __future__ import annotations

import torch

from hybridonn.deployment.runtime import OnnxNetwork


def test_it_is_close_to_torch_and_smaller_numbers_are_in_it(system, int8_file) -> None:
    import onnx

    found = OnnxNetwork(int8_file, threads=1)([one[:3] for one in system.features])
    kinds = {one.data_type for one in onnx.load(str(int8_file)).graph.initializer}

    assert (found - system.logits[:3]).abs().max() / system.logits.abs().max() < 0.1
    assert onnx.TensorProto.INT8 in kinds
    assert torch.isfinite(found).all()
