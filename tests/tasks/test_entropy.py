import pytest
import torch
from torch.nn import functional as F

from hybridonn.tasks.classification import Classification
from hybridonn.tasks.entropy import weighted_entropy
from hybridonn.tasks.segmentation import Segmentation
from hybridonn.tasks.task import make_task


def answers(*shape):
    torch.manual_seed(0)
    return torch.randn(6, 3, *shape, dtype=torch.float64), torch.arange(6) % 3


def test_without_settings_it_is_the_cross_entropy_to_the_last_bit():
    logits, truth = answers()
    wanted = F.cross_entropy(logits, truth, label_smoothing=0.1)
    assert torch.equal(weighted_entropy(logits, truth, 0.1), wanted)
    assert torch.equal(Classification(0.1).loss(logits, truth), wanted)


@pytest.mark.parametrize("weights", [None, (1.0, 2.0, 0.5)])
def test_the_focal_loss_is_its_formula(weights):
    logits, truth = answers()
    shares = torch.softmax(logits, 1)[range(6), truth]
    scale = torch.tensor(weights or (1.0, 1.0, 1.0), dtype=torch.float64)[truth]
    wanted = (-scale * (1 - shares) ** 2 * shares.log()).sum() / scale.sum()
    torch.testing.assert_close(weighted_entropy(logits, truth, 0, 2.0, weights), wanted)
    near = weighted_entropy(logits, truth, 0.2, 1e-9, weights)  # tends to the plain one
    torch.testing.assert_close(near, weighted_entropy(logits, truth, 0.2, 0.0, weights))


def test_smoothing_weights_and_focal_factor_together_are_the_dense_sum():
    logits, truth = answers()
    weights = torch.tensor([1.0, 2.0, 0.5], dtype=torch.float64)
    labels = 0.8 * F.one_hot(truth, 3) + 0.2 / 3
    chances = torch.softmax(logits, 1)
    entropies = -(weights * labels * chances.log()).sum(1)
    for gamma in (0.0, 0.7, 2.0):
        factors = (1 - (chances * F.one_hot(truth, 3)).sum(1)) ** gamma
        wanted = (factors * entropies).sum() / weights[truth].sum()
        found = weighted_entropy(logits, truth, 0.2, gamma, weights.tolist())
        torch.testing.assert_close(found, wanted)


def test_class_weights_are_torchs():
    logits, truth = answers()
    weights = torch.tensor([1.0, 2.0, 0.5], dtype=torch.float64)
    task = Classification(class_weights=(1.0, 2.0, 0.5))
    torch.testing.assert_close(task.loss(logits, truth), F.cross_entropy(logits, truth, weights))


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_a_certain_answer_has_a_finite_gradient(gamma):
    logits = torch.tensor([[200.0, 0.0], [0.0, 200.0]], requires_grad=True)
    weighted_entropy(logits, torch.tensor([0, 0]), gamma=gamma).backward()
    assert logits.grad.isfinite().all()
    assert logits.grad[1].any()


def test_pixels_too():
    logits, _ = answers(4, 5)
    masks = torch.randint(0, 3, (6, 4, 5), dtype=torch.uint8)
    plain = Segmentation().loss(logits, masks)
    focal = Segmentation(focal_gamma=2.0, class_weights=(1.0, 3.0, 1.0)).loss(logits, masks)
    assert focal < plain
    assert make_task("segmentation", focal_gamma=1.0) == Segmentation(focal_gamma=1.0)
