"""What optics and backend learn together is what the spec's training states."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from hybridonn.core.progress import Silent
from hybridonn.data import load_dataset
from hybridonn.pipeline import end_to_end
from hybridonn.spec import read_spec


class ReachedError(Exception):
    """A training was about to begin; its setup is the argument."""


@pytest.fixture
def caught(monkeypatch):
    """Begin the training of a spec, all optics left out."""

    def train(network, setup, *rest):
        raise ReachedError(setup)

    monkeypatch.setattr(end_to_end, "train", train)
    monkeypatch.setattr(end_to_end, "TrainableMetasurface", lambda *parts: None)
    monkeypatch.setattr(end_to_end, "in_branches", lambda *parts: None)

    def begin(*settings):
        spec = read_spec(None, ("optics.metasurface={}", *settings))
        design = SimpleNamespace(metasurface=None, library=None, limits=None)
        chip = SimpleNamespace(design_context=design, window=9, kernel_size=7, branches=())
        parts = SimpleNamespace(), torch.zeros(1), torch.zeros(1), spec, load_dataset(spec.data)
        with pytest.raises(ReachedError) as found:
            end_to_end.train_optics(*parts, chip, (None, 0.9), Path(), Silent())
        return found.value.args[0]

    return begin


def test_its_loss_is_smoothed_and_weighted_as_that_of_the_student(caught):
    logits, labels = torch.randn(10, 10), torch.arange(10)
    plain = caught().objective.task.loss(logits, labels)
    for settings in (
        "training.label_smoothing=0.2",
        "training.focal_gamma=2",
        f"training.class_weights={[1.0] * 9 + [3.0]}",
    ):
        stated = caught(settings).objective.task.loss(logits, labels)
        assert not torch.isclose(stated, plain)
    expected = torch.nn.functional.cross_entropy(logits, labels, label_smoothing=0.2)
    found = caught("training.label_smoothing=0.2").objective.task.loss(logits, labels)
    torch.testing.assert_close(found, expected)


def test_the_kernels_of_a_poor_teacher_are_left_behind_there_too(caught):
    assert caught().teacher_bound == 0.9
