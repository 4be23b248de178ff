"""What every task of the table keeps to."""

import json
import re

import numpy as np
import pytest
import torch

from hybridonn.core.errors import DataError
from hybridonn.core.tables import import_code, resolve
from hybridonn.tasks.table import TASKS
from hybridonn.tasks.task import Move, make_task

NAMES = ("a", "b", "c")
SHAPE = (2, 8, 12)  # (C, H, W) of the images
COUNT = 40


@pytest.fixture(params=TASKS)
def task(request):
    return make_task(request.param)


@pytest.fixture
def logits(task):
    return draw_logits(task, 0)


@pytest.fixture
def labels(task):
    return task.predict(draw_logits(task, 1))


@pytest.fixture
def images():
    return torch.zeros(COUNT, *SHAPE, dtype=torch.uint8)


def draw_logits(task, seed):
    shape = COUNT, *task.output_shape(len(NAMES), SHAPE)
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_predictions_have_the_form_of_labels(task, logits, labels, images):
    assert task.predict(logits).shape == labels.shape
    assert labels.ndim == task.label_dimensions
    task.check_labels(labels, images, len(NAMES))


def test_the_loss_is_a_scalar_with_a_gradient_for_every_output(task, logits, labels):
    logits.requires_grad_()
    loss = task.loss(logits, labels)
    loss.backward()
    assert loss.shape == ()
    assert logits.grad.isfinite().all()
    assert logits.grad.abs().sum() > 0


def test_smoothed_labels_change_no_metric(task, logits, labels):
    (name,) = (name for name in TASKS if type(make_task(name)) is type(task))
    smoothed = make_task(name, 0.1)
    assert torch.equal(smoothed.score(logits, labels), task.score(logits, labels))


def test_scores_are_shares_an_image_and_one_for_the_truth(task, logits, labels):
    scores = task.score(logits, labels)
    assert scores.shape == (COUNT,)
    assert ((scores >= 0) & (scores <= 1)).all()
    assert (task.score_predicted(labels, labels, len(NAMES)) == 1).all()
    assert not task.whole or set(scores.tolist()) <= {0.0, 1.0}


def test_measures_are_plain_numbers_and_hold_the_metric(task, logits, labels):
    found = task.measure(logits, labels)
    assert json.loads(json.dumps(found)) == found
    assert found[task.metric] == pytest.approx(float(task.score(logits, labels).mean()))
    assert task.metric in set(task.shares) & set(found)
    assert task.measures_note.endswith(".")
    assert all(0 <= found[name] <= 1 for name in set(task.shares) & set(found))


def test_equal_outputs_do_not_diverge(task, logits):
    assert float(task.divergence(logits, logits, 3.0)) == pytest.approx(0, abs=1e-6)
    assert float(task.divergence(logits, draw_logits(task, 2), 3.0)) > 0


def test_the_divergence_pulls_the_student_alone_to_the_teacher(task, logits):
    logits.requires_grad_()
    task.divergence(logits, draw_logits(task, 2), 3.0).backward()
    assert logits.grad.isfinite().all()
    assert logits.grad.abs().sum() > 0


def test_what_is_stored_is_read_back(task, logits, labels):
    stored = task.store(logits)
    assert {name: values.ndim for name, values in stored.items()} == dict(task.stored)
    arrays = {name: torch.from_numpy(values.numpy()) for name, values in stored.items()}
    predicted = task.read_back(arrays, len(NAMES))
    assert torch.equal(predicted.long(), task.predict(logits).long())
    scores = task.score_predicted(predicted, labels, len(NAMES))
    torch.testing.assert_close(scores, task.score(logits, labels))


def test_labels_that_are_moved_there_and_back_are_as_they_were(task, labels):
    def flip(maps):
        assert maps.ndim == 4
        return maps.flip(3)

    def flip_points(points):
        assert points.shape[2:] == (2,)
        return torch.stack([SHAPE[2] - points[..., 0], points[..., 1]], -1)

    move = Move(flip, flip_points, SHAPE[1:])
    moved = task.move_labels(labels, move)
    assert moved.shape == labels.shape
    assert moved.dtype == labels.dtype
    torch.testing.assert_close(task.move_labels(moved, move), labels, rtol=0, atol=1e-5)


def test_predictions_agree_with_themselves_and_less_with_others(task, labels, logits):
    assert task.share_same(labels, labels) == 1
    assert 0 <= task.share_same(labels, task.predict(logits)) < 1


def test_boxes_to_be_shown_are_rows_of_their_own(task, labels):
    boxes = task.list_boxes(labels[0])
    assert boxes is None or (boxes.ndim == 2 and boxes.shape[1] == 6)


@pytest.mark.parametrize("kind", ["stratify", "cover"])
def test_every_image_is_in_a_group_that_has_a_name(task, labels, kind):
    strata = getattr(task, kind)(labels, NAMES)
    assert strata.groups.shape == (COUNT,)
    assert set(np.unique(strata.groups)) <= set(range(len(strata.names)))
    assert strata.kind


def test_the_balance_of_labels_is_a_share_a_class(task, labels):
    found = task.balance(labels, len(NAMES))
    assert found.shape == (len(NAMES),)
    assert ((found >= 0) & (found <= 1)).all()


def test_remarks_and_titles_are_texts(task, labels):
    assert all(isinstance(line, str) for line in task.remark(labels, "test"))
    assert isinstance(task.name_label(labels[0], NAMES), str)


def test_labels_of_other_images_are_refused(task, labels, images):
    with pytest.raises(DataError):
        task.check_labels(labels[1:], images, len(NAMES))


def test_stated_probes_are_taken(task):
    assert task.contraction(3) == 3


def test_the_kernel_of_labels_is_largest_where_they_are_equal(task, labels):
    found = task.label_kernel(labels)
    assert found.shape == (COUNT, COUNT)
    torch.testing.assert_close(found.diagonal(), torch.ones(COUNT))
    assert (found <= 1 + 1e-6).all()
    for i in range(3 if task.list_boxes(labels[0]) is None else 0):
        for j in range(3):
            equal = (labels[i] == labels[j]).float().mean()
            assert found[i, j].item() == pytest.approx(equal.item())


def test_pixels_are_sampled_where_each_has_an_answer(task, labels):
    found = task.sample_pixels(labels, 4, SHAPE[1:])
    assert (found is not None) == has_places(task)
    if found:
        assert found.places.shape == (COUNT, 4)
        assert found.size == task.output_shape(len(NAMES), SHAPE)[1:]
        shown = task.label_pixels(labels, found)
        assert shown.shape == (COUNT, 4)
        equal = (shown.flatten()[:, None] == shown.flatten()[None]).float()
        assert torch.equal(task.label_kernel(shown.flatten()), equal)


def test_there_is_a_map_for_each_class_where_answers_have_places(task, logits):
    found = task.class_maps(logits)
    assert (found is not None) == has_places(task)
    if found is not None:
        assert found.shape == (COUNT, len(NAMES), *logits.shape[2:])


def has_places(task):
    (name,) = (name for name in TASKS if type(make_task(name)) is type(task))
    return TASKS[name].answers != "image"


def test_teachers_outputs_are_stored_in_a_floating_point_type(task):
    assert task.logit_dtype.is_floating_point


def test_predictions_are_compared_with_labels_of_the_same_images(task, labels):
    task.check_predicted(labels, labels, len(NAMES))
    with pytest.raises(DataError, match=re.escape(str(tuple(labels[1:].shape)))):
        task.check_predicted(labels[1:], labels, len(NAMES))


def test_a_contact_sheet_is_drawn_of_images_with_their_labels(task, labels, images):
    figure = import_code(task.contact_sheet)("set", images[:, :1].numpy(), labels.numpy(), NAMES)
    assert "set" in figure.get_suptitle()


def test_every_estimator_is_there(task):
    assert all(callable(resolve(task.estimates, name)) for name in task.estimates)
    assert bool(task.unestimated) != bool(task.estimates)
