"""Stage ``fabricated`` on a metasurface of the digits' student, by the real command."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from hybridonn.core.errors import OpticsError, SpecError
from hybridonn.core.files import read_arrays, read_json, write_tensors
from hybridonn.core.progress import Silent
from hybridonn.pipeline.compensate import open_trained
from hybridonn.pipeline.run import run
from hybridonn.pipeline.stage import complete
from hybridonn.pipeline.stages.fabricated import FABRICATED, make_chip
from hybridonn.spec import Fabrication, read_spec
from hybridonn.studies.tolerance import tolerate

# 128 cells a side; a kernel's pixel has 12 cells, as many speckles across as the real chip.
SMALL = (
    "optics.kernel_site_mm=0.0752",
    "optics.gap_mm=0.004",
    "optics.metasurface_width_mm=0.5",
    "optics.metasurface_height_mm=0.5",
    "optics.metasurface.sensor_distance_mm=0.2",
    "optics.metasurface.kernel_pixel_um=7.032",
    "optics.metasurface.steps=10",
    "optics.sensor.pixel_um=3.516",
    "student.kernels=3",
    "student.kernel_size=3",
    "teacher.training.epochs=2",
    "training.epochs=5",
    "estimate.train_images=100",
    "estimate.draws=1",
    "distillation.method=kd",
    "fabrication.preset=electron-beam",
    "fabrication.width_bias_nm=12",
    "fabrication.defocus_um=2",
)
QUICK = (
    "compensation.fraction=0.1",
    "compensation.methods=[]",
    "compensation.training.epochs=1",
    "compensation.distillation.method=kd",
)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("chip")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HYBRIDONN_CACHE", str(home / "cache"))
        run(read_spec(None, SMALL), home / "run")
    return home


@pytest.fixture(scope="module")
def finished(home):
    spec = read_spec(None, SMALL)
    return spec, open_trained(spec, home / "run", None, Silent())


def build(finished, errors):
    spec, trained = finished
    return make_chip(spec, trained.dataset, trained.student, trained.metasurface, errors)


def test_without_errors_the_chip_is_the_design_exactly(finished, tmp_path):
    spec, trained = finished
    chip = build(finished, Fabrication(seed=3))
    designed = read_arrays(trained.metasurface.folder / "psf.npz")
    assert np.array_equal(chip.frontend.psfs.numpy(), designed["psf"])
    assert np.array_equal(chip.frontend.gains.numpy(), designed["gains"])
    plain = spec.model_copy(update={"fabrication": Fabrication()})
    parts = (trained.dataset, trained.done, tmp_path / "fabricated", Silent())
    found = complete(FABRICATED, plain, *parts).results
    assert found["accuracy"] == pytest.approx(trained.metasurface.results["accuracy"])
    assert found["designed_accuracy"] == trained.metasurface.results["accuracy"]


def test_the_command_makes_the_pillars_and_says_what_they_cost(home):
    made = read_arrays(home / "run" / "fabricated" / "psf.npz")["psf"]
    designed = read_arrays(home / "run" / "metasurface" / "psf.npz")["psf"]
    assert made.shape == designed.shape
    assert 0.01 < np.linalg.norm(made - designed) / np.linalg.norm(designed) < 1
    assert made.min() >= 0


def test_errors_of_sub_optics_come_on_top_of_those_of_pillars(finished):
    pillars = build(finished, Fabrication(width_noise_nm=5.0)).frontend.psfs
    both = build(finished, Fabrication(width_noise_nm=5.0, brightness_fraction=0.2)).frontend.psfs
    bright = build(finished, Fabrication(brightness_fraction=0.2)).frontend.psfs
    design = build(finished, Fabrication()).frontend.psfs
    seen = design > 1e-6
    assert torch.allclose((both / pillars)[seen], (bright / design)[seen], rtol=1e-3)


def test_progress_is_told_of_every_sub_optic_and_wavelength(finished):
    spec, trained = finished
    bars = []

    class Told(Silent):
        def bar(self, label, total, done=0):
            bars.append((label, total))
            return super().bar(label, total, done)

    errors = Fabrication(bandwidth_nm=10.0)
    parts = (trained.dataset, trained.student, trained.metasurface)
    make_chip(spec, *parts, errors, Told())
    assert bars == [("pillars as fabricated", 3 * 2 * 5)]


@pytest.mark.parametrize(
    ("name", "pillars"), [("kernel_noise_fraction", True), ("width_bias_nm", False)]
)
def test_an_error_without_anything_to_act_on_is_refused(finished, tmp_path, name, pillars):
    spec, trained = finished
    spec = spec.model_copy(update={"fabrication": Fabrication.model_validate({name: 0.3})})
    if not pillars:
        optics = spec.optics.model_copy(update={"metasurface": None})
        spec = spec.model_copy(update={"optics": optics})
    parts = (trained.dataset, trained.done, tmp_path / "fabricated", Silent())
    with pytest.raises(SpecError, match=f"fabrication.{name} is 0.3"):
        complete(FABRICATED, spec, *parts)
    assert not (tmp_path / "fabricated").exists()


def test_widths_of_another_design_are_refused(finished):
    _, trained = finished
    other = read_spec(None, (*SMALL, "optics.kernel_site_mm=0.0704"))
    with pytest.raises(OpticsError, match=r"widths of shape \(3, 2, 128, 128\)"):
        build((other, trained), Fabrication(width_noise_nm=1.0))


def test_optics_that_were_trained_end_to_end_keep_their_backend(finished, tmp_path):
    spec, trained = finished
    folder = shutil.copytree(trained.metasurface.folder, tmp_path / "metasurface")
    backend = build(finished, Fabrication()).student.backend
    other = {name: torch.zeros_like(value) for name, value in backend.state_dict().items()}
    write_tensors(folder / "backend.safetensors", other)
    made = replace(trained.metasurface, folder=folder)
    moved = replace(trained, done=trained.done | {"metasurface": made})
    found = build((spec, moved), Fabrication()).student.backend.state_dict()
    assert all(torch.equal(found[name], other[name]) for name in other)


def test_one_error_at_a_time_names_the_pillars(home, tmp_path):
    spec = read_spec(None, (*SMALL, *QUICK))
    found = tolerate(spec, home / "run", 2, 0.9, tmp_path / "many", None, Silent())
    alone = {row["error"]: row for row in found["alone"]}
    assert next(iter(alone)) == "none"
    assert {"width_bias_nm", "etch_depth_fraction", "bandwidth_nm", "stray_light"} <= set(alone)
    assert not {"kernel_noise_fraction", "defocus_pixels"} & set(alone)
    designed = read_json(home / "run" / "results.json")["metasurface"]["accuracy"]
    assert alone["none"]["mean"] == pytest.approx(designed)
    assert alone["width_bias_nm"]["magnitude"] == 12
    assert alone["bandwidth_nm"]["lowest"] == alone["bandwidth_nm"]["highest"]
    assert [row["chip"] for row in found["chips"]] == [0, 1]
