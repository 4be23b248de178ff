"""Small systems of every backend: built-in ones, and one of the user's own."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from hybridonn.networks.hybrid import HybridNetwork
from hybridonn.networks.student import build_student, shape_branches, shape_outputs
from hybridonn.spec import read_spec

BRANCHES = ("student.kernels=7", "student.branches=[{kernels: 3}, {kernels: 4, binning: 2}]")
MASKS = ("task=segmentation", "data.name=mask_folder", "data.folder=.")
STATED = {
    "dense": ("student.kernels=4", "student.pooled_size=3", "student.hidden=[8]"),
    "pyramid": (*MASKS, "student.backend=pyramid", *BRANCHES, "student.hidden=[6, 8]"),
    "coarse_fine": (*MASKS, "student.backend=coarse_fine", *BRANCHES, "student.hidden=[6, 8]"),
    "upsampling": (*MASKS, "student.backend=upsampling", "student.kernels=4"),
}


class OwnBackend(nn.Module):
    """A backend as users write them."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(4)
        self.head = nn.Linear(4 * 3 * 5 * 2, 10)

    def forward(self, branches):
        (features,) = branches
        mean = nn.functional.adaptive_avg_pool2d(self.norm(features), (3, 5))
        most = nn.functional.adaptive_max_pool2d(features.abs(), (3, 5))
        return self.head(torch.cat([mean, most], 1).flatten(1))


def make_system(name: str) -> Any:
    """A hybrid network of a name, with the shapes around it, in inference mode."""
    shape = (1, 8, 8)
    if name == "own":
        optics = make_system("dense").network.frontend
        with torch.random.fork_rng():
            torch.manual_seed(0)
            network = HybridNetwork(optics, OwnBackend())
        found = SimpleNamespace(network=network, shapes=((4, 8, 8),), outputs=(10,))
    else:
        spec = read_spec(None, STATED[name])
        network = build_student(spec.student, shape, 10, 0, spec.optics, spec.task)
        found = SimpleNamespace(
            network=network,
            shapes=shape_branches(spec.student, shape),
            outputs=shape_outputs(spec.student, shape, 10, spec.task),
        )
    found.network.eval()
    found.name = name
    found.image_shape = shape
    generator = torch.Generator().manual_seed(1)
    found.images = torch.randint(0, 256, (6, *shape), generator=generator, dtype=torch.uint8)
    found.features = tuple(one.detach() for one in found.network.frontend(found.images / 255))
    found.logits = found.network.backend(found.features).detach()
    return found


@pytest.fixture(scope="session", params=[*STATED, "own"])
def system(request):
    """A system of each backend."""
    return make_system(request.param)


@pytest.fixture(scope="session")
def dense():
    """A system with the dense backend."""
    return make_system("dense")


@pytest.fixture(scope="session")
def onnx_extra():
    """Skips where the packages that write and run ONNX are not installed."""
    for name in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(name)


@pytest.fixture(scope="session")
def exported(onnx_extra, tmp_path_factory):
    """A function from the name of a system to its backend as ONNX, which is written once."""
    from hybridonn.deployment.export import export_backend

    @cache
    def export(name: str) -> Path:
        system, path = make_system(name), tmp_path_factory.mktemp(name) / "backend.onnx"
        export_backend(system.network.backend, system.shapes, path)
        return path

    return export


@pytest.fixture(scope="session")
def quantised(exported):
    """The same in 8-bit integers."""
    from hybridonn.deployment.quantise import quantise

    @cache
    def export(name: str) -> Path:
        path = exported(name).with_name("backend.int8.onnx")
        quantise(exported(name), path, make_system(name).features)
        return path

    return export


@pytest.fixture(scope="session")
def onnx_file(system, exported):
    """The backend of a system as ONNX."""
    return exported(system.name)


@pytest.fixture(scope="session")
def int8_file(system, quantised):
    """The same in 8-bit integers."""
    return quantised(system.name)
