"""The main job of detection, on drawn blocks."""

import csv
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from PIL import Image
from tests.pipeline.blocks import CLASSES, draw_blocks

from hybridonn.core.errors import DataError, DeploymentError, SpecError
from hybridonn.core.files import read_arrays
from hybridonn.data.load import load_dataset
from hybridonn.data.readers.image_files import Target
from hybridonn.deployment.predictor import Answer
from hybridonn.live.page import make_app
from hybridonn.pipeline.dataset_checks import refuse_dataset, say_unseen
from hybridonn.pipeline.loaded_run import predict
from hybridonn.pipeline.predict import System, predict_files
from hybridonn.pipeline.preflight import refuse_unread
from hybridonn.pipeline.result_keys import list_undescribed
from hybridonn.pipeline.run import run
from hybridonn.pipeline.stages.estimate import refuse_unestimated
from hybridonn.spec import read_spec
from hybridonn.tasks.detection import Detection

EXAMPLE = Path(__file__).parents[2] / "examples" / "bccd.yaml"
QUICK = (
    "data.name=box_csv",
    "data.size_pixels=32",
    "data.skip_bad=false",
    "optics.metasurface_width_mm=4",
    "optics.metasurface_height_mm=4",
    "student.branches=[{kernels: 2, binning: 4}, {kernels: 2, binning: 8}]",
    "student.hidden=[4, 4]",
    "teacher.arguments={width: 2, depth: 3}",
    "teacher.training.epochs=2",
    "teacher.training.augmentation.crop_pixels=2",
    "training.epochs=2",
    "training.views=2",
    "training.augmentation.crop_pixels=2",
    "distillation.method=ntkd",
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run of blocks with its results, its folder and the folder of its images."""
    place = tmp_path_factory.mktemp("blocks")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HYBRIDONN_CACHE", str(place / "cache"))
        images = draw_blocks(place / "images")
        spec = read_spec(EXAMPLE, (f"data.folder={images}", *QUICK))
        yield run(spec, place / "run"), place / "run", images


def test_the_whole_job_on_blocks(finished):
    results, folder, _ = finished
    assert list_undescribed(results) == []
    for name in ("teacher", "student"):
        assert 0 <= results[name]["ap50_images"] <= 1
        assert 0 <= results[name]["ap50"] <= 1
        stored = read_arrays(folder / name / "predictions.npz")
        assert stored["predicted"].shape == (len(stored["labels"]), 500, 6)
    page = (folder / "report.html").read_text()
    assert "Boxes over test images" in page
    assert "AP50" in page


class Seer:
    """A deployed network that sees two objects in every image."""

    manifest = SimpleNamespace(classes=CLASSES, run="blocks", task="detection")
    task, takes_pictures = Detection(), True

    def answer_picture(self, image):
        boxes = torch.tensor([[1.0, 2, 3, 9, 12, 0.9], [0.0, 10, 3, 20, 12, 0.4]])
        return Answer(boxes, "", None, 1.0, boxes=boxes)


def test_boxes_of_an_image_are_counted_written_and_drawn(finished, tmp_path):
    image = finished[2] / "images" / "0.png"
    system = System(cast("Any", Seer()), Target(32, 32, grey=True), fits=False)
    (row,) = predict_files(system, [image], tmp_path)
    assert (row["count_bright"], row["count_dark"]) == (1, 1)
    with Path(row["boxes"]).open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [one["class"] for one in table] == ["dark", "bright"]
    assert [float(table[0][edge]) for edge in ("xmin", "ymin", "xmax", "ymax")] == [2, 3, 9, 12]
    drawn = Image.open(row["drawn"])
    assert drawn.size == (1024, 1024)
    assert drawn.getpixel((2 * 32, 5 * 32)) != drawn.getpixel((6 * 32, 11 * 32))


def test_training_images_without_any_object_are_refused(finished):
    spec = read_spec(EXAMPLE, (f"data.folder={finished[2]}", *QUICK))
    dataset = load_dataset(spec.data)
    refuse_dataset(spec, dataset)
    labels = torch.full((len(dataset.student_train), 1, 6), -1.0)
    empty = dataset.with_part("student_train", replace(dataset.student_train, labels=labels))
    with pytest.raises(DataError, match="none of the 17 training images of images holds an object"):
        refuse_dataset(spec, empty)


def test_a_class_that_one_part_does_not_show_is_said(finished):
    dataset = load_dataset(read_spec(EXAMPLE, (f"data.folder={finished[2]}", *QUICK)).data)
    labels = dataset.test.labels.clone()
    labels[..., 0] = labels[..., 0].clamp_max(0)  # no box of class 1
    said = []
    told = cast("Any", SimpleNamespace(say=said.append))
    say_unseen(dataset, told)
    assert said == []
    say_unseen(dataset.with_part("test", replace(dataset.test, labels=labels)), told)
    assert said == [
        "images: no test image shows the class dark, so that no number says how well it is found"
    ]


def test_the_live_page_says_that_it_draws_no_boxes():
    pytest.importorskip("nicegui")
    system = System(cast("Any", Seer()), Target(32, 32, grey=True), fits=False)
    with pytest.raises(DeploymentError, match="blocks answers task: detection, which the page"):
        make_app(system, None, 9000)


def test_a_student_answers_boxes(finished):
    _, folder, images = finished
    found = predict(folder, np.array(Image.open(images / "images" / "0.png"))[None])
    assert found.predicted.shape == (1, 500, 6)
    assert found.names == [""]


def test_no_estimate_is_made_and_it_is_said_why():
    with pytest.raises(SpecError, match=r"detection has no estimate, since .* boxes that compete"):
        refuse_unestimated(read_spec(EXAMPLE, ()))


def test_a_missing_package_is_said_before_any_training(monkeypatch):
    monkeypatch.setattr("hybridonn.pipeline.preflight.find_spec", lambda name: None)
    with pytest.raises(SpecError, match=r"faster-coco-eval.*pip install 'hybridonn\[detection\]'"):
        refuse_unread(read_spec(EXAMPLE, ()))


def test_a_teacher_of_another_answer_is_refused():
    with pytest.raises(SpecError, match=r"asks for an answer to each cell.*centre-u-net"):
        refuse_unread(read_spec(EXAMPLE, ("teacher.name=u-net", "teacher.arguments={}")))
