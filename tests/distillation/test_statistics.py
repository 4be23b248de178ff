"""Running statistics of batch norm, taken anew."""

import pytest
import torch
from torch import nn

from hybridonn import spec
from hybridonn.data.batches import to_scene
from hybridonn.data.dataset import ImageSet
from hybridonn.distillation.loss import Objective
from hybridonn.distillation.statistics import renew_statistics
from hybridonn.distillation.training import TrainingSetup, train
from hybridonn.tasks.classification import Classification


def network():
    torch.manual_seed(1)
    norm = nn.BatchNorm2d(4, momentum=0.3)
    return nn.Sequential(nn.Conv2d(1, 4, 3), norm, nn.Flatten(), nn.Linear(64, 3))


@pytest.mark.parametrize("training", [True, False])
def test_they_are_those_over_all_inputs_and_the_network_is_otherwise_as_it_was(training):
    torch.manual_seed(0)
    scenes = torch.randn(40, 1, 6, 6) * 3 + 1
    some = network().train(training)
    renew_statistics(some, scenes.split(10), "it", 0)
    seen = some[0](scenes).detach()
    torch.testing.assert_close(some[1].running_mean, seen.mean((0, 2, 3)))
    parts = [some[0](part).detach().var((0, 2, 3)) for part in scenes.split(10)]
    torch.testing.assert_close(some[1].running_var, torch.stack(parts).mean(0))
    assert some.training == some[1].training == training
    assert some[1].momentum == 0.3


@pytest.mark.parametrize("views", [None, 2])
@pytest.mark.parametrize("alphas", [{"mixup_alpha": 1.0}, {"cutmix_alpha": 1.0}])
def test_where_images_are_mixed_they_are_those_of_whole_images(tmp_path, views, alphas):
    torch.manual_seed(0)
    pictures = torch.randint(0, 256, (64, 1, 6, 6), dtype=torch.uint8)
    part = ImageSet(pictures, torch.arange(64) % 3)
    settings = spec.Training(
        epochs=1, batch_size=16, learning_rate=1e-9, weight_decay=0, views=views,
        augmentation=spec.Augmentation(**alphas),
    )  # fmt: skip
    some = network()
    setup = TrainingSetup(Objective(Classification()), part, part, settings, 0, "it")
    train(some, setup, tmp_path / "checkpoint.safetensors")
    seen = some[0](to_scene(pictures)).detach()
    torch.testing.assert_close(some[1].running_mean, seen.mean((0, 2, 3)), rtol=1e-3, atol=1e-4)
    # of four batches, each of which has a variance of its own
    torch.testing.assert_close(some[1].running_var, seen.var((0, 2, 3)), rtol=0.05, atol=0)


def test_where_nothing_is_mixed_they_are_running_ones(tmp_path):
    torch.manual_seed(0)
    pictures = torch.randint(0, 256, (64, 1, 6, 6), dtype=torch.uint8)
    part = ImageSet(pictures, torch.arange(64) % 3)
    settings = spec.Training(epochs=1, batch_size=64, learning_rate=1e-9, weight_decay=0)
    some = network()
    setup = TrainingSetup(Objective(Classification()), part, part, settings, 0, "it")
    train(some, setup, tmp_path / "checkpoint.safetensors")
    seen = some[0](to_scene(pictures)).detach()
    torch.testing.assert_close(some[1].running_mean, 0.3 * seen.mean((0, 2, 3)))
