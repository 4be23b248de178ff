"""Checkpoints: what is written and when, and that nothing but the truth comes back."""

import pytest
import torch
from torch import nn

from hybridonn import spec
from hybridonn.core.errors import ArtefactError
from hybridonn.core.progress import Silent
from hybridonn.core.random import seeded
from hybridonn.data.dataset import ImageSet
from hybridonn.distillation import checkpoint
from hybridonn.distillation.checkpoint import (
    Keeper,
    TrainingState,
    load_checkpoint,
    save_checkpoint,
    save_outcome,
)
from hybridonn.distillation.loss import Objective
from hybridonn.distillation.training import TrainingSetup, train
from hybridonn.tasks.classification import Classification


class Tied(nn.Module):
    """Two convolutions and two dense layers that share their weights."""

    def __init__(self):
        super().__init__()
        self.first, self.second = (nn.Conv2d(3, 3, 3, padding=1) for _ in range(2))
        self.third, self.last = (nn.Linear(48, 48, bias=False) for _ in range(2))
        self.second.weight, self.last.weight = self.first.weight, self.third.weight

    def forward(self, scene):
        pictures = self.second(torch.relu(self.first(scene.expand(-1, 3, -1, -1))))
        return self.last(torch.relu(self.third(pictures.flatten(1))))


class Plain(nn.Module):
    """One dense layer behind batch norm, which counts."""

    def __init__(self, width=16):
        super().__init__()
        self.norm, self.last = nn.BatchNorm2d(1), nn.Linear(width, 48)

    def forward(self, scene):
        return self.last(self.norm(scene).flatten(1))


@pytest.fixture
def images():
    dice = torch.Generator().manual_seed(0)
    pictures = torch.randint(0, 256, (60, 1, 4, 4), generator=dice, dtype=torch.uint8)
    return ImageSet(pictures, torch.arange(60) % 3)


def build(kind=Plain):
    with seeded("network"):
        return kind()


def make_setup(images, epoch_callback=lambda network: {}, **changes):
    settings = spec.Training(**{"epochs": 6, "batch_size": 16, "learning_rate": 0.01} | changes)
    parts = images.take(torch.arange(40)), images.take(torch.arange(40, 60))
    return TrainingSetup(
        Objective(Classification()), *parts, settings, 0, "network", epoch_callback
    )


def adamw(network):
    return torch.optim.AdamW(network.parameters(), lr=0.1)


def step(network, optimizer):
    optimizer.zero_grad()
    network(torch.rand(4, 1, 4, 4, generator=torch.Generator().manual_seed(0))).sum().backward()
    optimizer.step()


def state_at(epoch, best_epoch, network):
    best = {name: value.clone() for name, value in network.state_dict().items()}
    return TrainingState(epoch=epoch, history=[], best_epoch=best_epoch, best=best)


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


class KilledError(Exception):
    """Stands for a kill: nothing after it runs."""


class Said(Silent):
    def __init__(self):
        self.lines = []

    def say(self, line):
        self.lines.append(line)


@pytest.mark.parametrize("kind", [Plain, Tied])
@pytest.mark.parametrize("due", [True, False], ids=["every-epoch", "the-first"])
def test_a_training_that_is_killed_after_an_epoch_goes_on(images, tmp_path, monkeypatch, kind, due):
    monkeypatch.setattr(checkpoint, "SPARED", 0.0 if due else 1e9)
    whole, resumed = build(kind), build(kind)
    history = train(whole, make_setup(images), tmp_path / "whole.safetensors")

    def kill(network):
        calls.append(1)
        if len(calls) == 5:
            raise KilledError
        return {}

    calls = []
    with pytest.raises(KilledError):
        train(build(kind), make_setup(images, kill), tmp_path / "c.safetensors")
    again = train(resumed, make_setup(images), tmp_path / "c.safetensors")
    assert equal(whole.state_dict(), resumed.state_dict())
    strip = lambda rows: [{k: v for k, v in r.items() if k != "seconds"} for r in rows]  # noqa: E731
    assert strip(history) == strip(again)
    if kind is Tied:
        assert resumed.second.weight is resumed.first.weight
        assert resumed.last.weight is resumed.third.weight


def test_shared_weights_are_written_once_and_come_back_shared(tmp_path):
    network = build(Tied)
    optimizer = adamw(network)
    step(network, optimizer)
    path = tmp_path / "c.safetensors"
    save_checkpoint(path, network, optimizer, state_at(1, 1, network))
    numbers = 3 * sum(weight.numel() for weight in network.parameters())
    assert path.stat().st_size < 4 * numbers + 3000
    other = Tied()
    state = load_checkpoint(path, other, adamw(other))
    assert equal(other.state_dict(), network.state_dict())
    assert other.second.weight is other.first.weight
    assert equal(state.best, network.state_dict())


def test_the_best_weights_are_written_once_and_only_if_they_are_not_the_last(tmp_path):
    network, path = build(), tmp_path / "c.safetensors"
    optimizer = adamw(network)
    step(network, optimizer)
    files = lambda: sorted(file.name for file in tmp_path.iterdir())  # noqa: E731
    best = state_at(3, 3, network)
    save_checkpoint(path, network, optimizer, best)
    assert files() == ["c.safetensors"]
    step(network, optimizer)
    best.epoch = 4
    save_checkpoint(path, network, optimizer, best)
    assert files() == ["c-best-3.safetensors", "c.safetensors"]
    written = (tmp_path / "c-best-3.safetensors").stat().st_mtime_ns
    best.epoch = 5
    save_checkpoint(path, network, optimizer, best)
    assert (tmp_path / "c-best-3.safetensors").stat().st_mtime_ns == written
    other = Plain()
    found = load_checkpoint(path, other, adamw(other))
    assert (found.epoch, found.best_epoch) == (5, 3)
    assert equal(found.best, best.best)
    assert equal(other.state_dict(), network.state_dict())
    save_checkpoint(path, network, optimizer, state_at(6, 6, network))
    assert files() == ["c.safetensors"]


def test_a_training_that_is_over_keeps_the_best_weights_alone(images, tmp_path):
    path, whole, again = tmp_path / "c.safetensors", build(), build()
    history = train(whole, make_setup(images), path)
    assert [file.name for file in tmp_path.iterdir()] == ["c.safetensors"]
    bytes_of_weights = sum(v.numel() * v.element_size() for v in whole.state_dict().values())
    assert path.stat().st_size < bytes_of_weights + 5000

    def never(network):
        raise AssertionError("an epoch was trained")

    assert train(again, make_setup(images, never), path) == history
    assert equal(whole.state_dict(), again.state_dict())


def test_a_longer_training_does_not_go_on_from_a_shorter_one(images, tmp_path):
    train(build(), make_setup(images, epochs=2), tmp_path / "c.safetensors")
    said, longer, fresh = Said(), build(), build()
    assert len(train(longer, make_setup(images), tmp_path / "c.safetensors", said)) == 6
    train(fresh, make_setup(images), tmp_path / "fresh.safetensors")
    assert equal(longer.state_dict(), fresh.state_dict())
    assert len(said.lines) == 1


class Clock:
    """A clock that writing moves on, and training."""

    def __init__(self, cost):
        self.now, self.cost, self.written = 0.0, cost, []

    def monotonic(self):
        return self.now

    def write(self, path, network, optimizer, state):
        self.now += self.cost
        self.written.append(state.epoch)


@pytest.mark.parametrize(
    ("cost", "epoch_s", "expected"),
    [
        (3.0, 10.0, [1, 7, 13, 19]),  # a minute of work at stake
        (3.0, 100.0, list(range(1, 21))),  # an epoch takes longer
        (0.018, 0.25, [1, 5, 9, 13, 17]),  # 2 % of the time
        (0.0, 0.25, list(range(1, 21))),
    ],
)
def test_a_checkpoint_is_written_when_it_is_worth_it(
    tmp_path, monkeypatch, cost, epoch_s, expected
):
    clock = Clock(cost)
    monkeypatch.setattr(checkpoint, "time", clock)
    monkeypatch.setattr(checkpoint, "save_checkpoint", clock.write)
    network = build()
    keeper = Keeper(tmp_path / "c.safetensors", network, adamw(network))
    for epoch in range(1, 21):
        clock.now += epoch_s
        keeper.keep(TrainingState(epoch=epoch))
    assert clock.written == expected


@pytest.fixture
def written(images, tmp_path):
    """A checkpoint after epoch 2 of which 1 was best, and what a training without it comes to."""
    network, path = build(), tmp_path / "c.safetensors"
    optimizer = adamw(network)
    step(network, optimizer)
    state = state_at(2, 1, network)
    step(network, optimizer)
    save_checkpoint(path, network, optimizer, state)
    fresh = build()
    train(fresh, make_setup(images, epochs=2), tmp_path / "fresh" / "c.safetensors")
    return path, fresh.state_dict()


def flip(path, share):
    content = bytearray(path.read_bytes())
    content[int(share * (len(content) - 1))] ^= 4
    path.write_bytes(content)


HARM = {
    **{
        f"bit at {share}": lambda path, s=share: flip(path, s) for share in (0.0, 0.02, 0.5, 0.9, 1)
    },
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-9]),
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_bytes(b"\xff not safetensors"),
    "a bit of the best": lambda path: flip(path.with_name("c-best-1.safetensors"), 0.9),
    "no best": lambda path: path.with_name("c-best-1.safetensors").unlink(),
    "another network": lambda path: save_outcome(path, state_at(2, 1, Plain(width=8))),
    "other notes": lambda path: checkpoint._write(path, {}, {"epoch": 3, "more": 1}),
}


@pytest.mark.parametrize("harm", HARM.values(), ids=HARM)
def test_a_checkpoint_that_is_no_use_is_said_to_be_and_the_training_begins_anew(
    images, written, harm
):
    path, fresh = written
    harm(path)
    with pytest.raises(ArtefactError):
        load_checkpoint(path, build(), adamw(build()))
    network, said = build(), Said()
    train(network, make_setup(images, epochs=2), path, said)
    assert equal(network.state_dict(), fresh)
    assert len(said.lines) == 1 and said.lines[0].endswith("the training begins anew")
    assert "c.safetensors" in said.lines[0] or "c-best-1.safetensors" in said.lines[0]


def test_a_refused_checkpoint_leaves_the_network_as_it_was(written):
    network = Tied()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with pytest.raises(ArtefactError, match=r"is of another network: they differ in first\."):
        load_checkpoint(written[0], network, adamw(network))
    assert equal(network.state_dict(), before)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.complex64, torch.bool, torch.int64])
def test_numbers_of_any_type_have_a_checksum(tmp_path, dtype):
    tensors = {"some": torch.ones(3, 2).to(dtype), "one": torch.ones(()).to(dtype)}
    checkpoint._write(tmp_path / "c.safetensors", tensors, {})
    assert equal(checkpoint._read(tmp_path / "c.safetensors")[0], tensors)
