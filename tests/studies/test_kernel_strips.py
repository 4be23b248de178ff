"""The kernel of an estimate in strips, one after another in any process."""

import pytest

from hybridonn.core.progress import Silent
from hybridonn.pipeline.run import estimate
from hybridonn.spec import read_spec
from hybridonn.studies.kernel_strips import _share_kernel, estimate_on_workers
from hybridonn.studies.workers import HERE, Workers
from hybridonn.tangent.infinite import kernels

SMALL = ("data.train_images=60", "estimate.test_images=20")
INFINITE = (*SMALL, "estimate.kernels=infinite")


@pytest.fixture(autouse=True)
def small_tiles(tmp_path, monkeypatch):
    monkeypatch.setenv("HYBRIDONN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(kernels, "TILE", 32)


def refuse(*_):
    raise AssertionError("a tile is computed")


def test_an_estimate_finds_all_tiles_of_its_strips_and_gives_the_same_numbers(
    tmp_path, monkeypatch
):
    spec = read_spec(None, INFINITE)
    alone = estimate(spec, tmp_path / "alone", None)["estimate"]
    monkeypatch.setenv("HYBRIDONN_CACHE", str(tmp_path / "other"))
    shared = tmp_path / "shared"
    _share_kernel(spec, shared, None, Silent(), False, HERE)
    monkeypatch.setattr(kernels, "_tile", refuse)
    found = estimate(spec, shared, None)["estimate"]
    assert found | {"seconds": 0} == alone | {"seconds": 0}
    assert sorted(path.name for path in (shared / "estimate").iterdir()) == [
        "learning_curve.csv",
        "scores.npz",
        "stage.json",
    ]
    _share_kernel(spec, shared, None, Silent(), False, HERE)  # nothing is left to do
    assert not (shared / ".estimate.part").exists()


def test_drawn_kernels_are_said_to_have_nothing_to_share(tmp_path):
    said = []

    class Says(Silent):
        def say(self, text):
            said.append(text)

    spec = read_spec(None, (*SMALL, "estimate.draws=1"))
    found = estimate_on_workers(spec, tmp_path, None, Says(), workers=Workers(2))
    assert "workers share the exact kernel of estimate.kernels: infinite" in said[0]
    assert found["estimate"]["accuracy"] > 0.5
