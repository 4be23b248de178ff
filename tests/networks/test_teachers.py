"""Teachers: built in, or the user's own."""

import sys

import pytest
import torch

from hybridonn.errors import SpecError
from hybridonn.networks.features import penultimate
from hybridonn.networks.teachers import build_teacher

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
        ("lenett", {}, "allowed is lenet or package.module:callable"),
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
