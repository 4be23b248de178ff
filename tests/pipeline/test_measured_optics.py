"""A run behind optics that exist: it travels without the file that was measured."""

import numpy as np
import pytest

from hybridonn.core.progress import Silent
from hybridonn.pipeline.loaded_run import load_run
from hybridonn.pipeline.run import run
from hybridonn.pipeline.run_folder import read_run_spec
from hybridonn.spec import read_spec

SETTINGS = (
    "optics.frontend=measured",
    "student.kernels=2",
    "student.hidden=[8]",
    "data.train_images=100",
    "distillation.method=none",
    "training.epochs=1",
    "teacher.training.epochs=1",
    "fabrication={shift_pixels: 0.5, kernel_noise_fraction: 0.1}",
    "compensation={training: {epochs: 1}}",
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("measured")
    psfs = np.random.default_rng(0).random((2, 2, 6, 7))
    psfs[1, 1] = 0
    np.savez(folder / "mine.npz", psfs=psfs)
    place = f"optics.measured={{psfs: {folder / 'mine.npz'}, pixels_per_scene_pixel: 2}}"
    results = run(read_spec(None, (*SETTINGS, place)), folder / "run", progress=Silent())
    (folder / "mine.npz").unlink()
    return folder / "run", results


def test_it_says_how_the_optics_were_read_and_keeps_them(finished):
    folder, results = finished
    assert "2 kernels, 1 of them with a negative sign" in results["student"]["optics"][0]
    assert results["student"]["parameters"]["optical"] == 0
    assert {"fabricated", "compensated"} <= set(results)
    assert "which do not train" in (folder / "report.html").read_text("utf-8")


def test_it_travels_without_the_file(finished, tmp_path):
    folder, _ = finished
    moved = folder.rename(tmp_path / "moved")
    try:
        spec = read_run_spec(moved)
        assert spec.optics.measured.psfs == moved / "student" / "measured_psfs.npz"
        optics = load_run(moved).frontend()
        assert optics.kernels == 2
        assert optics.read.tolist() == [[True, True], [True, False]]
    finally:
        moved.rename(folder)
