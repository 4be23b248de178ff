"""Stage ``metasurface`` on the real digits: numbers, artefacts, interruption, refusals."""

import csv
from dataclasses import replace

import numpy as np
import pytest
import torch

from hybridonn.core.errors import OpticsError, SpecError
from hybridonn.core.files import read_arrays, read_tensors, write_tensors
from hybridonn.core.progress import Silent
from hybridonn.data import load_dataset
from hybridonn.optics.meta_atoms.pillars import PillarLibrary
from hybridonn.pipeline.result_keys import list_undescribed
from hybridonn.pipeline.stage import complete
from hybridonn.pipeline.stage_table import make_stages
from hybridonn.pipeline.stages import metasurface as stage_module
from hybridonn.pipeline.stages.alignment import ALIGNMENT
from hybridonn.pipeline.stages.metasurface import METASURFACE
from hybridonn.pipeline.stages.student import PLAIN_STUDENT
from hybridonn.pipeline.stages.teacher import TEACHER
from hybridonn.pipeline.stages.teacher_targets import TEACHER_TARGETS
from hybridonn.spec import read_spec

# 128 cells a side; a kernel's pixel has 12 cells, as many speckles across as the real chip.
SMALL = (
    "optics.kernel_site_mm=0.0752",
    "optics.gap_mm=0.004",
    "optics.metasurface_width_mm=0.5",
    "optics.metasurface_height_mm=0.5",
    "optics.metasurface.sensor_distance_mm=0.2",
    "optics.metasurface.kernel_pixel_um=7.032",
    "optics.metasurface.steps=20",
    "optics.sensor.pixel_um=3.516",
    "student.kernels=3",
    "student.kernel_size=3",
    "teacher.training.epochs=2",
    "training.epochs=5",
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    home = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HYBRIDONN_CACHE", str(home / "cache"))
        spec = read_spec(None, SMALL)
        dataset = load_dataset(spec.data)
        shared = (TEACHER, ALIGNMENT, TEACHER_TARGETS, PLAIN_STUDENT)
        return dataset, make_stages(spec, dataset, home, Silent(), shared)


def make(trained, folder, *settings):
    dataset, done = trained
    spec = read_spec(None, (*SMALL, *settings))
    return complete(METASURFACE, spec, dataset, done, folder, Silent())


@pytest.fixture(scope="module")
def made(trained, tmp_path_factory):
    return make(trained, tmp_path_factory.mktemp("made") / "metasurface")


def test_the_metasurface_does_what_the_kernels_do(made, trained):
    found = made.results
    assert list_undescribed({"metasurface": found}) == []
    assert found["kernel_error"] < 0.15
    assert found["ideal_accuracy"] == trained[1]["student"].results["accuracy"]
    assert abs(found["accuracy"] - found["ideal_accuracy"]) < 0.06
    assert abs(found["camera_accuracy"] - found["accuracy"]) < 0.03
    assert 0.2 < found["efficiency"] < 1
    assert len(found["psf_residual"]) == 1
    assert 0 < found["crosstalk"] <= found["crosstalk_worst"] < 1
    assert found["strategy"] == "kernels-first"


def test_it_says_what_the_chip_is_made_of(made):
    found = made.results
    assert (found["material"], found["substrate"]) == ("Si3N4/Beliaev", "SiO2/Malitson")
    assert (found["height_nm"], found["period_nm"], found["cell_nm"]) == pytest.approx(
        (750, 293, 586)
    )
    assert 65 <= found["narrowest_nm"] < found["widest_nm"] <= 237
    assert found["aperture_mm"] == pytest.approx(128 * 586e-6)
    half = found["aperture_mm"] / 2
    assert found["numerical_aperture"] == pytest.approx(half / (half**2 + 0.2**2) ** 0.5)
    library = PillarLibrary.read_csv(made.folder / "library.csv")
    assert library.wavelengths_m.tolist() == pytest.approx([532e-9])
    assert library.height_m == pytest.approx(750e-9)


def test_it_leaves_widths_pictures_and_a_table(made):
    widths = read_arrays(made.folder / "widths.npz")
    assert widths["widths"].shape == (3, 2, 128, 128)
    assert widths["widths"].dtype == np.uint16
    assert widths["widths"].min() >= 65
    assert widths["widths"].max() <= 237
    assert (widths["cell_pillars"], round(float(widths["period_m"]) * 1e9)) == (2, 293)
    pictures = read_arrays(made.folder / "psf.npz")
    window = made.results["window_pixels"]
    assert pictures["psf"].shape == (3, 2, 1, window, window)
    assert pictures["target"].shape == (3, 2, 1, 3, 3)
    assert pictures["fine_psf"].shape == pictures["fine_target"].shape == (3, 2, 1, 84, 84)
    lit = pictures["psf"] * pictures["gains"][..., None, None]
    gained = lit[:, 0] - lit[:, 1]
    middle = window // 2
    block = gained[..., middle - 1 : middle + 2, middle - 1 : middle + 2][..., ::-1, ::-1]
    assert block.shape == (3, 1, 3, 3)
    with (made.folder / "sub_optics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["kernel"], row["part"]) for row in rows[:3]] == [
        ("0", "positive"),
        ("0", "negative"),
        ("1", "positive"),
    ]
    assert not list(made.folder.glob("checkpoint*"))


def test_the_kernels_are_those_of_the_student(made, trained):
    pictures = read_arrays(made.folder / "psf.npz")
    kernels = read_tensors(trained[1]["student"].folder / "weights.safetensors")[0]
    wanted = next(value for name, value in kernels.items() if name.startswith("frontend"))
    lit = pictures["psf"] * pictures["gains"][..., None, None]
    signed = lit[:, 0] - lit[:, 1]
    middle = signed.shape[-1] // 2
    got = signed[..., middle - 1 : middle + 2, middle - 1 : middle + 2][..., ::-1, ::-1]
    errors = np.linalg.norm((got - wanted.numpy()).reshape(3, -1), axis=1)
    errors /= np.linalg.norm(wanted.numpy().reshape(3, -1), axis=1)
    assert made.results["kernel_error"] == pytest.approx(errors.mean(), abs=1e-4)


def test_an_interrupted_design_goes_on_to_the_same_result(trained, made, tmp_path, monkeypatch):
    design, calls = stage_module.design, []

    def stopped(targets, design_context, seeds, *rest):
        calls.append(len(seeds))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return design(targets, design_context, seeds, *rest)

    one_by_one = "optics.metasurface.memory_gb=0.001"
    monkeypatch.setattr(stage_module, "design", stopped)
    with pytest.raises(KeyboardInterrupt):
        make(trained, tmp_path / "metasurface", one_by_one)
    assert not (tmp_path / "metasurface").exists()
    again = make(trained, tmp_path / "metasurface", one_by_one)
    assert calls == [1, 1, 1, 1]  # the two that were done are kept
    a, b = (read_arrays(stage.folder / "widths.npz")["widths"] for stage in (again, made))
    assert np.array_equal(a, b)
    assert again.results == made.results
    assert make(trained, tmp_path / "metasurface", one_by_one).reused


def test_end_to_end_goes_on_from_kernels_first(trained, made, tmp_path):
    settings = ("optics.strategy=end-to-end", "optics.metasurface.end_to_end_epochs=1")
    found = make(trained, tmp_path / "metasurface", *settings).results
    assert found["kernels_first_accuracy"] == made.results["accuracy"]
    assert found["accuracy"] > found["kernels_first_accuracy"] - 0.03
    assert (tmp_path / "metasurface" / "history.csv").exists()
    assert not list(tmp_path.rglob("*checkpoint*"))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("optics.wavelengths_nm=[635,532]", "1 channels"),
        ("optics.wavelengths_nm=[600]", "600 nm"),
        ("optics.metasurface.kernel_pixel_um=7", "whole number"),
        ("optics.metasurface.sensor_distance_mm=0.02", "carry less than"),
        ("optics.metasurface.min_gap_nm=250", "nm"),
        ("optics.sensor.pixel_um=3", "camera pixels"),
        ("optics.kernel_site_mm=0.005", "holds 8 cells"),
    ],
)
def test_what_cannot_be_made_is_refused_and_leaves_nothing(trained, tmp_path, setting, message):
    with pytest.raises((OpticsError, SpecError), match=message):
        make(trained, tmp_path / "metasurface", setting)
    assert not (tmp_path / "metasurface").exists()


def test_kernels_of_zero_are_refused(trained, tmp_path):
    dataset, done = trained
    student = done["student"]
    tensors, notes = read_tensors(student.folder / "weights.safetensors")
    dark = {n: torch.zeros_like(v) if n.startswith("frontend") else v for n, v in tensors.items()}
    write_tensors(tmp_path / "student" / "weights.safetensors", dark, notes)
    student = replace(student, folder=tmp_path / "student", fingerprint="dark")
    with pytest.raises(OpticsError, match="3 of 3 kernels are zero everywhere"):
        make((dataset, done | {"student": student}), tmp_path / "metasurface")
