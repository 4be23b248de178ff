"""Captures of a chip of several branches that segments: template, frames, import, read-out."""

import csv

import numpy as np
import pytest
import torch
from PIL import Image
from tests.pipeline.discs import draw_discs

from hybridonn.compensation.acquisition.capture_dataset import read_captures
from hybridonn.compensation.acquisition.placement import Camera
from hybridonn.compensation.measured_captures import read_measured_captures
from hybridonn.core.errors import DataError
from hybridonn.core.files import write_arrays, write_json, write_tensors
from hybridonn.core.progress import Silent
from hybridonn.data import load_dataset
from hybridonn.data.batches import to_scene
from hybridonn.networks.student import build_student
from hybridonn.pipeline.captures import (
    ImportOptions,
    import_into,
    make_template,
    read_captured_design,
)
from hybridonn.pipeline.from_spec import lay_out_kernels
from hybridonn.pipeline.run_record import write_run_record
from hybridonn.pipeline.stage_folder import write_record
from hybridonn.spec import dump_spec, read_spec

KERNELS = 3
SETTINGS = (
    "task=segmentation",
    "data={name: mask_folder, size_pixels: 16, colour: grey}",
    "teacher.name=u-net",
    "student={branches: [{kernels: 1, kernel_size: 3}, {kernels: 2, kernel_size: 3, binning: 4}],"
    " kernel_size: 3, backend: pyramid, hidden: [4, 4], normalisation: batch}",
)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run whose student is as it was drawn, its student and its images."""
    home = tmp_path_factory.mktemp("captured")
    folder = home / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HYBRIDONN_CACHE", str(home / "cache"))
        spec = read_spec(None, (*SETTINGS, f"data.folder={draw_discs(home / 'discs')}"))
        dataset = load_dataset(spec.data)
        student = build_student(spec.student, dataset.image_shape, 2, 0).eval()
        folder.mkdir()
        (folder / "spec.yaml").write_text(dump_spec(spec))
        layout = lay_out_kernels(spec.optics, KERNELS)
        write_json(folder / "layout" / "layout.json", layout.to_dict())
        write_tensors(folder / "student" / "weights.safetensors", student.state_dict())
        for stage in ("layout", "student"):
            write_record(folder / stage, "f", {})
        data = {"classes": list(dataset.classes), "image_shape": list(dataset.image_shape)}
        hashes = {"layout": "f", "student": "f"}
        write_run_record(folder, {"data": data, "hashes": hashes})
        yield folder, student, dataset


def take_frames(folder, design):
    """Play the camera at its own resolution: three of its pixels a pixel of the scene."""
    with (folder / "manifest.csv").open() as file:
        for row in csv.DictReader(file):
            light = np.zeros((16, 16))
            if row["image_id"] == "flat":
                light += 1
            elif row["image_id"] != "dark":
                number = 2 * int(row["kernel"]) + (row["sign"] == "minus")
                light = design.simulate([row["image_id"]])[0, number]
            border = float(row["image_id"] == "flat")
            raw = np.pad(np.kron(light, np.ones((3, 3))), 6, constant_values=border) * 5000 + 700
            Image.fromarray(raw.astype(np.uint16)).save(folder / row["frame"])


def test_frames_of_the_whole_sensor_are_read_out_as_branches(made, tmp_path):
    run, student, dataset = made
    sizes = {"fraction": 0.3, "test_images": 4, "exposure_s": 1.0}
    found = make_template(run, tmp_path / "t", **sizes, apart=True, suffix="png")
    assert found["test_images"] == 4
    take_frames(tmp_path / "t", read_captured_design(run, None, Silent()))
    import_into(run, ImportOptions(tmp_path / "t", camera=Camera(3.0)), tmp_path / "c")
    captures = read_captures(tmp_path / "c")
    assert captures.positive.shape[1:] == (KERNELS, 16, 16)
    assert captures.quality.min() > 0.98
    origin = {"dataset": dataset.checksum, "student": "f", "metasurface": None}
    pair = read_measured_captures(tmp_path / "c", dataset, origin, student.frontend)
    assert [one.shape[1:] for one in pair.test.branches] == [(1, 2, 16, 16), (2, 2, 4, 4)]
    wanted = student.frontend.capture(to_scene(pair.test.shown.images))
    scale = float((wanted[0] * pair.test.branches[0]).sum() / pair.test.branches[0].square().sum())
    for one, ideal in zip(pair.test.branches, wanted, strict=True):
        assert float((scale * one - ideal).norm() / ideal.norm()) < 0.05
    assert pair.test.shown.labels.shape == (4, 16, 16)
    with pytest.raises(DataError, match="3 kernels, but the student has 1"):
        read_measured_captures(tmp_path / "c", dataset, origin, student.frontend.branches[0])


def test_a_binned_pixel_was_measured_where_all_of_its_pixels_were(made, tmp_path):
    _, student, dataset = made
    shape = (2, KERNELS, 16, 16)
    measured = np.ones((KERNELS, 2, 16, 16), bool)
    measured[1, 0, 0, 5] = False
    arrays = {
        "image_ids": np.array(["student_train-00000", "test-00000"]),
        "positive": np.ones(shape, np.float32),
        "negative": np.zeros(shape, np.float32),
        "exposure_s": np.ones(2, np.float32),
        "gains": np.ones((KERNELS, 2), np.float32),
        "quality": np.ones((KERNELS, 2), np.float32),
        "measured": measured,
    }
    write_arrays(tmp_path / "captures.npz", **arrays)
    write_json(tmp_path / "captures.json", {})
    found = read_measured_captures(tmp_path, dataset, {}, student.frontend).train
    fine, coarse = found.covered()
    assert fine.all()
    assert (~coarse).nonzero().tolist() == [[0, 0, 0, 1]]
    assert torch.equal(found.subtract(torch.ones(KERNELS, 2))[1], torch.ones(1, 2, 4, 4))
