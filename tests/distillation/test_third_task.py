"""A task that nobody knows, the depth of each pixel, is split, augmented, taught and distilled."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from hybridonn import spec
from hybridonn.data.dataset import ImageSet, UnsplitSet
from hybridonn.data.splits import split_set
from hybridonn.distillation.loss import Objective
from hybridonn.distillation.teacher_targets import LiveTargets
from hybridonn.distillation.training import TrainingSetup, predict, train
from hybridonn.networks.student import build_student
from hybridonn.networks.teachers.build import build_teacher
from hybridonn.tasks.segmentation import Segmentation
from hybridonn.tasks.strata import rank_strata

COUNT, SIDE = 48, 8
MOVED = spec.Augmentation(flip=True, crop_pixels=1, rotation_degrees=5)


class Depth(Segmentation):
    """Depths as they are, float32 (N, H, W), of which each image's share within 25 % counts."""

    metric = "delta1"

    def loss(self, logits, labels):
        return F.mse_loss(logits[:, 0], labels)

    def divergence(self, student, teacher, temperature):
        return F.mse_loss(student, teacher)

    def predict(self, logits):
        return logits[:, 0]

    def score(self, logits, labels):
        ratio = logits[:, 0].clamp_min(1e-3) / labels.clamp_min(1e-3)
        return ((ratio < 1.25) & (ratio > 0.8)).double().mean((1, 2))

    def check_labels(self, labels, images, classes):
        assert labels.dtype == torch.float32
        assert labels.shape == (len(images), *images.shape[2:])

    def stratify(self, labels, classes):
        return rank_strata(labels.mean((1, 2)), "mean depth")


@pytest.fixture(scope="module")
def split():
    images = torch.randint(20, 256, (COUNT, 1, SIDE, SIDE), generator=dice(), dtype=torch.uint8)
    images = F.avg_pool2d(images.float(), 3, 1, 1).to(torch.uint8)
    depths = 0.5 + images[:, 0].float() / 255
    whole = UnsplitSet("depths", ("depth",), ImageSet(images, depths), None)
    return split_set(whole, spec.Data(), Depth())


def dice():
    return torch.Generator().manual_seed(0)


def trained(network: nn.Module, split, folder, distillation=None, targets=None):
    settings = spec.Training(epochs=8, batch_size=16, learning_rate=1e-2, augmentation=MOVED)
    objective = Objective(Depth(), distillation, targets)
    setup = TrainingSetup(objective, split.train, split.validation, settings, 0, "depths")
    return train(network, setup, folder / "checkpoint.safetensors")


@pytest.mark.parametrize(
    ("method", "contraction"), [("kd", "outputs"), ("ntkd", "outputs"), ("ntkd", "pixels")]
)
def test_depths_are_taught_and_distilled(split, method, contraction, tmp_path):
    outputs = Depth().output_shape(1, split.image_shape)
    arguments = {"width": 2, "depth": 1}
    teacher = build_teacher("u-net", arguments, split.image_shape, 1, 0, outputs=outputs)
    (tmp_path / "teacher").mkdir()
    trained(teacher, split, tmp_path / "teacher")
    student = spec.Student(backend="upsampling", kernels=2, kernel_size=3, hidden=())
    network = build_student(student, split.image_shape, 1, 0, task="segmentation")
    tangent = spec.Tangent(contraction=contraction, pixels=8)
    targets = LiveTargets(teacher, Depth().contraction(None), tangent.teacher_layers)
    settings = spec.Distillation(method=method, tangent=tangent)
    history = trained(network, split, tmp_path, settings, targets)
    assert history[-1]["task"] < 0.9 * history[0]["task"]
    assert set(history[0]) >= {"kd", "validation_delta1"} | ({"ntk"} if method == "ntkd" else set())
    assert predict(network, split.test.images).shape == (len(split.test), 1, SIDE, SIDE)
