"""Figures, table and words of a run whose task is segmentation."""

import json

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from hybridonn.core.errors import ArtefactError
from hybridonn.reports.artefacts.mask_overlays import Overlays
from hybridonn.reports.artefacts.predictions import Predictions
from hybridonn.reports.artefacts.run import read_run
from hybridonn.reports.figures.comparison import draw_comparison
from hybridonn.reports.figures.curves import draw_curves
from hybridonn.reports.figures.iou import draw_iou
from hybridonn.reports.figures.mask_overlays import draw_overlays, paint
from hybridonn.reports.page import write_report
from hybridonn.reports.sections.iou import overlap_of
from hybridonn.reports.tables.iou import list_shares
from hybridonn.tasks.segmentation import Segmentation

SPEC = """task: segmentation
data: {name: dsb2018}
student:
  backend: pyramid
  hidden: [4, 4]
  branches:
  - {kernels: 2, kernel_size: 3, binning: 1}
  - {kernels: 6, kernel_size: 7, binning: 2}
"""


def make_masks(wrong=0.2, classes=2, seed=0):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, classes, (9, 28, 28)).astype(np.uint8)
    labels[0] = 0
    other = np.random.default_rng(seed).random(labels.shape) < wrong
    predicted = np.where(other, 0, labels).astype(np.uint8)
    return Predictions(Segmentation(), labels, predicted, classes)


@pytest.fixture
def segmented(run_folder):
    """A finished run of segmentation."""
    results = json.loads((run_folder / "results.json").read_text())
    for name, wrong in (("teacher", 0.1), ("student", 0.3)):
        masks = make_masks(wrong)
        path = run_folder / name / "predictions.npz"
        np.savez(path, labels=masks.labels, predicted=masks.predicted)
        del results[name]["accuracy"]
        results[name] |= {
            "miou": masks.value,
            "miou_pixels": float(overlap_of(masks).pooled.mean()),
        }
        (run_folder / name / "embedding.npz").unlink()
        history = run_folder / name / "history.csv"
        history.write_text(history.read_text().replace("accuracy", "miou"))
    results["baseline"] = {"miou": 0.5, "teacher_margin": results["teacher"]["miou"] - 0.5}
    (run_folder / "results.json").write_text(json.dumps(results))
    record = json.loads((run_folder / "record.json").read_text())
    record["data"]["classes"] = ["ground", "nucleus"]
    (run_folder / "record.json").write_text(json.dumps(record))
    (run_folder / "spec.yaml").write_text(SPEC)
    examples = dict(np.load(run_folder / "student" / "examples.npz"))
    examples["labels"] = masks.labels[:2]
    np.savez(run_folder / "student" / "examples.npz", **examples)
    (run_folder / "mask_overlays").mkdir()
    np.savez(
        run_folder / "mask_overlays" / "overlays.npz",
        scenes=np.zeros((3, 3, 28, 28), np.uint8),
        positions=np.array([4, 0, 7]),
        reasons=np.array(["best", "worst", "at random"]),
    )
    return run_folder


def change(folder, **sections):
    path = folder / "results.json"
    results = json.loads(path.read_text())
    for name, numbers in sections.items():
        results[name] = results.get(name, {}) | numbers
    path.write_text(json.dumps(results))


def words(figure):
    return " ".join(text.get_text() for axes in figure.axes for text in axes.texts)


@pytest.mark.parametrize("classes", [2, 5])
def test_both_definitions_are_those_of_the_task(classes):
    masks = make_masks(classes=classes)
    logits = F.one_hot(torch.from_numpy(masks.predicted).long(), classes).movedim(-1, 1)
    found = Segmentation().measure(logits, torch.from_numpy(masks.labels))
    assert masks.value == pytest.approx(found["miou"])
    assert float(overlap_of(masks).pooled.nanmean()) == pytest.approx(found["miou_pixels"])


def test_a_class_that_is_in_neither_counts_for_nothing():
    labels = np.zeros((2, 4, 4), np.uint8)
    labels[1, :2] = 1
    predicted = labels.copy()
    predicted[1, 2] = 1
    masks = Predictions(Segmentation(), labels, predicted, 3)
    assert masks.scores == pytest.approx([1, (4 / 8 + 8 / 12) / 2])
    overlap = overlap_of(masks)
    assert overlap.by_class[:2].tolist() == pytest.approx([(1 + 0.5) / 2, 8 / 12])
    assert overlap.by_class[2].isnan()
    assert float(overlap.pooled[0]) == pytest.approx(20 / 24)
    rows = list_shares({"student": overlap}, ("a", "b", "c"))
    assert rows[3] == ("c", "not there", "not there")
    assert rows[2] == ("b", "66.67", "66.67")


def test_the_report_shows_masks_in_their_metric(segmented):
    text = " ".join(write_report(segmented).read_text("utf-8").split())
    assert f"{100 * make_masks(0.3).value:.1f} % mIoU" in text
    assert "student mIoU" in text
    assert "accuracy" not in text.split("<pre>")[0]
    for name in ("overlays", "iou", "kernels-1", "kernels-2", "features-2", "curves"):
        assert f'id="{name}"' in text
        assert (segmented / "figures" / f"{name}.png").stat().st_size > 5000
    assert 'id="embedding"' not in text
    assert "miou_pixels" in text


def test_the_teacher_is_judged_by_the_student_that_was_trained_without_it(segmented):
    text = write_report(segmented).read_text("utf-8")
    margin = 100 * (make_masks(0.1).value - 0.5)
    assert f"{margin:.1f} points above" in text
    change(segmented, baseline={"miou": 0.99, "teacher_margin": -0.04})
    text = write_report(segmented).read_text("utf-8")
    assert "4.0 points below" in text


@pytest.mark.parametrize(
    ("arrays", "found"),
    [
        ({"positions": np.array([1, 2, 99])}, "images"),
        ({"scenes": np.zeros((3, 3, 8, 8), np.uint8)}, "images"),
        ({"reasons": np.array(["best"])}, "lacks a reason"),
    ],
)
def test_overlays_of_another_run_are_refused(segmented, arrays, found):
    path = segmented / "mask_overlays" / "overlays.npz"
    np.savez(path, **(dict(np.load(path)) | arrays))
    with pytest.raises(ArtefactError, match=found) as caught:
        read_run(segmented)
    assert str(path) in str(caught.value)


def test_masks_that_contradict_the_results_are_refused(segmented):
    change(segmented, student={"miou": 0.1})
    with pytest.raises(ArtefactError, match=r"student\.miou 0\.1000"):
        read_run(segmented)


def test_a_painted_image_changes_where_the_mask_is():
    scene = np.full((3, 4, 4), 0.5)
    mask = np.zeros((4, 4), np.uint8)
    mask[1, 2] = 1
    changed = (paint(scene, mask) != 0.5).any(-1)
    assert np.array_equal(changed, mask == 1)


def test_every_mask_has_its_own_score_above_it():
    predictions = {"teacher": make_masks(0.1), "student": make_masks(0.3)}
    shown = Overlays(
        np.zeros((2, 1, 28, 28)), np.array([3, 5]), ("best", "worst"), np.array([13, 15])
    )
    figure = draw_overlays(shown, predictions, ("ground", "nucleus"))
    score = f"mIoU {100 * predictions['student'].scores[5]:.1f} %"
    assert figure.axes[7].get_title() == score
    assert figure.axes[4].get_ylabel() == "worst\nimage 15"


def test_of_many_classes_the_worst_are_drawn():
    figure = draw_iou({"student": overlap_of(make_masks(classes=30))}, [f"c{i}" for i in range(30)])
    assert len(figure.axes[0].get_yticklabels()) == 20
    assert figure.axes[0].get_title("left") == "The 20 worst classes"


def test_a_loaded_teacher_is_a_level_and_has_no_loss():
    epochs = np.arange(1.0, 4)
    student = {"epoch": epochs, "loss": 1 / epochs, "validation_miou": epochs / 10}
    teacher = {"epoch": np.array([0.0]), "validation_miou": np.array([0.8])}
    figure = draw_curves({"teacher": teacher, "student": student}, Segmentation())
    titles = [axes.get_title("left") for axes in figure.axes]
    assert titles == ["Validation mIoU", "Loss of the student"]
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert "teacher, as loaded" in labels


def test_a_comparison_of_masks_names_its_metric(comparison):
    figure = draw_comparison(comparison | {"metric": "miou", "label": "mIoU"})
    assert figure.axes[0].get_ylabel() == "test mIoU (%)"


def test_branches_are_those_of_the_spec(segmented):
    found = read_run(segmented).branches
    assert [(k.start, k.stop, one.kernel_size, one.binning) for k, one in found] == [
        (0, 2, 3, 1),
        (2, 8, 7, 2),
    ]
