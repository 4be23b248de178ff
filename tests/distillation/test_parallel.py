"""Two processes train the network that one trains."""

import multiprocessing
import os
import signal
import socket

import pytest
import torch
from torch import nn

from hybridonn.core.errors import HybridonnError, TrainingError
from hybridonn.core.files import read_tensors
from hybridonn.distillation import parallel, training
from hybridonn.distillation.parallel import ALONE, SharedNorm, Team, find_team, prepare
from hybridonn.pipeline.shared_training import train_teacher
from hybridonn.spec import read_spec

SPEC = (
    "data={name: digits, train_images: 100}",
    "teacher={name: lenet, arguments: {dropout: 0}}",
    "teacher.training={epochs: 2, batch_size: 250, precision: float32, "
    "augmentation: {shift_pixels: 1}, averaging_start: 0.5}",
)


def do(rank, port, folder, cache, dies, said):
    """A process as torchrun starts it."""
    torch.set_num_threads(1)
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": "2",
        "LOCAL_WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "HYBRIDONN_CACHE": str(cache),
    }
    if dies and rank == 1:
        training.validate = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
    try:
        said.put((rank, train_teacher(read_spec(None, SPEC), folder)))
    except HybridonnError as error:
        said.put((rank, str(error)))


def train_by_two(tmp_path, dies=False):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("fork")
    said = context.Queue()
    arguments = port, tmp_path / "two", tmp_path / "cache of two", dies, said
    processes = [context.Process(target=do, args=(rank, *arguments)) for rank in range(2)]
    for process in processes:
        process.start()
    found = dict(said.get(timeout=60) for _ in range(1 if dies else 2))
    for process in processes:
        process.join(60)
    return found


@pytest.fixture
def alone(tmp_path, monkeypatch):
    monkeypatch.setenv("HYBRIDONN_CACHE", str(tmp_path / "cache of one"))
    found = train_teacher(read_spec(None, SPEC), tmp_path / "one")
    return found["teacher"], read_tensors(tmp_path / "one" / "teacher" / "weights.safetensors")[0]


def test_two_processes_train_the_teacher_of_one_killed_or_not(alone, tmp_path):
    results, weights = alone
    killed = train_by_two(tmp_path, dies=True)
    assert "another process of this data-parallel training is gone" in killed[0]
    assert "start all processes again" in killed[0]
    found = train_by_two(tmp_path)
    assert found[1] == {}  # process 0 alone writes and tells
    assert found[0]["teacher"]["accuracy"] == pytest.approx(results["accuracy"], abs=0.01)
    shared = read_tensors(tmp_path / "two" / "teacher" / "weights.safetensors")[0]
    assert list(shared) == list(weights)
    for name, value in weights.items():
        torch.testing.assert_close(shared[name], value, rtol=1e-3, atol=1e-4, msg=name)


def test_a_norm_that_is_shared_keeps_weights_names_and_mode():
    network = nn.Sequential(nn.Conv2d(1, 3, 1), nn.BatchNorm2d(3).eval())
    names, weight = list(network.state_dict()), network[1].weight
    prepare(network, Team(0, 2), 8)
    assert isinstance(network[1], SharedNorm)
    assert network[1].weight is weight
    assert not network[1].training
    assert list(network.state_dict()) == names
    scene = torch.rand(4, 1, 2, 2)
    expected = nn.BatchNorm2d(3).eval()(network[0](scene))
    assert torch.allclose(network(scene), expected, atol=1e-6)


def test_batches_too_small_for_all_processes_are_refused():
    with pytest.raises(TrainingError, match="batch_size is 8 and there are 5 processes"):
        prepare(nn.Linear(1, 1), Team(0, 5), 8)


def test_shares_are_the_whole_batch_and_no_image_twice():
    size = 11
    taken = [index for rank in range(3) for index in range(size)[Team(rank, 3).cut(size)]]
    assert taken == list(range(size))


def test_without_torchrun_a_process_is_alone():
    with parallel.join() as team:
        assert team == ALONE == find_team()
