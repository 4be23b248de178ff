import pytest
import torch

from hybridonn import spec
from hybridonn.core.errors import SpecError
from hybridonn.distillation.class_weights import make_trained_task
from hybridonn.tasks.classification import Classification

LABELS = torch.tensor([0, 0, 0, 1])


def make(labels=LABELS, classes=2, **training):
    return make_trained_task("classification", spec.Training(**training), labels, classes)


def test_nothing_stated_is_the_plain_task():
    assert make() == Classification()
    assert make(label_smoothing=0.1, focal_gamma=2) == Classification(0.1, 2.0)


def test_balanced_weights_have_mean_one_over_the_labels():
    assert make(class_weights="balanced").class_weights == pytest.approx((2 / 3, 2.0))
    masks = torch.tensor([[[0, 0], [0, 1]]], dtype=torch.uint8)
    balanced = spec.Training(class_weights="balanced")
    task = make_trained_task("segmentation", balanced, masks, 2)
    assert task.class_weights == pytest.approx((2 / 3, 2.0))
    assert make(class_weights=(1, 3)).class_weights == (1.0, 3.0)


def test_weights_that_do_not_fit_are_refused():
    with pytest.raises(SpecError, match=r"training\.class_weights states 3 weights for 2 classes"):
        make(class_weights=(1, 2, 3))
    with pytest.raises(SpecError, match="is balanced, but no label is of class 2"):
        make(class_weights="balanced", classes=3)
