"""What the tests of all rooms share."""

import os
from pathlib import Path

import pytest
import torch

if "PYTEST_XDIST_WORKER" in os.environ:  # many workers: one thread each
    torch.set_num_threads(1)


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
