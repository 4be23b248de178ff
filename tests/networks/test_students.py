"""The hybrid network: its contract, its size, its seed."""

import pytest
import torch
from torch.nn import functional as F

from hybridonn import spec
from hybridonn.errors import SpecError
from hybridonn.networks.frontends import IdealConvolution, split_signs
from hybridonn.networks.hybrid import count_parameters
from hybridonn.networks.students import build_student


def test_compressed_meta_has_the_size_of_the_paper():
    student = build_student(spec.Student(), (1, 28, 28), 10, seed=0)
    assert count_parameters(student.frontend) == 8 * 7 * 7
    assert count_parameters(student.backend) == 8 + 288 * 160 + 160 + 160 * 10 + 10 <= 50_000
    assert student(torch.rand(3, 1, 28, 28)).shape == (3, 10)


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_a_stride_is_a_coarser_sensor(stride):
    design = spec.Student(kernel_size=5, pooled_size=3, stride=stride)
    student = build_student(design, (1, 28, 25), 10, seed=0)
    dense = build_student(spec.Student(kernel_size=5, pooled_size=3), (1, 28, 25), 10, seed=0)
    scene = torch.rand(2, 1, 28, 25)
    picked = dense.frontend(scene)[:, :, ::stride, ::stride]
    torch.testing.assert_close(student.frontend(scene), picked)
    assert student(scene).shape == (2, 10)


@pytest.mark.parametrize("pooling", ["average", "max"])
@pytest.mark.parametrize("hidden", [(), (5,), (6, 4)])
def test_a_design_is_a_few_lines_of_spec(pooling, hidden):
    design = spec.Student(kernels=3, kernel_size=5, pooling=pooling, pooled_size=4, hidden=hidden)
    student = build_student(design, (3, 9, 11), 7, seed=1)
    assert student.frontend(torch.rand(2, 3, 9, 11)).shape == (2, 3, 9, 11)
    assert student(torch.rand(2, 3, 9, 11)).shape == (2, 7)


def test_the_seed_fixes_the_weights_and_nothing_else():
    torch.manual_seed(5)
    first = torch.rand(1)
    torch.manual_seed(5)
    a, b, c = (build_student(spec.Student(), (1, 28, 28), 10, seed) for seed in (3, 3, 4))
    assert torch.equal(torch.rand(1), first)
    for x, y, z in zip(a.parameters(), b.parameters(), c.parameters(), strict=True):
        assert torch.equal(x, y)
        assert not torch.equal(x, z) or x.abs().sum() == 0  # biases begin at zero


def test_two_non_negative_pictures_subtract_to_the_signed_one():
    frontend = IdealConvolution(4, 5, 2)
    scene = torch.rand(2, 2, 12, 12)
    plus, minus = split_signs(frontend.signed_kernels())
    assert plus.min() >= 0
    assert minus.min() >= 0
    difference = F.conv2d(scene, plus, padding=2) - F.conv2d(scene, minus, padding=2)
    torch.testing.assert_close(frontend(scene), difference, atol=1e-5, rtol=1e-5)


def test_darkness_gives_no_signal():
    assert not IdealConvolution(4, 5, 2)(torch.zeros(1, 2, 9, 9)).any()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"pooled_size": 9}, "pooled_size is 9"),
        ({"kernel_size": 17}, "kernel_size is 17"),
        ({"stride": 3, "pooled_size": 4}, "feature maps are 3 x 3"),
    ],
)
def test_a_design_that_does_not_fit_the_images_is_refused(change, words):
    with pytest.raises(SpecError, match=words):
        build_student(spec.Student(**change), (1, 8, 8), 10, seed=0)
