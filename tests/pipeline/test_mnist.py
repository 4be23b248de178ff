"""The main job on the real MNIST, by its own command, at a size that takes seconds."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_mnist_example_at_a_small_size(real_data_root, tmp_path):
    changes = {
        "data.train_images": 1000,
        "teacher.arguments": "{channels: [6, 12], hidden: 32, dropout: 0}",
        "teacher.training": "{epochs: 1, learning_rate: 0.01}",
        "training.epochs": 10,
        "training.learning_rate": 0.02,
    }
    words = [word for key, value in changes.items() for word in ("--set", f"{key}={value}")]
    spec, data = str(ROOT / "examples" / "mnist.yaml"), ["--data-root", str(real_data_root)]
    done = subprocess.run(
        [sys.executable, "-m", "hybridonn", "run", spec, "--out", "run", *data, *words],
        cwd=tmp_path,
        env=os.environ | {"HYBRIDONN_CACHE": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert results["teacher"]["accuracy"] > 0.95
    assert results["student"]["accuracy"] > 0.85
    assert results["student"]["parameters"] == {"optical": 392, "digital": 47858}
