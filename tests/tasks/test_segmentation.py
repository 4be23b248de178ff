"""Loss and metric of segmentation, against independent code and numbers by hand."""

import pytest
import torch
from sklearn.metrics import jaccard_score

from hybridonn.tasks.segmentation import Segmentation, dice_loss


def draw(seed, classes=3):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(5, classes, 7, 6, generator=generator)
    labels = torch.randint(0, classes, (5, 7, 6), generator=generator).to(torch.uint8)
    return logits, labels


@pytest.mark.parametrize("seed", range(3))
def test_miou_is_scikit_learns(seed):
    logits, labels = draw(seed)
    predicted = logits.argmax(1)
    pairs = zip(labels.flatten(1).numpy(), predicted.flatten(1).numpy(), strict=True)
    expected = [jaccard_score(a, b, average="macro") for a, b in pairs]
    task = Segmentation()
    assert task.score(logits, labels).tolist() == pytest.approx(expected)
    found = task.measure(logits, labels)
    assert found["miou"] == pytest.approx(sum(expected) / 5)
    whole = jaccard_score(labels.flatten().numpy(), predicted.flatten().numpy(), average="macro")
    assert found["miou_pixels"] == pytest.approx(whole)


def test_a_class_that_is_nowhere_is_left_out():
    logits = torch.tensor([1.0, 0, 0])[None, :, None, None].expand(1, 3, 2, 2)
    labels = torch.tensor([[[0, 0], [0, 1]]], dtype=torch.uint8)
    assert Segmentation().score(logits, labels).tolist() == pytest.approx([(3 / 4 + 0) / 2])


def test_dice_by_hand():
    logits = torch.log(torch.tensor([[[[0.9, 0.2]], [[0.1, 0.8]]]]))
    labels = torch.tensor([[[0, 1]]])
    expected = 1 - ((2 * 0.9 + 1) / (1.1 + 1 + 1) + (2 * 0.8 + 1) / (0.9 + 1 + 1)) / 2
    assert dice_loss(logits, labels).item() == pytest.approx(expected, rel=1e-5)


def test_the_loss_is_cross_entropy_and_dice():
    logits, labels = draw(0)
    entropy = -logits.log_softmax(1).gather(1, labels.long()[:, None]).mean()
    expected = entropy + dice_loss(logits, labels.long())
    assert Segmentation().loss(logits, labels).item() == pytest.approx(expected.item(), rel=1e-6)


def test_kd_of_pixels_is_the_mean_over_images_and_pixels():
    student, teacher = draw(0)[0].double(), draw(1)[0].double()
    p, q = (torch.softmax(x / 3, 1) for x in (teacher, student))
    expected = 9 * (p * (p.log() - q.log())).sum(1).mean()
    found = Segmentation().divergence(student, teacher, 3)
    assert found.item() == pytest.approx(expected.item())
    assert Segmentation().divergence(teacher, teacher, 3).item() == pytest.approx(0, abs=1e-12)
