"""A backend that is fine-tuned on captures."""

import pytest
import torch
from torch import nn

from hybridonn import spec
from hybridonn.compensation.fine_tuning import fine_tune
from hybridonn.core.progress import Silent
from hybridonn.data.indexed import FeatureDataset
from hybridonn.distillation.teacher_targets import StoredTargets
from hybridonn.tasks.task import make_task

CLASSES, KERNELS, SIDE = 3, 2, 4
HELD_OUT = 120


class Linear(nn.Sequential):
    """A backend of one dense layer."""

    def __init__(self, numbers, classes):
        super().__init__(nn.Flatten(), nn.Linear(numbers, classes, bias=False))

    def forward(self, branches):
        return super().forward(branches[0])


def problem(noise, count=240, seed=0):
    generator = torch.Generator().manual_seed(seed)
    weights = torch.randn(KERNELS * SIDE**2, CLASSES, generator=generator)
    features = torch.randn(count, KERNELS, SIDE, SIDE, generator=generator)
    labels = (features.flatten(1) @ weights).argmax(1)
    backend = Linear(len(weights), CLASSES)
    with torch.no_grad():
        error = noise * torch.randn(weights.T.shape, generator=generator)
        backend[1].weight.copy_(weights.T + error)
    return backend, FeatureDataset((features,), labels)


def run(backend, captures, rate, folder):
    settings = spec.Training(epochs=4, batch_size=40, learning_rate=rate)
    aim = spec.Distillation(method="none")
    silent = StoredTargets(torch.zeros(len(captures.labels), CLASSES))
    where = folder / "checkpoint"
    task = make_task("classification")
    return fine_tune(backend, captures, HELD_OUT, silent, settings, aim, task, 0, where, Silent())


@torch.no_grad()
def score(backend, captures):
    logits = backend((captures.branches[0][-HELD_OUT:],))
    return float((logits.argmax(1) == captures.labels[-HELD_OUT:]).float().mean())


def test_training_that_helps_is_kept(tmp_path):
    backend, captures = problem(noise=0.8)
    before = backend[1].weight.clone()
    tuned, history = run(backend, captures, 0.05, tmp_path)
    assert torch.equal(backend[1].weight, before)
    assert score(tuned, captures) > score(backend, captures) + 0.03
    assert [row["epoch"] for row in history] == [0, 1, 2, 3, 4]
    assert history[0]["validation_accuracy"] == pytest.approx(score(backend, captures))


def test_training_that_harms_leaves_the_backend_as_it_was(tmp_path):
    backend, captures = problem(noise=0.01)
    shuffled = captures.labels.clone()  # what is learnt from is wrong, what judges is right
    shuffled[:-HELD_OUT] = (shuffled[:-HELD_OUT] + 1) % CLASSES
    wrong = FeatureDataset(captures.branches, shuffled)
    tuned, history = run(backend, wrong, 0.3, tmp_path)
    assert max(row["validation_accuracy"] for row in history[1:]) < score(backend, captures)
    assert torch.equal(tuned[1].weight, backend[1].weight)
