"""The one training loop: schedule, order, choice of the epoch, interruption, faults."""

import math

import pytest
import torch
from torch import nn

from hybridonn import spec
from hybridonn.core.errors import TrainingError
from hybridonn.core.random import seeded
from hybridonn.data.batches import to_scene
from hybridonn.data.dataset import ImageSet
from hybridonn.distillation import training
from hybridonn.distillation.augmentation import make_view
from hybridonn.distillation.checkpoint import TrainingState, load_checkpoint, save_checkpoint
from hybridonn.distillation.loss import Objective
from hybridonn.distillation.schedule import one_cycle
from hybridonn.distillation.training import (
    TrainingSetup,
    choose_device,
    draw_batches,
    predict,
    train,
)
from hybridonn.tasks.classification import Classification


@pytest.fixture
def images():
    with seeded("images"):
        labels = torch.arange(90) % 3
        pictures = torch.randint(0, 100, (90, 1, 6, 6), dtype=torch.uint8)
        pictures[torch.arange(90), 0, labels, :] = 255  # a bright row tells the class
    return ImageSet(pictures, labels)


def network():
    with seeded("network"):
        return nn.Sequential(
            nn.Conv2d(1, 4, 3),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.Flatten(),
            nn.Dropout(0.2),
            nn.Linear(64, 3),
        )


def make_setup(images, **changes):
    settings = {"epochs": 5, "batch_size": 16, "learning_rate": 0.01} | changes
    return TrainingSetup(
        Objective(Classification()),
        images.take(torch.arange(60)),
        images.take(torch.arange(60, 90)),
        spec.Training(**settings),
        seed=0,
        label="network",
    )


def test_it_learns_and_tells_each_epoch(images, tmp_path):
    student = network()
    history = train(student, make_setup(images, epochs=15), tmp_path / "c.safetensors")
    assert [row["epoch"] for row in history] == list(range(1, 16))
    assert history[-1]["loss"] < 0.3 * history[0]["loss"]
    assert history[-1]["validation_accuracy"] > 0.9


class KilledError(Exception):
    """Stands for a kill: nothing after it runs."""


@pytest.mark.parametrize("epoch", [0, 1, 4])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"augmentation": {"shift_pixels": 1.0, "rotation_degrees": 5.0}},
        {"augmentation": {"flip": True, "crop_pixels": 1}, "views": 2},
        {"precision": "bfloat16"},
        {"averaging_start": 0.3},
        {"augmentation": {"mixup_alpha": 0.4, "cutmix_alpha": 1.0}},
        {"augmentation": {"mixup_alpha": 0.4, "cutmix_alpha": 1.0}, "views": 2},
    ],
    ids=["plain", "augmented", "views", "bfloat16", "averaged", "mixed", "mixed views"],
)
def test_a_killed_training_ends_with_the_same_weights(images, tmp_path, epoch, changes):
    plan = make_setup(images, **changes)
    whole, killed, resumed = network(), network(), network()
    history = train(whole, plan, tmp_path / "whole.safetensors")

    def kill(_):
        kill.calls += 1
        if kill.calls > epoch:
            raise KilledError
        return {}

    kill.calls = 0
    fatal = TrainingSetup(**(vars(plan) | {"epoch_callback": kill}))
    with pytest.raises(KilledError):
        train(killed, fatal, tmp_path / "killed.safetensors")
    again = train(resumed, plan, tmp_path / "killed.safetensors")
    for a, b in zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    strip = lambda rows: [{k: v for k, v in r.items() if k != "seconds"} for r in rows]  # noqa: E731
    assert strip(history) == strip(again)


@pytest.mark.parametrize("fused", [True, False])
def test_after_a_checkpoint_a_step_is_what_it_would_have_been(tmp_path, fused):
    def begin():
        with seeded("two convolutions"):
            net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 6, 3, padding=1))
        net.to(memory_format=torch.channels_last)
        return net, torch.optim.AdamW(net.parameters(), lr=0.1, fused=fused)

    def step(net, optimizer, k):
        optimizer.zero_grad()
        scene = torch.rand(2, 3, 6, 6, generator=torch.Generator().manual_seed(k))
        net(scene.contiguous(memory_format=torch.channels_last)).square().sum().backward()
        optimizer.step()

    whole, first = begin()
    for k in range(3):
        step(whole, first, k)
    save_checkpoint(tmp_path / "c.safetensors", whole, first, TrainingState(epoch=1))
    resumed, second = begin()
    load_checkpoint(tmp_path / "c.safetensors", resumed, second)
    for k in range(3, 6):
        step(whole, first, k)
        step(resumed, second, k)
    for a, b in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(a, b)


def test_the_best_epoch_is_kept(images, tmp_path):
    scores = []

    def spoil(net):
        scores.append(net[-1].bias.detach().clone())
        return {}

    plan = TrainingSetup(**(vars(make_setup(images, epochs=8)) | {"epoch_callback": spoil}))
    student = network()
    history = train(student, plan, tmp_path / "c.safetensors")
    best = max(history, key=lambda row: (row["validation_accuracy"], -row["validation_loss"]))
    assert torch.equal(student[-1].bias, scores[best["epoch"] - 1])


def test_bfloat16_learns_too(images, tmp_path):
    plan = make_setup(images, epochs=15, precision="bfloat16")
    assert train(network(), plan, tmp_path / "c.safetensors")[-1]["validation_accuracy"] > 0.9


def test_a_batch_knows_how_far_the_training_is(images):
    plan = make_setup(images, epochs=4, batch_size=30)
    seen = [b.progress for e in (0, 3) for b in draw_batches(plan, e, torch.device("cpu"))]
    assert seen == [0, 0.125, 0.75, 0.875]


def test_patience_ends_a_training_that_no_longer_gets_better(images, tmp_path):
    history = train(
        network(), make_setup(images, epochs=60, patience=3), tmp_path / "c.safetensors"
    )
    rank = [(row["validation_accuracy"], -row["validation_loss"]) for row in history]
    assert len(history) < 60
    assert len(history) - (rank.index(max(rank)) + 1) == 3


def test_the_data_order_depends_on_seed_and_epoch_alone(images):
    plan = make_setup(images)
    orders = [
        torch.cat([b.indices for b in draw_batches(plan, epoch, torch.device("cpu"))])
        for epoch in (0, 0, 1)
    ]
    assert torch.equal(orders[0], orders[1])
    assert not torch.equal(orders[0], orders[2])
    assert orders[0].unique().numel() == 60  # 3 x 16 and a last batch of 12


@pytest.mark.parametrize("changes", [{}, {"augmentation": {"shift_pixels": 1}, "views": 4}])
def test_epochs_of_several_passes_are_the_same_steps_judged_less_often(images, tmp_path, changes):
    found = {}
    for epochs, passes in ((6, 1), (2, 3)):
        plan = make_setup(images, epochs=epochs, passes_per_epoch=passes, **changes)
        net = network()
        net[4] = nn.Identity()  # dropout has a seed for each epoch
        history = training.train(net, plan, tmp_path / f"{passes}.safetensors")
        assert len(history) == epochs
        found[passes] = history
    assert found[3][0]["loss"] == pytest.approx(sum(row["loss"] for row in found[1][:3]) / 3)
    for late, row in zip((2, 5), found[3], strict=True):
        for name in ("validation_loss", "validation_accuracy", "learning_rate"):
            assert row[name] == found[1][late][name]


def test_passes_of_an_epoch_have_orders_of_their_own(images):
    plan = make_setup(images, epochs=2, passes_per_epoch=2)
    batches = list(draw_batches(plan, 1, torch.device("cpu")))
    half = len(batches) // 2
    first, second = (torch.cat([b.indices for b in batches[i * half :][:half]]) for i in (0, 1))
    assert not torch.equal(first, second)
    assert torch.equal(first.sort().values, second.sort().values)
    assert [batches[0].progress, batches[half].progress] == [0.5, 0.75]


def test_a_handful_of_images_is_no_batch(images):
    sizes = [
        len(b.labels)
        for b in draw_batches(make_setup(images, batch_size=28), 0, torch.device("cpu"))
    ]
    assert sizes == [28, 28]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_stops_and_keeps_the_checkpoint(images, tmp_path, value):
    class Sick(Classification):
        def loss(self, logits, labels):
            calls.append(1)
            return super().loss(logits, labels) * (value if len(calls) == 9 else 1)

    calls: list[int] = []
    plan = TrainingSetup(**(vars(make_setup(images)) | {"objective": Objective(Sick())}))
    with pytest.raises(TrainingError, match=r"not finite at step 8 .*last complete epoch"):
        train(network(), plan, tmp_path / "c.safetensors")
    assert len(train(network(), make_setup(images, epochs=2), tmp_path / "c.safetensors")) == 2


def test_the_schedule_is_torchs_one_cycle():
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    torchs = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.02, total_steps=200)
    for step in range(200):
        # torch turns half a step earlier and ends a step earlier: the shape is the same.
        expected = optimizer.param_groups[0]["lr"]
        assert one_cycle(step, 200, 0.02) == pytest.approx(expected, abs=0.02 * 0.02)
        optimizer.step()
        torchs.step()


def test_prediction_leaves_the_mode_as_it_was(images):
    student = network().train()
    logits = predict(student, images.images, batch_size=7)
    assert student.training
    assert torch.equal(logits, predict(student.eval(), images.images, batch_size=7))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_where_there_is_none_is_an_error():
    with pytest.raises(TrainingError, match="use auto"):
        choose_device("cuda")


@pytest.mark.cuda
def test_it_learns_on_cuda_in_mixed_precision(images, tmp_path):
    history = train(network(), make_setup(images, epochs=15), tmp_path / "c.safetensors")
    assert history[-1]["validation_accuracy"] > 0.9


def test_a_batch_of_a_view_says_which_view_it_is_of(images):
    plan = make_setup(images, augmentation={"flip": True}, views=2, batch_size=60)
    seen = [next(draw_batches(plan, epoch, torch.device("cpu"))) for epoch in range(3)]
    assert [int(batch.indices.min()) for batch in seen] == [0, 60, 0]
    assert [int(batch.indices.max()) for batch in seen] == [59, 119, 59]
    first, third = (batch.inputs[batch.indices.argsort()] for batch in (seen[0], seen[2]))
    assert torch.equal(first, third)


def _mix_views(images, batch_size):
    changes = {"augmentation": {"mixup_alpha": 1.0}, "views": 2, "batch_size": batch_size}
    return make_setup(images, **changes)


def test_a_mixed_view_keeps_its_batches_and_shuffles_them(images):
    plan = _mix_views(images, 20)
    epochs = [list(draw_batches(plan, epoch, torch.device("cpu"))) for epoch in range(20)]
    assert all([len(batch) for batch in seen] == [20, 20, 20] for seen in epochs)
    keys = [[frozenset(batch.indices.tolist()) for batch in seen] for seen in epochs]
    first = [tuple(one) for one in keys[::2]]
    assert len({frozenset(one) for one in first}) == 1  # the same batches of the same view
    assert len(set(first)) > 2  # in any order
    assert frozenset(keys[1]) != frozenset(keys[0])
    assert min(int(batch.indices.min()) for batch in epochs[1]) >= 60
    again = {frozenset(batch.indices.tolist()): batch for batch in epochs[2]}
    for batch in epochs[0]:
        other = again[frozenset(batch.indices.tolist())]
        mine, its = batch.indices.argsort(), other.indices.argsort()
        assert torch.equal(batch.inputs[mine], other.inputs[its])
        assert batch.mixture.share == other.mixture.share
        # a batch holds the very images that its mixture names
        view = make_view(plan.train, plan.objective.task, spec.Augmentation(), 0).images
        own = to_scene(view[batch.indices])
        partners, share = batch.mixture.partners, batch.mixture.share
        mixed = share * own + (1 - share) * own[partners]
        torch.testing.assert_close(batch.inputs, mixed, rtol=0, atol=0.51 / 255)
        assert torch.equal(batch.labels, plan.train.labels[batch.indices])


def test_the_images_of_a_mixed_batch_change_places(images):
    # kernels compare the first images of a batch, which must not be the same ones in each epoch
    plan = _mix_views(images, 60)
    seen = [next(draw_batches(plan, epoch, torch.device("cpu"))) for epoch in range(0, 20, 2)]
    assert {int(batch.indices[0]) for batch in seen} > {int(seen[0].indices[0])}
    assert len({tuple(batch.indices.tolist()) for batch in seen}) == len(seen)


@pytest.mark.parametrize(
    ("batch_size", "sizes"), [(25, [30, 30]), (45, [60]), (100, [60]), (16, [16, 16, 16, 12])]
)
def test_a_mixed_view_leaves_no_image_out_for_good(images, batch_size, sizes):
    # whoever is in no batch of a fixed view would never be seen
    plan = _mix_views(images, batch_size)
    seen = list(draw_batches(plan, 1, torch.device("cpu")))
    assert sorted(map(len, seen), reverse=True) == sizes
    assert sorted(torch.cat([batch.indices for batch in seen]).tolist()) == [*range(60, 120)]


class Complex(nn.Module):
    """A network of one complex mask, as a user's own teacher may be."""

    def __init__(self):
        super().__init__()
        self.mask = nn.Parameter(torch.ones(3, 6, 6, dtype=torch.complex64))

    def forward(self, scene):
        return torch.einsum("bchw,khw->bk", scene.to(self.mask.dtype), self.mask).abs()


def test_complex_weights_are_trained_as_well(images, tmp_path):
    masks = Complex()
    history = train(masks, make_setup(images, epochs=3), tmp_path / "c.safetensors")
    assert history[-1]["loss"] < history[0]["loss"]
    assert masks.mask.is_complex() and bool((masks.mask != 1).all())


def test_the_optimizer_is_adamw(images, tmp_path):
    """One step against the equations of Loshchilov and Hutter 2019, algorithm 2."""
    made = network().eval()  # no dropout in the reference
    settings = {"epochs": 1, "batch_size": 60, "learning_rate": 0.01, "weight_decay": 0.1}
    task = make_setup(images, **settings)
    student = nn.Sequential(made[0], made[2], made[3], made[5])  # nothing that is random
    before = {name: value.detach().clone() for name, value in student.named_parameters()}
    scene, labels = to_scene(task.train.images), task.train.labels
    torch.nn.functional.cross_entropy(student(scene), labels).backward()
    slopes = {name: value.grad.clone() for name, value in student.named_parameters()}
    rate = one_cycle(0, 1, 0.01)
    train(student, task, tmp_path / "c.safetensors")
    for name, value in student.named_parameters():
        # After one step both moments, freed of their bias, are the slope and its square.
        step = slopes[name] / (slopes[name].abs() + 1e-8)
        expected = before[name] * (1 - rate * 0.1) - rate * step
        torch.testing.assert_close(value.detach(), expected, rtol=1e-4, atol=1e-6)
