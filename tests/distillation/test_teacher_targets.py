"""What is asked of a teacher about many images, a batch at a time."""

import pytest
import torch
from torch import nn

from hybridonn.data import to_scene
from hybridonn.distillation.teacher_targets import (
    SKETCH_WIDTH,
    StoredTargets,
    ask_of_images,
    ask_sketch,
    teacher_features,
)


@pytest.fixture
def teacher():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.ReLU(), nn.Linear(72, 3)).eval()


@pytest.fixture
def images():
    return torch.randint(0, 256, (7, 1, 8, 8), dtype=torch.uint8)


def test_answers_of_all_parts_follow_one_another_whatever_the_batch(teacher, images):
    counts = []
    with torch.no_grad():
        (found,) = ask_of_images(
            teacher, images.split((4, 3)), lambda net, scene: (net(scene),), 3, counts.append
        )
        torch.testing.assert_close(found, teacher(to_scene(images)))
    assert counts == [3, 1, 3]


def test_a_sketch_is_made_of_one_map_in_full_precision(teacher, images):
    with torch.autocast("cpu", torch.bfloat16):
        (found,) = ask_of_images(teacher, (images,), ask_sketch("last", None), 3)
    wanted = teacher_features(teacher, to_scene(images), SKETCH_WIDTH, "last", None)
    torch.testing.assert_close(found @ found.T, wanted @ wanted.T)
    assert found.dtype == torch.float32


def test_scenes_go_where_the_teacher_is(teacher, images):
    seen = []

    def ask(_, scene):
        seen.append((scene.device.type, tuple(scene.shape)))
        return (torch.zeros(len(scene)),)

    ask_of_images(teacher.to("meta"), (images,), ask, 4)
    assert seen == [("meta", (4, 1, 8, 8)), ("meta", (3, 1, 8, 8))]


def test_one_batch_without_an_answer_means_no_answer(teacher, images):
    assert ask_of_images(teacher, (images,), lambda net, scene: None, 4) == ()


def test_stored_answers_move_to_a_device_as_one():
    stored = StoredTargets(torch.zeros(3, 2), None, torch.zeros(3, 5)).to(torch.device("meta"))
    assert stored.table.device.type == "meta"
    assert stored.features is not None and stored.features.device.type == "meta"
    assert stored.gram is None
