"""From the run of a student to the captures of its chip, by the real commands."""

import csv
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from tests.pipeline.drawn_run import settle_run, write_drawn_run
from typer.testing import CliRunner

from hybridonn.cli.captures import app
from hybridonn.compensation.acquisition.capture_dataset import read_captures
from hybridonn.compensation.acquisition.placement import Camera
from hybridonn.compensation.acquisition.psf_import import simulate_psfs
from hybridonn.compensation.measured_captures import read_measured_captures
from hybridonn.core.errors import ArtefactError, DataError, SpecError
from hybridonn.core.files import write_arrays
from hybridonn.core.progress import Silent
from hybridonn.pipeline.captures import (
    ImportOptions,
    import_into,
    make_template,
    read_captured_design,
)
from hybridonn.pipeline.stage_folder import write_record
from hybridonn.spec import dump_spec, read_spec

SETTINGS = ("student.kernels=2", "student.kernel_size=3", "student.pooled_size=4")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_drawn_run(tmp_path_factory.mktemp("run"), SETTINGS)


def invoke(*arguments):
    done = CliRunner().invoke(app, [str(one) for one in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def capture(folder, run):
    """Play the camera: 16-bit PNG frames, three camera pixels a feature pixel, a black level."""
    design = read_captured_design(run, None, Silent())
    with (folder / "manifest.csv").open() as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        light = np.zeros((8, 8))
        if row["image_id"] == "flat":
            light += 1
        elif row["image_id"] != "dark":
            number = 2 * int(row["kernel"]) + (row["sign"] == "minus")
            light = design.simulate([row["image_id"]])[0, number] * (1 + 0.1 * number)
        border = float(row["image_id"] == "flat")
        raw = np.pad(np.kron(light, np.ones((3, 3))), 6, constant_values=border) * 5000 + 700
        Image.fromarray(raw.astype(np.uint16)).save(folder / row["frame"])
    return rows


def test_a_template_is_captured_and_imported(run, tmp_path):
    folder, out = tmp_path / "t", tmp_path / "c"
    said = invoke("template", run, "--out", folder, "--fraction", 0.02, "--test-images", 10,
                  "--apart", "--suffix", "png")  # fmt: skip
    assert "10 test images" in said
    shown = sorted(path.stem for path in (folder / "display").iterdir())
    assert "point" in shown
    rows = capture(folder, run)
    assert {row["image_id"] for row in rows} == {*shown, "dark", "flat"}
    said = invoke("import", run, folder, "--out", out, "--pixels-per-feature", 3)
    assert "0.99" in said or "1.000" in said
    assert "camera: 16 bits, right-aligned, as its files" in said
    captures = read_captures(out)
    assert len(captures) == len(shown) - 1
    assert captures.quality.min() > 0.98
    expected = 1 / (1 + 0.1 * np.arange(4))
    found = captures.gains.ravel()
    np.testing.assert_allclose(found / found[0], expected / expected[0], rtol=0.02)
    assert captures.psfs.shape == (2, 2, 1, 7, 7)
    names = {path.name for path in out.iterdir()}
    assert {"registration.png", "psfs.svg", "sub_optics.csv", "captures.json"} <= names
    assert not [name for name in names if name.startswith(".")]
    # Without the command the same data are written and returned, and nothing is drawn.
    result = import_into(run, ImportOptions(folder, camera=Camera(3.0)), tmp_path / "d")
    np.testing.assert_array_equal(result.captures.positive, captures.positive)
    assert result.designed_psfs.shape == captures.psfs.shape
    figures = {name for name in names if name.endswith((".png", ".svg", ".pdf"))}
    assert {path.name for path in (tmp_path / "d").iterdir()} == names - figures


@pytest.mark.parametrize("suffix", ["jpg", "JPEG", "webp", "", "tif/../x", "png "])
def test_frames_that_the_import_cannot_read_are_not_asked_for(run, tmp_path, suffix):
    with pytest.raises(SpecError, match=r"--suffix .*: the import reads tif, tiff, png and npy"):
        make_template(run, tmp_path / "t", fraction=0.1, test_images=1, exposure_s=0.1,
                      apart=False, suffix=suffix)  # fmt: skip
    assert not list(tmp_path.iterdir())


def test_a_suffix_is_taken_with_its_dot_and_in_capitals(run, tmp_path):
    make_template(run, tmp_path / "t", fraction=0.01, test_images=0, exposure_s=0.1,
                  apart=False, suffix=".TIF")  # fmt: skip
    frames = [line.split(",")[0] for line in (tmp_path / "t" / "manifest.csv").open()][1:]
    assert {frame.rpartition(".")[2] for frame in frames} == {"tif"}


def test_point_spread_functions_alone_are_imported(run, tmp_path):
    design = read_captured_design(run, None, Silent())
    psfs = simulate_psfs(design, 7).reshape(2, 2, 1, 7, 7) * 30
    np.save(tmp_path / "p.npy", psfs)
    said = invoke("import", run, "--psfs", tmp_path / "p.npy", "--out", tmp_path / "c")
    assert "point spread functions only" in said
    assert "compensation needs captures of images too" in said
    with pytest.raises(DataError, match="holds point spread functions alone: they say how far"):
        read_measured_captures(tmp_path / "c", design.dataset, {}, design.optics)
    captures = read_captures(tmp_path / "c")
    assert len(captures) == 0
    np.testing.assert_allclose(captures.psfs, psfs / 30, atol=1e-5)
    np.testing.assert_allclose(captures.quality, 1, atol=1e-6)


def test_nothing_to_import_is_said(run, tmp_path):
    with pytest.raises(DataError, match="nothing is given"):
        import_into(run, ImportOptions(None), tmp_path / "c")
    with pytest.raises(DataError, match="--bit-depth and --alignment are of frames"):
        import_into(run, ImportOptions(None, tmp_path / "p.npy", bit_depth=12), tmp_path / "c")


def test_an_import_that_fails_leaves_no_trace(run, tmp_path):
    np.savez(tmp_path / "a.npz", image_ids=["test-00000"], positive=np.ones((1, 2, 8, 8)),
             negative=np.ones((1, 2, 8, 8)))  # fmt: skip
    with pytest.raises(DataError, match="fewer than the 10 classes"):
        import_into(run, ImportOptions(tmp_path / "a.npz"), tmp_path / "c")
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


def test_a_template_of_another_data_set_is_refused(run, tmp_path):
    invoke("template", run, "--out", tmp_path / "t", "--fraction", 0.01, "--test-images", 0)
    path = tmp_path / "t" / "template.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"dataset": "other"}))
    with pytest.raises(DataError, match="another data set or split"):
        import_into(run, ImportOptions(tmp_path / "t", camera=Camera(1.0)), tmp_path / "c")


@pytest.mark.parametrize(
    ("kind", "value", "found"),
    [
        (
            "student",
            "0123456789abcdef",
            r"template for the student 0123456789ab, .* the student f;",
        ),
        ("metasurface", "fed", r"is a template for the metasurface fed, .* has no metasurface;"),
    ],
)
def test_a_template_of_another_student_is_refused(run, tmp_path, kind, value, found):
    invoke("template", run, "--out", tmp_path / "t", "--fraction", 0.01, "--test-images", 0)
    path = tmp_path / "t" / "template.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {kind: value}))
    with pytest.raises(DataError, match=found):
        import_into(run, ImportOptions(tmp_path / "t", camera=Camera(1.0)), tmp_path / "c")
    path.write_text("[]")
    with pytest.raises(DataError, match="holds no table"):
        import_into(run, ImportOptions(tmp_path / "t", camera=Camera(1.0)), tmp_path / "c")


def test_point_spread_functions_of_another_student_are_refused(run, tmp_path):
    design = read_captured_design(run, None, Silent())
    other = replace(design, kernels=design.kernels.flip(0).neg())
    np.save(tmp_path / "p.npy", simulate_psfs(other, 7).reshape(2, 2, 1, 7, 7))
    with pytest.raises(DataError, match="look no more like their own kernels"):
        import_into(run, ImportOptions(None, tmp_path / "p.npy"), tmp_path / "c")
    assert [path.name for path in tmp_path.iterdir()] == ["p.npy"]


def test_the_metasurface_of_a_run_is_noted(run, tmp_path):
    shutil.copytree(run, tmp_path / "r")
    assert read_captured_design(tmp_path / "r", None, Silent()).origin["metasurface"] is None
    (tmp_path / "r" / "metasurface").mkdir()
    write_record(tmp_path / "r" / "metasurface", "m", {})
    psf = {"psf": np.ones((2, 2, 1, 9, 9)), "gains": np.full((2, 2, 1), 3.0)}
    write_arrays(tmp_path / "r" / "metasurface" / "psf.npz", **psf)
    # The spec has none: that of an earlier spec does not count.
    assert read_captured_design(tmp_path / "r", None, Silent()).origin["metasurface"] is None
    spec = read_spec(None, (*SETTINGS, "optics.metasurface={}"))
    (tmp_path / "r" / "spec.yaml").write_text(dump_spec(spec))
    settle_run(tmp_path / "r", layout="f", student="f", metasurface="m")
    design = read_captured_design(tmp_path / "r", None, Silent())
    assert design.origin["metasurface"] == "m"
    # What is captured is compared with the metasurface, and weighed as its electronics do.
    assert design.simulate_images(torch.full((1, 1, 8, 8), 255, dtype=torch.uint8)).max() == 64
    np.testing.assert_allclose(design.electronic_gains(), 3)


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(ArtefactError, match="no run folder"):
        read_captured_design(tmp_path, None, Silent())


def test_a_student_that_is_not_trained_is_named(run, tmp_path):
    (tmp_path / "spec.yaml").write_text((run / "spec.yaml").read_text())
    settle_run(tmp_path)
    with pytest.raises(ArtefactError, match=r"student.stage\.json is missing"):
        read_captured_design(tmp_path, None, Silent())


def test_a_student_that_does_not_fit_its_spec_is_refused(run, tmp_path):
    shutil.copytree(run, tmp_path / "r")
    text = (run / "spec.yaml").read_text().replace("kernels: 2", "kernels: 3")
    (tmp_path / "r" / "spec.yaml").write_text(text)
    with pytest.raises(ArtefactError, match="not the spec that the stages of this run were made"):
        read_captured_design(tmp_path / "r", None, Silent())
    settle_run(tmp_path / "r", layout="f", student="f")
    with pytest.raises(ArtefactError, match="does not fit its spec"):
        read_captured_design(tmp_path / "r", None, Silent())
