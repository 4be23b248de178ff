"""Data sets by index: images and stored features train alike, with labels of any shape."""

import pytest
import torch
from torch import nn

from hybridonn import spec
from hybridonn.core.errors import DataError, TrainingError
from hybridonn.core.files import read_arrays
from hybridonn.data.dataset import ImageSet, UnsplitSet, join_sets
from hybridonn.data.indexed import (
    FeatureDataset,
    fitting_batch,
    join_labels,
    pack_labels,
    unpack_labels,
)
from hybridonn.data.splits import split_set
from hybridonn.distillation.augmentation import make_view
from hybridonn.distillation.loss import Objective
from hybridonn.distillation.training import TrainingSetup, predict_dataset, train
from hybridonn.pipeline.artefacts import keep_outcome
from hybridonn.tasks.strata import rank_strata
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

    def check_labels(self, labels, images, classes):
        assert len(labels) == len(images)

    def stratify(self, labels, classes):
        return rank_strata(torch.tensor([len(one) for one in labels]), "number of boxes")

    def move_labels(self, labels, move):
        """Boxes (left, top, right, bottom) in pixels around all that the move shows of them."""
        places = torch.arange(16).view(1, 1, 4, 4).repeat(len(labels), 1, 1, 1) + 1
        came_from = move(places)[:, 0] - 1  # of each pixel; -1: from beyond the edge
        return tuple(
            torch.stack([surround(found, box) for box in one]) if len(one) else one
            for found, one in zip(came_from, labels, strict=True)
        )


def surround(came_from, box):
    left, top, right, bottom = box
    rows, columns = came_from.div(4, rounding_mode="floor"), came_from % 4
    inside = (rows >= top) & (rows < bottom) & (columns >= left) & (columns < right)
    down, along = (inside & (came_from >= 0)).nonzero().unbind(1)
    return torch.stack([along.min(), down.min(), along.max() + 1, down.max() + 1]).to(box)


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


def test_images_with_boxes_are_split_and_known_by_them():
    boxes_of = images(boxes())
    settings = spec.Data(validation_fraction=0.2)
    split = split_set(UnsplitSet("boxes", ("box",), boxes_of, None), settings, CountBoxes())
    assert len(split.train) + len(split.validation) + len(split.test) == COUNT
    assert {len(one) for one in split.test.labels} == {0, 1, 2}
    moved = ImageSet(boxes_of.images, tuple(one + 1 for one in boxes_of.labels))
    other = split_set(UnsplitSet("boxes", ("box",), moved, None), settings, CountBoxes())
    assert other.checksum != split.checksum


def test_boxes_that_change_hands_make_another_set():
    two, none = torch.rand(2, 4), torch.zeros(0, 4)
    few = torch.zeros(2, 1, 4, 4, dtype=torch.uint8)
    parts = [ImageSet(few, labels) for labels in ((two, none), (two[:1], two[1:]))]
    unsplit = UnsplitSet("boxes", ("box",), images(boxes()), None)
    split = split_set(unsplit, spec.Data(), CountBoxes())
    assert len({split.with_part("test", part).checksum for part in parts}) == 2


def test_boxes_move_with_the_images_of_a_view():
    box = torch.tensor([[0.0, 1.0, 2.0, 2.0]])
    part = ImageSet(torch.zeros(COUNT, 1, 4, 4, dtype=torch.uint8), (box,) * COUNT)
    part.images[:, 0, 1, :2] = 255
    view = make_view(part, CountBoxes(), spec.Augmentation(flip=True, crop_pixels=1), 0)
    assert len({tuple(one[0].tolist()) for one in view.labels}) > 4
    for image, ((left, top, right, bottom),) in zip(view.images, view.labels, strict=True):
        rows, columns = image[0].nonzero().unbind(1)
        assert [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1] == [
            left,
            top,
            right,
            bottom,
        ]


def test_boxes_are_stored_beside_predictions_and_read_back(tmp_path):
    part = images(boxes())
    network = Joined(16, 3)
    logits, _ = predict_dataset(network, part)
    keep_outcome(tmp_path, network, [{"epoch": 1}], logits, part, CountBoxes())
    found = unpack_labels(read_arrays(tmp_path / "predictions.npz"))
    assert all(torch.equal(*pair) for pair in zip(found, part.labels, strict=True))


@pytest.mark.parametrize("labels", [torch.arange(3), torch.rand(2, 4, 4), ()])
def test_labels_in_any_form_are_read_back(labels):
    found = unpack_labels(pack_labels(labels))
    assert torch.equal(found, labels) if len(labels) else found == ()


def test_labels_that_no_array_holds_are_refused():
    with pytest.raises(
        DataError, match=r"\(2, 3\) torch.float32, \(2, 4\) torch.float32; the labels"
    ):
        pack_labels((torch.zeros(2, 4), torch.zeros(2, 3)))
