"""Data sets by index: images and stored features train alike, with labels of any shape."""

import pytest
import torch
from torch import nn

from hybridonn import spec
from hybridonn.core.errors import TrainingError
from hybridonn.data.dataset import ImageSet, join_sets
from hybridonn.data.indexed import FeatureDataset, fitting_batch, join_labels
from hybridonn.distillation.loss import Objective
from hybridonn.distillation.training import TrainingSetup, predict_dataset, train
from hybridonn.tasks.task import make_task

COUNT, SETTINGS = 40, spec.Training(epochs=2, batch_size=8, learning_rate=1e-2)
CPU = torch.device("cpu")


class Joined(nn.Module):
    """Answers from all branches, or from one scene."""

    def __init__(self, numbers, outputs):
        super().__init__()
        self.dense = nn.Linear(numbers, outputs)

    def forward(self, inputs):
        branches = inputs if isinstance(inputs, tuple) else (inputs,)
        return self.dense(torch.cat([one.flatten(1) for one in branches], 1))


def boxes():
    """A different number of boxes for each image, none for some."""
    dice = torch.Generator().manual_seed(0)
    return tuple(torch.rand(index % 3, 4, generator=dice) for index in range(COUNT))


def images(labels):
    dice = torch.Generator().manual_seed(1)
    return ImageSet(torch.randint(0, 256, (COUNT, 1, 4, 4), generator=dice).byte(), labels)


def features(labels):
    dice = torch.Generator().manual_seed(2)
    shapes = (COUNT, 2, 4, 4), (COUNT, 3, 2, 2)
    return FeatureDataset(tuple(torch.randn(shape, generator=dice) for shape in shapes), labels)


class CountBoxes(type(make_task("classification"))):
    """A made-up task whose labels are a tensor of any length for each image."""

    def loss(self, logits, labels):
        wanted = torch.tensor([float(len(one)) for one in labels])
        return (logits[:, 0] - wanted).square().mean()

    def score(self, logits, labels):
        wanted = torch.tensor([len(one) for one in labels])
        return (logits[:, 0].round() == wanted).float()


@pytest.mark.parametrize("make", [images, features])
@pytest.mark.parametrize("kind", ["classes", "boxes"])
def test_every_kind_trains(make, kind, tmp_path):
    classes = torch.arange(COUNT) % 3
    labels, task = (classes, make_task("classification"))
    if kind == "boxes":
        labels, task = boxes(), CountBoxes()
    dataset = make(labels)
    network = Joined(16 if make is images else 44, 3)
    setup = TrainingSetup(Objective(task), dataset, dataset, SETTINGS, 0, "training")
    history = train(network, setup, tmp_path / "checkpoint")
    assert len(history) == 2
    assert history[1]["loss"] < history[0]["loss"]


@pytest.mark.parametrize("make", [images, features])
def test_a_batch_has_what_its_indices_name(make):
    dataset = make(boxes())
    some = torch.tensor([4, 0, 4])
    inputs, labels = dataset.batch(some)
    each = inputs if isinstance(inputs, tuple) else (inputs,)
    assert all(torch.equal(one[0], one[2]) and len(one) == 3 for one in each)
    assert [len(one) for one in labels] == [1, 0, 1]
    assert len(join_labels([labels, labels])) == 6


def test_all_are_predicted_in_their_order():
    dataset = features(torch.arange(COUNT))
    network = Joined(44, 3).eval()
    logits, labels = predict_dataset(network, dataset)
    assert torch.equal(labels, dataset.labels)
    assert torch.equal(logits, network(dataset.branches).detach())


def test_images_with_boxes_are_taken_and_joined():
    some = images(boxes()).take(torch.tensor([1, 5]))
    joined = join_sets([some, some.slice(0, 1)]).to(CPU)
    assert [len(one) for one in joined.labels] == [1, 2, 1]


def test_large_features_go_through_a_network_in_parts():
    assert fitting_batch(FeatureDataset((torch.zeros(2, 1, 512, 512),), torch.zeros(2))) == 4
    assert fitting_batch(images(torch.zeros(COUNT))) == 1000


def test_features_cannot_be_augmented(tmp_path):
    dataset = features(torch.arange(COUNT) % 3)
    settings = SETTINGS.model_copy(update={"augmentation": spec.Augmentation(flip=True)})
    objective = Objective(make_task("classification"))
    setup = TrainingSetup(objective, dataset, dataset, settings, 0, "training")
    with pytest.raises(TrainingError, match="FeatureDataset, and only images can be augmented"):
        train(Joined(44, 3), setup, tmp_path / "checkpoint")
