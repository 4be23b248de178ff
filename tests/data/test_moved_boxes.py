"""Boxes move as their images do: each is found again about what was painted in it."""

import pytest
import torch

from hybridonn import spec
from hybridonn.data.batches import augment_pair, load_batch
from hybridonn.data.dataset import ImageSet
from hybridonn.tasks.boxes import find_present, pad_boxes
from hybridonn.tasks.task import make_task

HEIGHT, WIDTH, COUNT = 40, 56, 16


@pytest.fixture
def painted():
    """An image with a bright block in each, and the block's box."""
    images = torch.zeros(COUNT, 1, HEIGHT, WIDTH, dtype=torch.uint8)
    rows = []
    for index in range(COUNT):
        left, top = 18 + index % 5, 14 + index % 3
        images[index, 0, top : top + 9, left : left + 14] = 255
        rows.append(pad_boxes(torch.tensor([[0.0, left, top, left + 14, top + 9, 1]]), 2))
    return ImageSet(images, torch.stack(rows))


def find_block(scene):
    lit = scene[0] > 0.5
    rows, columns = lit.any(1).nonzero(), lit.any(0).nonzero()
    edges = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    return torch.tensor([float(edge) for edge in edges])


@pytest.mark.parametrize(
    ("settings", "tolerance"),
    [
        ({"flip": True}, 0),
        ({"crop_pixels": 8}, 0),
        ({"crop_pixels": 8, "flip": True, "crop_edge": "reflect"}, 0),
        ({"shift_pixels": 5}, 0.51),
        ({"scale_fraction": 0.3}, 0.6),
        ({"rotation_degrees": 12}, 1.2),
        ({"rotation_degrees": 8, "scale_fraction": 0.2, "shift_pixels": 3, "flip": True}, 1.2),
    ],
)
def test_boxes_stay_about_their_objects(painted, settings, tolerance):
    task, augmentation = make_task("detection"), spec.Augmentation(**settings)
    dice = torch.Generator().manual_seed(3)
    scene, labels = load_batch(painted, torch.arange(COUNT), task, augmentation, dice)
    assert not torch.equal(labels, painted.labels)
    for image, boxes in zip(scene, labels, strict=True):
        difference = (find_block(image) - boxes[0, 1:5]).abs().max()
        assert float(difference) <= tolerance
        assert find_present(boxes).tolist() == [True, False]


def test_an_object_that_leaves_the_image_loses_its_box(painted):
    labels = painted.labels.clone()
    labels[:, 0, 1:5] = torch.tensor([0.0, 0, 6, 6])
    settings = spec.Augmentation(crop_pixels=20)
    dice = torch.Generator().manual_seed(0)
    scene = torch.zeros(COUNT, 1, HEIGHT, WIDTH)
    moved = augment_pair(scene, labels, make_task("detection"), settings, dice)[1]
    there = find_present(moved)[:, 0]
    assert 0 < there.sum() < COUNT
    make_task("detection").check_labels(moved, scene, 1)
