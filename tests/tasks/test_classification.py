"""The loss of classification, by hand."""

import pytest
import torch

from hybridonn.tasks.classification import Classification


def test_smoothed_labels_cost_a_certain_answer():
    logits, labels = torch.tensor([[20.0, 0]]), torch.tensor([0])
    assert Classification().loss(logits, labels) < 1e-6
    assert Classification(0.1).loss(logits, labels).item() == pytest.approx(0.05 * 20, rel=1e-4)
