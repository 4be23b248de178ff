"""What the tests of all rooms share."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from hybridonn.core.memory import keep_freed_memory

keep_freed_memory()
if "PYTEST_XDIST_WORKER" in os.environ:  # many workers: one thread each
    torch.set_num_threads(1)


def pytest_collection_modifyitems(items):
    """Skip tests that are marked ``cuda`` where there is no device."""
    if torch.cuda.is_available():
        return
    skipped = pytest.mark.skip(reason="needs a CUDA device")
    for item in items:
        if item.get_closest_marker("cuda"):
            item.add_marker(skipped)


@pytest.fixture(scope="session")
def real_data_root() -> Path:
    """A data root that holds mnist/; without one, the test is skipped."""
    named = os.environ.get("HYBRIDONN_DATA")
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    places = [Path(named)] if named else []
    places.append(beside)
    for root in places:
        if any((root / "mnist").glob("train-images-idx3-ubyte*")):
            return root
    looked = " and ".join(str(root / "mnist") for root in places)
    pytest.skip(f"needs the real MNIST: looked in {looked}; set HYBRIDONN_DATA to its data root")


@pytest.fixture(scope="session")
def unpacked_data_root(tmp_path_factory) -> Path:
    """A data root that holds CIFAR-10 and DSB2018 too; without one, the test is skipped."""
    named = os.environ.get("HYBRIDONN_DATA")
    wanted = ("cifar-10-batches-bin", "dsb2018/images")
    if named and all((Path(named) / place).is_dir() for place in wanted):
        return Path(named)
    script = Path(__file__).resolve().parents[2] / "shared" / "data" / "unpack.py"
    if not script.is_file():
        pytest.skip(
            f"needs the real CIFAR-10 and DSB2018: set HYBRIDONN_DATA to a data root that holds "
            f"{' and '.join(wanted)}"
        )
    root = tmp_path_factory.mktemp("data")
    subprocess.run([sys.executable, str(script), str(root)], check=True, capture_output=True)
    return root
