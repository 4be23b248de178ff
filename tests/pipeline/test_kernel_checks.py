"""Layers whose tangent kernel cannot be matched are refused before any training."""

import pytest
import torch
from torch import nn

from hybridonn.core.errors import SpecError
from hybridonn.networks.student import build_student
from hybridonn.pipeline.kernel_checks import refuse_kernels
from hybridonn.spec import read_spec
from hybridonn.tangent import ntk

SHAPE = (1, 8, 8)


class Odd(nn.Module):
    """A teacher whose last parameters are of the kind that is asked for."""

    def __init__(self, kind):
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(64, 6), nn.Tanh())
        self.out = nn.Linear(6, 10, bias=kind != "bias apart")
        self.bias = nn.Parameter(torch.zeros(10)) if kind == "bias apart" else None
        self.scale = nn.Parameter(torch.ones(())) if kind == "scale" else None
        if kind == "frozen":
            self.out.weight.requires_grad_(False)
        if kind == "normalised":
            nn.utils.parametrizations.weight_norm(self.out)

    def forward(self, x):
        found = self.out(self.body(x))
        found = found if self.bias is None else found + self.bias
        return found if self.scale is None else found * self.scale


def check(teacher, *settings):
    spec = read_spec(None, ("distillation.method=ntkd", *settings))
    refuse_kernels(spec, teacher, build_student(spec.student, SHAPE, 10, 0), SHAPE)


@pytest.mark.parametrize("kind", ["bias apart", "frozen"])
def test_a_bias_alone_tells_nothing(kind):
    teacher = Odd(kind)
    kernel = ntk(teacher, torch.rand(5, *SHAPE), layers="last")
    torch.testing.assert_close(kernel, torch.full_like(kernel, 10.0))
    with pytest.raises(
        SpecError, match=r"teacher_layers is last, and of .* the same for all pairs"
    ):
        check(teacher)
    check(teacher, "distillation.tangent.teacher_layers=all")
    check(teacher, "distillation.method=kd")


@pytest.mark.parametrize("kind", ["plain", "normalised", "scale"])
def test_what_sees_the_image_is_matched(kind):
    check(Odd(kind))


def test_units_that_are_all_off_before_the_training_are_no_bias_alone():
    teacher = nn.Sequential(nn.Flatten(), nn.Linear(64, 6), nn.ReLU(), nn.Linear(6, 10))
    nn.init.constant_(teacher[1].bias, -100.0)
    kernel = ntk(teacher, torch.rand(5, *SHAPE), layers="last")
    torch.testing.assert_close(kernel, torch.full_like(kernel, 10.0))
    check(teacher)
    narrow = ("student.hidden=[1]", "student.kernels=1")
    for seed in range(8):
        spec = read_spec(None, ("distillation.method=ntkd", *narrow))
        refuse_kernels(spec, teacher, build_student(spec.student, SHAPE, 10, seed), SHAPE)


@pytest.mark.parametrize("key", ["teacher_layers", "layers"])
def test_layers_that_are_not_there_are_named_with_their_key(key):
    with pytest.raises(SpecError, match=rf"tangent.{key} is \[outt\]: layers names 'outt'"):
        check(Odd("plain"), f"distillation.tangent.{key}=[outt]")


@pytest.mark.parametrize(
    ("key", "named", "cure"),
    [
        ("teacher_layers", "outt", "layers names 'outt'"),
        ("layers", "frontend.optics", "layers names 'frontend.optics'"),
    ],
)
def test_layers_of_a_compensation_are_looked_for_before_any_training(key, named, cure):
    settings = ("distillation.method=kd", "compensation.methods=[none,ntkd]")
    stated = f"compensation.distillation.tangent.{key}"
    with pytest.raises(SpecError, match=rf"^{stated} is \[{named}\]: {cure}"):
        check(Odd("plain"), *settings, f"{stated}=[{named}]")
    check(Odd("plain"), "distillation.method=kd", "compensation={}", f"{stated}=all")


def test_a_bias_alone_tells_nothing_of_a_teacher_that_a_compensation_matches():
    settings = ("distillation.method=kd", "compensation.methods=[none,ntkd]")
    with pytest.raises(SpecError, match=r"^compensation.distillation.tangent.teacher_layers is"):
        check(Odd("frozen"), *settings)
    check(Odd("frozen"), *settings, "compensation.tangent_teacher=student")
    check(
        Odd("frozen"),
        "distillation.method=kd",
        "compensation.methods=[none,kd]",
        "compensation.distillation.method=kd",
    )
