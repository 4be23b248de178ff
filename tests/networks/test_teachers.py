"""Teachers: built in, or the user's own."""

import sys

import pytest
import torch

from hybridonn.errors import ArtefactError, SpecError
from hybridonn.files import write_tensors
from hybridonn.networks.features import penultimate
from hybridonn.networks.hybrid import count_parameters
from hybridonn.networks.teachers import build_teacher, load_weights

OWN = """
import torch
from torch import nn

def linear(image_shape, classes, scale=1.0):
    pixels = image_shape[0] * image_shape[1] * image_shape[2]
    return nn.Sequential(nn.Flatten(), nn.Linear(pixels, classes))

def fixed():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 3))

def words():
    return "no module"
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    (tmp_path / "own_teacher.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    yield "own_teacher"
    sys.modules.pop("own_teacher", None)


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 32, 20)])
def test_lenet_fits_images_of_any_size(shape):
    teacher = build_teacher("lenet", {"channels": [4, 8], "hidden": 16}, shape, 5, seed=0)
    assert teacher(torch.rand(2, *shape)).shape == (2, 5)
    assert penultimate(teacher.eval(), torch.rand(2, *shape)).shape == (2, 16)


def test_a_teacher_of_ones_own_gets_what_it_asks_for(own):
    assert build_teacher(f"{own}:linear", {"scale": 2.0}, (1, 4, 4), 3, 0)[1].out_features == 3
    assert build_teacher(f"{own}:fixed", {}, (1, 8, 8), 3, 0)[1].in_features == 64


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("lenett", {}, "allowed is lenet, .* or package.module:callable"),
        ("lenet", {"depth": 3}, "cannot be built.*depth"),
        ("lenet", {"channels": [4, 4, 4, 4, 4]}, "cannot"),
        ("no_such_package:x", {}, "cannot be imported"),
        ("own_teacher:missing", {}, "cannot be imported"),
        ("own_teacher:words", {}, "must be an nn.Module"),
        ("own_teacher:fixed", {}, r"gives \(2, 3\).*allowed is \(2, 10\)"),
    ],
)
def test_a_teacher_that_does_not_fit_is_refused(own, name, arguments, words):
    with pytest.raises(SpecError, match=words):
        build_teacher(name, arguments, (1, 8, 8), 10, seed=0)


def test_the_users_own_teacher_that_cannot_take_the_images(own):
    with pytest.raises(SpecError, match=r"cannot take images of \(1, 9, 9\)"):
        build_teacher(f"{own}:fixed", {}, (1, 9, 9), 3, seed=0)


@pytest.mark.parametrize(
    ("name", "shape", "classes", "millions"),
    [
        ("alexnet", (3, 224, 224), 10, 57.04),
        ("resnet18", (3, 224, 224), 1000, 11.69),  # torchvision's own count
        ("resnet50", (3, 224, 224), 1000, 25.56),
        ("airbench", (3, 32, 32), 10, 0.79),
    ],
)
def test_teachers_have_their_published_sizes(name, shape, classes, millions):
    teacher = build_teacher(name, {}, shape, classes, seed=0)
    assert count_parameters(teacher) / 1e6 == pytest.approx(millions, abs=0.005)


@pytest.mark.parametrize(
    ("name", "arguments", "per_pixel"),
    [
        ("alexnet", {"hidden": 8}, False),
        ("resnet18", {"width": 4}, False),
        ("resnet50", {"width": 4}, False),
        ("airbench", {"widths": [4, 6, 8]}, False),
        ("u-net", {"width": 4}, True),
        ("resu-net", {"width": 4, "depth": 2}, True),
    ],
)
def test_every_weight_of_a_teacher_is_used(name, arguments, per_pixel):
    teacher = build_teacher(name, arguments, (3, 32, 32), 3, seed=0, per_pixel=per_pixel)
    logits = teacher(torch.rand(4, 3, 32, 32))
    assert logits.shape == ((4, 3, 32, 32) if per_pixel else (4, 3))
    (logits * torch.rand_like(logits)).sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in teacher.parameters())


@pytest.mark.parametrize(("name", "per_pixel"), [("u-net", False), ("resnet18", True)])
def test_a_teacher_of_another_task_is_refused(name, per_pixel):
    with pytest.raises(SpecError, match="allowed is"):
        build_teacher(name, {"width": 4}, (3, 32, 32), 2, seed=0, per_pixel=per_pixel)


def test_a_u_net_says_which_sizes_it_takes():
    with pytest.raises(SpecError, match="multiple of 16"):
        build_teacher("u-net", {"width": 4}, (3, 24, 24), 2, seed=0, per_pixel=True)


def test_weights_come_from_a_file_and_must_fit(tmp_path):
    arguments = {"channels": [4, 8], "hidden": 16}
    a, b = (build_teacher("lenet", arguments, (1, 8, 8), 5, seed=s) for s in (0, 1))
    path = tmp_path / "weights.safetensors"
    write_tensors(path, {k: v for k, v in a.state_dict().items() if "num_batches" not in k})
    load_weights(b, path)
    for x, y in zip(a.parameters(), b.parameters(), strict=True):
        assert torch.equal(x, y)
    tensors = dict(a.state_dict())
    tensors["extra"] = tensors.pop("0.weight")
    tensors["13.bias"] = torch.zeros(7)
    write_tensors(path, tensors)
    with pytest.raises(ArtefactError, match=r"lacks 0\.weight.*excess extra.*\(7,\) in place"):
        load_weights(b, path)
    path.write_bytes(b"no tensors")
    with pytest.raises(ArtefactError, match="damaged"):
        load_weights(b, path)
