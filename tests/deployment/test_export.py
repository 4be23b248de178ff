"""Networks as ONNX: named, of any batch, and equal to torch."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from hybridonn.core.errors import DeploymentError
from hybridonn.deployment.export import export_backend, export_hybrid, name_branches
from hybridonn.deployment.runtime import OnnxNetwork


def test_a_backend_is_equal_to_torch_for_every_batch(system, onnx_file) -> None:
    loaded = OnnxNetwork(onnx_file, threads=1)
    largest = system.logits.abs().max()

    assert loaded.names == list(name_branches(len(system.shapes)))
    for count in (1, 2, 5):
        found = loaded([one[:count] for one in system.features])
        assert (found - system.logits[:count]).abs().max() / largest < 1e-5


def test_a_backend_holds_no_pooling_of_many_nodes(system, onnx_file) -> None:
    import onnx

    assert len(onnx.load(str(onnx_file)).graph.node) < 40


def test_a_network_keeps_its_mode_and_its_weights(dense, onnx_extra, tmp_path) -> None:
    backend = dense.network.backend.train()
    before = {name: one.clone() for name, one in backend.state_dict().items()}
    export_backend(backend, dense.shapes, tmp_path / "again.onnx")

    assert backend.training
    assert all(torch.equal(one, before[name]) for name, one in backend.state_dict().items())
    backend.eval()


def test_a_whole_network_takes_a_scene(dense, onnx_extra, tmp_path) -> None:
    export_hybrid(dense.network, dense.image_shape, tmp_path / "hybrid.onnx")
    loaded = OnnxNetwork(tmp_path / "hybrid.onnx", threads=1)
    found = loaded.predict([dense.images / 255])

    assert loaded.names == ["scene"]
    assert (found - dense.logits).abs().max() / dense.logits.abs().max() < 1e-5


class Spectrum(nn.Module):
    """ONNX has no determinant of complex numbers."""

    def forward(self, branches):
        return torch.linalg.eigvals(branches[0]).abs().sum(1)


def test_what_onnx_cannot_say_is_refused_in_a_sentence(onnx_extra, tmp_path) -> None:
    with pytest.raises(DeploymentError, match=r"Spectrum cannot be written as ONNX: .*built-in"):
        export_backend(Spectrum(), ((2, 4, 4),), tmp_path / "backend.onnx")
    assert not (tmp_path / "backend.onnx").exists()


class Double(nn.Module):
    """Reckons in double, as users do who take a constant of numpy."""

    def forward(self, branches):
        return branches[0].mean((2, 3)).double() / 3


class OneByOne(nn.Module):
    """Takes the number of images for a constant while it is traced."""

    def forward(self, branches):
        return branches[0].reshape(int(branches[0].shape[0]), -1)


def test_outputs_are_in_single_precision(onnx_extra, tmp_path) -> None:
    """Outputs in double were written over twice their place by the C file."""
    export_backend(Double(), ((2, 4, 4),), tmp_path / "backend.onnx")
    features = torch.rand(3, 2, 4, 4)
    found = OnnxNetwork(tmp_path / "backend.onnx")([features])
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, features.mean((2, 3)) / 3)


def test_weights_in_double_stay_so(onnx_extra, tmp_path) -> None:
    """They were made single, so that onnxruntime could not load the file: a traceback."""
    backend = InDouble(nn.Linear(32, 5).double())
    export_backend(backend, ((2, 4, 4),), tmp_path / "backend.onnx")
    features = torch.rand(3, 2, 4, 4)
    found = OnnxNetwork(tmp_path / "backend.onnx")([features])
    torch.testing.assert_close(found, backend((features,)).float().detach())


class InDouble(nn.Module):
    """A layer whose weights are in double."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, branches):
        return self.layer(branches[0].flatten(1).double())


def test_a_batch_of_one_size_alone_is_refused(onnx_extra, tmp_path) -> None:
    with pytest.raises(DeploymentError, match="takes the number of images for a constant"):
        export_backend(OneByOne(), ((2, 4, 4),), tmp_path / "backend.onnx")
    assert not (tmp_path / "backend.onnx").exists()


def test_what_onnxruntime_cannot_load_is_one_sentence(onnx_extra, tmp_path) -> None:
    (tmp_path / "backend.onnx").write_bytes(b"no network")
    with pytest.raises(DeploymentError, match=r"backend\.onnx cannot be run by onnxruntime"):
        OnnxNetwork(tmp_path / "backend.onnx")
