"""Detection: its losses, the divergence from a teacher, what it refuses."""

import pytest
import torch
from tests.tasks.test_centres import TRUTH, outputs_of

from hybridonn.core.errors import DataError
from hybridonn.tasks.boxes import pad_boxes
from hybridonn.tasks.detection import Detection
from hybridonn.tasks.pixels import SampledPixels

IMAGES = torch.zeros(2, 3, 64, 96, dtype=torch.uint8)


@pytest.fixture
def task():
    return Detection()


@pytest.fixture
def labels():
    return torch.stack([pad_boxes(TRUTH, 3), pad_boxes(TRUTH[:1], 3)])


@pytest.fixture
def outputs(labels):
    return torch.cat([outputs_of(boxes[boxes[:, 0] >= 0], 2, 16, 24) for boxes in labels])


def test_true_outputs_cost_least(task, labels, outputs):
    true = task.loss(outputs, labels)
    assert true < 0.1
    for moved in (outputs.roll(1, 3), torch.zeros_like(outputs)):
        assert task.loss(moved, labels) > 1


def test_true_outputs_score_one(task, labels, outputs):
    assert task.score(outputs, labels).tolist() == pytest.approx([1, 1])
    found = task.measure(outputs, labels)
    assert found["ap50"] == pytest.approx(1)
    assert found["ap"] > 0.95


def test_images_without_boxes_have_a_loss_with_a_gradient(task):
    outputs = torch.zeros(2, 6, 16, 24, requires_grad=True)
    empty = torch.stack([pad_boxes(TRUTH[:0], 1)] * 2)
    task.loss(outputs, empty).backward()
    assert outputs.grad is not None
    assert outputs.grad[:, :2].all()
    assert not outputs.grad[:, 2:].any()


def test_a_teacher_teaches_boxes_where_it_sees_objects(task, outputs):
    moved = outputs.clone()
    moved[:, 2:] += 0.2
    moved.requires_grad_()
    task.divergence(moved, outputs, 1.0).backward()
    assert moved.grad is not None
    pull = moved.grad[0, 2:].abs().sum(0)
    assert pull[3, 3] > 100 * pull[12, 20]


def test_half_of_the_cells_lie_near_objects_and_show_their_class(task, labels):
    torch.manual_seed(0)
    found = task.sample_pixels(labels, 8, (64, 96))
    shown = task.label_pixels(labels, found)
    assert found.size == (16, 24)
    assert all(len(set(row.tolist())) == 8 for row in found.places)
    assert set(shown[0, :4].tolist()) == {1, 2}
    assert set(shown[0, 4:].tolist()) >= {0}
    assert set(shown[1].tolist()) == {0, 2}  # the one object of the second image
    centre = torch.tensor([[3 * 24 + 3, 0], [3 * 24 + 3, 0]])
    assert task.label_pixels(labels, SampledPixels(centre, (16, 24))).tolist() == [[2, 0]] * 2


def test_cells_of_images_without_boxes_show_nothing(task):
    empty = torch.stack([pad_boxes(TRUTH[:0], 1)] * 2)
    found = task.sample_pixels(empty, 6, (64, 96))
    assert found.places.shape == (2, 6)
    assert not task.label_pixels(empty, found).any()


def test_the_maps_of_the_classes_leave_distances_out(task, outputs):
    assert torch.equal(task.class_maps(outputs), outputs[:, :2])


def test_groups_go_by_the_number_of_boxes(task, labels):
    assert task.stratify(labels.repeat(20, 1, 1), ("a", "b")).kind == "groups by boxes"
    assert task.balance(labels, 2).tolist() == pytest.approx([1 / 3, 2 / 3])


def test_images_without_boxes_are_said(task, labels):
    assert task.remark(labels, "test") == []
    labels[1, :, 0] = -1
    (line,) = task.remark(labels, "test")
    assert line.startswith("1 of the 2 test images")


def test_crowded_images_and_boxes_that_stand_twice_are_said(task, labels):
    labels[0, 2] = labels[0, 0]
    (line,) = task.remark(labels, "test")
    assert line.startswith("1 boxes of the test images are the same as another")
    row = torch.tensor([0, 1, 1, 9, 5, 1])
    (line,) = task.remark(row.repeat(1, 501, 1) + torch.arange(501)[None, :, None] / 1e3, "train")
    assert line.startswith("1 of the 1 train images hold more than 500 boxes, up to 501;")


def test_sides_must_fit_the_cells(task):
    assert task.output_shape(3, (3, 64, 96)) == (7, 16, 24)
    with pytest.raises(DataError, match="multiples of 4"):
        task.output_shape(3, (3, 62, 96))


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ([0, 1, 1, 97, 5, 1], "beyond the image of 64 x 96"),
        ([0, -1, 1, 9, 5, 1], "beyond the image"),
        ([2, 1, 1, 9, 5, 1], "classes 0 to 1"),
        ([0.5, 1, 1, 9, 5, 1], "classes 0 to 1"),
        ([0, 9, 1, 1, 5, 1], "positive size"),
        ([0, 1, 1, float("nan"), 5, 1], "positive size"),
    ],
)
def test_boxes_that_do_not_fit_are_refused(task, labels, row, said):
    task.check_labels(labels, IMAGES, 2)
    labels[1, 2] = torch.tensor(row)
    with pytest.raises(DataError, match=said) as refused:
        task.check_labels(labels, IMAGES, 2)
    assert "box 3 of image 1" in str(refused.value)


def test_labels_of_another_form_are_refused(task):
    with pytest.raises(DataError, match="class, left, top"):
        task.check_labels(torch.zeros(2, dtype=torch.int64), IMAGES, 2)
