"""A small deployed system, and its page served on this machine."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.served import find_port, serve_apart

from hybridonn.data.readers.image_files import Target
from hybridonn.deployment.export import export_backend, export_hybrid
from hybridonn.deployment.manifest import BranchLayout, Manifest, write_manifest
from hybridonn.networks.student import build_student, shape_branches
from hybridonn.spec import read_spec

# As many numbers as the systems of MNIST and of CIFAR-10 have, with random weights.
SYSTEMS = {
    "mnist": ((1, 28, 28), ("student.kernels=16", "student.hidden=[160]")),
    "cifar10": ((3, 32, 32), ("student.kernels=64", "student.kernel_size=7")),
}


def write_system(folder: Path, name: str):
    """The files of a deployed system that answers images."""
    from hybridonn.core.files import checksum
    from hybridonn.deployment.network_files import BACKEND, HYBRID
    from hybridonn.deployment.predictor import Predictor
    from hybridonn.pipeline.predict import System

    shape, settings = SYSTEMS[name]
    spec = read_spec(None, settings)
    network = build_student(spec.student, shape, 10, 0, spec.optics, spec.task).eval()
    shapes = shape_branches(spec.student, shape)
    export_backend(network.backend, shapes, folder / BACKEND)
    export_hybrid(network, shape, folder / HYBRID)
    manifest = Manifest(
        run=name,
        task="classification",
        metric="accuracy",
        classes=tuple("0123456789"),
        image_shape=shape,
        branches=(BranchLayout("branch_0", shapes[0], 1),),
        gains=((1.0, 1.0),) * shapes[0][0],
        optics="student",
        backend="student",
        stages={},
        version="0.1.0",
        files={name: checksum(folder / name) for name in (BACKEND, HYBRID)},
    )
    write_manifest(folder, manifest)
    return System(Predictor(folder), Target(shape[1], shape[2], shape[0] == 1), False)


@pytest.fixture(scope="session")
def system(tmp_path_factory):
    """One as for MNIST."""
    need_packages()
    return write_system(tmp_path_factory.mktemp("mnist"), "mnist")


def need_packages() -> None:
    for name in ("onnx", "onnxscript", "onnxruntime", "nicegui"):
        pytest.importorskip(name)


@pytest.fixture(scope="session")
def page(system) -> Iterator[SimpleNamespace]:
    """The page of the browser's camera."""
    import uvicorn

    from hybridonn.live.page import make_app

    port = find_port()
    app = make_app(system, None, port)
    server = uvicorn.Server(uvicorn.Config(app, "127.0.0.1", port, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.02)
    yield SimpleNamespace(port=port, url=f"http://127.0.0.1:{port}", system=system)
    server.should_exit = True
    thread.join(10)


SERVE = """
from pathlib import Path
from hybridonn.data.readers.image_files import Target
from hybridonn.deployment.predictor import Predictor
from hybridonn.live.page import serve
from hybridonn.pipeline.predict import System
serve(System(Predictor(Path({folder!r})), Target(32, 32, False), False), None, {port})
"""


@pytest.fixture(scope="session")
def colour_page(tmp_path_factory) -> Iterator[SimpleNamespace]:
    """The page of a system as for CIFAR-10, in a process of its own: NiceGUI serves one each."""
    need_packages()
    folder, port = tmp_path_factory.mktemp("cifar10"), find_port()
    system = write_system(folder, "cifar10")
    code = SERVE.format(folder=str(folder), port=port)
    with serve_apart(code, port, seconds=60) as url:
        yield SimpleNamespace(port=port, url=url, system=system)
