"""Students with several branches: one chip of all their kernels, from the spec to the file."""

import csv

import numpy as np
import pytest
import torch
from tests.pipeline.discs import draw_discs

from hybridonn.core.files import read_arrays
from hybridonn.core.progress import Silent
from hybridonn.data import load_dataset
from hybridonn.networks.frontends.parallel import ParallelFrontend
from hybridonn.networks.student import build_student
from hybridonn.pipeline.chip import list_readouts, plan_chip
from hybridonn.pipeline.compensate import open_trained
from hybridonn.pipeline.layout_file import export_layout
from hybridonn.pipeline.run import run
from hybridonn.pipeline.stage import complete
from hybridonn.pipeline.stage_table import make_stages
from hybridonn.pipeline.stages.alignment import ALIGNMENT
from hybridonn.pipeline.stages.compensated import PLAIN_COMPENSATED
from hybridonn.pipeline.stages.fabricated import FABRICATED
from hybridonn.pipeline.stages.metasurface import METASURFACE
from hybridonn.pipeline.stages.student import STUDENT
from hybridonn.pipeline.stages.teacher import TEACHER
from hybridonn.pipeline.stages.teacher_targets import TEACHER_TARGETS
from hybridonn.spec import Fabrication, Student, read_spec

# 160 cells a side, 6 in a pixel of the scene: the largest kernel covers 9 pixels of it.
SMALL = (
    "name=discs",
    "task=segmentation",
    "data={name: mask_folder, size_pixels: 16, colour: rgb}",
    "optics.kernel_site_mm=0.0938",
    "optics.gap_mm=0.004",
    "optics.metasurface_width_mm=0.5",
    "optics.metasurface_height_mm=0.5",
    "optics.metasurface.sensor_distance_mm=0.26",
    "optics.metasurface.kernel_pixel_um=3.516",
    "optics.sensor.pixel_um=1.758",
    "student={branches: [{kernels: 1}, {kernels: 2, binning: 2}, {kernels: 1, binning: 4}], "
    "backend: pyramid, normalisation: batch, hidden: [4, 6, 8]}",
    "teacher.name=u-net",
    "teacher.arguments={width: 4, depth: 2}",
    "teacher.training={epochs: 2, batch_size: 8, learning_rate: 0.004}",
    "training={epochs: 6, batch_size: 8, learning_rate: 0.01}",
    "estimate={draws: 1, train_images: 8, test_images: 4}",
)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """The settings of a chip for bright discs on dark ground, and their masks, in a folder."""
    folder = draw_discs(tmp_path_factory.mktemp("discs"))
    return (*SMALL, f"data.folder={folder}")


@pytest.fixture(scope="module")
def made(small, tmp_path_factory):
    """A finished run and its results."""
    home = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HYBRIDONN_CACHE", str(home / "cache"))
        return home / "run", run(read_spec(None, small), home / "run")


def test_the_chip_does_what_the_kernels_of_all_branches_do(made):
    folder, results = made
    found = results["metasurface"]
    assert found["ideal_miou"] == results["student"]["miou"]
    assert abs(found["miou"] - found["ideal_miou"]) < 0.25
    assert {"camera_miou", "crosstalk_miou"} <= set(found)
    assert found["sub_optics"] == 8
    assert len(found["kernel_error_by_branch"]) == 3
    assert max(found["kernel_error_by_branch"]) < 0.25
    with (folder / "metasurface" / "sub_optics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["binning"] for row in rows] == [*2 * "1", *4 * "2", *2 * "4"]
    by_kernel = [float(row["kernel_error"]) for row in rows[::2]]
    assert found["kernel_error_by_branch"][1] == pytest.approx(np.mean(by_kernel[1:3]))
    assert found["kernel_error"] == pytest.approx(np.mean(by_kernel))


def test_a_coarse_kernel_lies_on_the_sensor_as_spots_so_many_pixels_apart(made):
    folder, _ = made
    pictures = read_arrays(folder / "metasurface" / "psf.npz")
    kernels = np.load(folder / "student" / "kernels.npz")["kernels"]
    assert pictures["target"].shape == (4, 2, 3, 9, 9)
    assert pictures["sizes"].tolist() == [3, 5, 5, 9]
    assert pictures["binnings"].tolist() == [1, 2, 2, 4]
    assert pictures["shown"].tolist() == [0, 1, 3, 2]
    lit = pictures["psf"] * pictures["gains"][..., None, None]
    got = lit[:, 0] - lit[:, 1]
    middle = got.shape[-1] // 2
    for kernel, (size, step) in enumerate(
        zip(pictures["sizes"], pictures["binnings"], strict=True)
    ):
        half = size // 2
        block = got[kernel, :, middle - half : middle + half + 1, middle - half : middle + half + 1]
        spots = block[:, ::step, ::step][:, ::-1, ::-1]
        missed = np.linalg.norm(spots - kernels[kernel]) / np.linalg.norm(kernels[kernel])
        assert missed < 0.25


def test_the_report_shows_a_kernel_of_each_branch(made):
    folder, _ = made
    text = (folder / "report.html").read_text("utf-8")
    assert '<section id="optics">' in text
    assert "kernel error at 1/4 resolution" in text
    assert (folder / "figures" / "optics.png").exists()


def test_a_chip_without_errors_is_the_design_and_one_with_errors_is_compensated(
    small, made, tmp_path
):
    folder, results = made
    spec = read_spec(
        None,
        (
            *small,
            "fabrication.preset=electron-beam",
            "fabrication.width_bias_nm=15",
            "fabrication.bandwidth_nm=0",
            "fabrication.wavelength_offset_nm=0",
            "fabrication.defocus_um=2",
            "compensation={fraction: 1, methods: [], twin_fraction: 0, judged_fraction: 0}",
            "compensation.training={epochs: 1, batch_size: 4}",
            "compensation.distillation.method=none",
        ),
    )
    trained = open_trained(spec, folder, None, Silent())
    plain = spec.model_copy(update={"fabrication": Fabrication()})
    found = {
        name: complete(stage, own, trained.dataset, trained.done, tmp_path / name, Silent())
        for name, stage, own in (
            ("plain", FABRICATED, plain),
            ("fabricated", FABRICATED, spec),
            ("compensated", PLAIN_COMPENSATED, spec),
        )
    }
    designed = results["metasurface"]["miou"]
    assert found["plain"].results["miou"] == pytest.approx(designed, abs=0.01)
    assert found["plain"].results["designed_miou"] == designed
    chips = [read_arrays(found[name].folder / "psf.npz")["psf"] for name in ("plain", "fabricated")]
    assert chips[0].shape == chips[1].shape == (4, 2, 3, *chips[0].shape[-2:])
    assert 0.01 < np.linalg.norm(chips[1] - chips[0]) / np.linalg.norm(chips[0]) < 1
    treated = found["compensated"].results
    assert treated["uncompensated_miou"] == pytest.approx(found["fabricated"].results["miou"])
    assert treated["calibrated_miou"] > treated["uncompensated_miou"] - 0.02


def test_its_layout_file_holds_every_sub_optic(made, tmp_path):
    folder, _ = made
    exported = export_layout(folder, tmp_path / "chip.oas")
    assert exported.path.exists()
    widths = read_arrays(folder / "metasurface" / "widths.npz")["widths"]
    assert widths.shape == (4, 2, 160, 160)
    assert exported.summary.pillars == 4 * np.count_nonzero(widths)


def test_end_to_end_trains_the_pillars_of_all_branches(small, made, tmp_path, monkeypatch):
    folder, results = made
    monkeypatch.setenv("HYBRIDONN_CACHE", str(folder.parent / "cache"))
    more = (
        "optics.strategy=end-to-end",
        "optics.metasurface.end_to_end_epochs=2",
        "optics.metasurface.end_to_end_learning_rate=0.003",
    )
    spec = read_spec(None, (*small, *more))
    dataset, before = load_dataset(spec.data), (TEACHER, ALIGNMENT, TEACHER_TARGETS, STUDENT)
    done = make_stages(spec, dataset, folder, Silent(), before)
    assert all(stage.reused for stage in done.values())
    place = tmp_path / "metasurface"
    found = complete(METASURFACE, spec, dataset, done, place, Silent()).results
    assert found["kernels_first_miou"] == pytest.approx(results["metasurface"]["miou"])
    assert found["miou"] > found["kernels_first_miou"] - 0.1
    assert len(found["kernel_error_by_branch"]) == 3
    first, last = (
        read_arrays(place / "metasurface" / "widths.npz")["widths"] for place in (folder, tmp_path)
    )
    assert all((some[0] != some[1]).any() for some in zip(first, last, strict=True))


@pytest.mark.parametrize("name", ["polychromatic_segmentation", "extreme_meta"])
def test_the_chips_of_the_paper_have_their_kernels_in_order(name):
    spec = read_spec(None, (f"student={{name: {name}}}", "task=segmentation", "data.name=dsb2018",
                            "optics.metasurface={}", "optics.metasurface_width_mm=11",
                            "optics.metasurface_height_mm=11"))  # fmt: skip
    network = build_student(spec.student, (3, 128, 128), 2, 0)
    assert isinstance(network.frontend, ParallelFrontend)
    chip = plan_chip(spec, network.frontend.sensor_kernels(), (3, 128, 128))
    assert [branch.binning for branch in chip.branches] == list(network.frontend.binnings)
    assert [b.kernels.stop for b in chip.branches][-1] == len(chip.targets.parts) == 56
    for branch, module in zip(chip.branches, network.frontend.branches, strict=True):
        own = chip.own_targets(branch)
        kernel = (own.parts[:, 0] - own.parts[:, 1]) * own.scale[..., None, None]
        wanted = module.signed_kernels().detach()  # pyright: ignore[reportCallIssue]
        spots = kernel.flip(-1, -2)[..., :: branch.binning, :: branch.binning]
        torch.testing.assert_close(spots, wanted)
        assert own.parts.shape[-1] == branch.size


def test_a_student_of_one_resolution_is_one_branch():
    (branch,) = list_readouts(Student(kernels=5, kernel_size=7))
    assert (branch.kernels, branch.size, branch.binning) == (slice(0, 5), 7, 1)
