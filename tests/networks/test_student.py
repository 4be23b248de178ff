"""The hybrid network: its contract, its size, its seed."""

import pytest
import torch
from torch.nn import functional as F

from hybridonn import spec
from hybridonn.core.errors import SpecError
from hybridonn.networks.frontends.frontend import split_signs
from hybridonn.networks.frontends.ideal_convolution import IdealConvolution
from hybridonn.networks.frontends.parallel import ParallelFrontend
from hybridonn.networks.hybrid import count_parameters
from hybridonn.networks.student import build_student
from hybridonn.tangent import ntk


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
    picked = dense.frontend(scene)[0][:, :, ::stride, ::stride]
    torch.testing.assert_close(student.frontend(scene), (picked,))
    assert student(scene).shape == (2, 10)


@pytest.mark.parametrize("pooling", ["average", "max"])
@pytest.mark.parametrize("hidden", [(), (5,), (6, 4)])
def test_a_design_is_a_few_lines_of_spec(pooling, hidden):
    design = spec.Student(kernels=3, kernel_size=5, pooling=pooling, pooled_size=4, hidden=hidden)
    student = build_student(design, (3, 9, 11), 7, seed=1)
    assert student.frontend(torch.rand(2, 3, 9, 11))[0].shape == (2, 3, 9, 11)
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
    torch.testing.assert_close(frontend(scene)[0], difference, atol=1e-5, rtol=1e-5)


def test_darkness_gives_no_signal():
    assert not IdealConvolution(4, 5, 2)(torch.zeros(1, 2, 9, 9))[0].any()


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


@pytest.mark.parametrize(
    ("name", "shape", "classes", "kernels", "most"),
    [
        ("compressed_meta", (1, 28, 28), 10, (8, 1, 7, 7), 50_000),
        ("polychromatic_meta", (3, 32, 32), 10, (16, 3, 7, 7), 1_620_000),
        ("polychromatic_segmentation", (3, 32, 32), 2, (56, 3, 3, 3), 1_060_000),
        ("extreme_meta", (3, 32, 32), 2, (56, 3, 3, 3), 1_060_000),
    ],
)
def test_the_systems_of_the_paper(name, shape, classes, kernels, most):
    student = build_student(spec.Student(name=name), shape, classes, seed=0)
    assert tuple(student.frontend.signed_kernels().shape) == kernels
    assert student.frontend.kernels == kernels[0] == spec.Student(name=name).kernels
    assert count_parameters(student) <= most
    answer = (2, classes) if classes == 10 else (2, classes, *shape[1:])
    assert student(torch.rand(2, *shape)).shape == answer


@pytest.mark.parametrize("backend", ["dense", "upsampling"])
def test_random_kernels_are_fixed(backend):
    design = spec.Student(name="random_kernels", kernels=5, backend=backend, stride=2)
    student = build_student(design, (3, 16, 16), 2, seed=0)
    assert count_parameters(student.frontend) == 0
    student(torch.rand(2, 3, 16, 16)).sum().backward()
    layers = [m for m in student.backend.modules() if isinstance(m, LAYERS)]
    assert len(layers) == 1


LAYERS = (torch.nn.Linear, torch.nn.Conv2d, torch.nn.ConvTranspose2d)


def test_binning_is_a_wider_point_spread_function_on_a_coarser_sensor():
    frontend = ParallelFrontend([IdealConvolution(2, 3, 3)], [2])
    scene = torch.rand(1, 3, 12, 12)
    wide = frontend.branches[0].signed_kernels().repeat_interleave(2, -1).repeat_interleave(2, -2)
    expected = F.conv2d(F.pad(scene, [2, 2, 2, 2]), wide / 4, stride=2)
    torch.testing.assert_close(frontend(scene)[0], expected, atol=1e-5, rtol=1e-5)


def test_a_new_design_of_branches_is_a_few_lines_of_spec():
    design = spec.Student(
        backend="pyramid",
        branches=[{"kernels": 2, "binning": 2}, {"kernels": 3, "kernel_size": 5, "binning": 4}],
        hidden=[4, 6],
        rectification="two_sided",
    )
    student = build_student(design, (1, 24, 16), 3, seed=0)
    assert design.kernels == 5
    assert student.frontend.signed_kernels().shape == (5, 1, 5, 5)
    assert student(torch.rand(2, 1, 24, 16)).shape == (2, 3, 24, 16)
    with pytest.raises(SpecError, match="does not divide the images of 26 x 16"):
        build_student(design, (1, 26, 16), 3, seed=0)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"name": "extreme_meta", "kernels": 9}, "branches have 56"),
        ({"backend": "pyramid"}, "joins two or more branches; 0"),
        ({"branches": [{"kernels": 2}]}, "takes no branches"),
        ({"name": "extreme_meta", "hidden": [3]}, "takes one a branch"),
        ({"branches": [{"kernels": 2, "kernel_size": 4}]}, "kernel_size is 4"),
    ],
)
def test_parts_that_do_not_fit_each_other_are_refused(keys, words):
    with pytest.raises(ValueError, match=words):
        spec.Student(**keys)


TINY = {
    "dense": spec.Student(
        kernels=2, kernel_size=3, pooled_size=2, hidden=(3,), normalisation="batch", dropout=0.2
    ),
    "two_sided": spec.Student(
        kernels=2, kernel_size=3, pooled_size=2, hidden=(), rectification="two_sided"
    ),
    "pyramid": spec.Student(
        name="polychromatic_segmentation",
        branches=[{"kernels": 1}, {"kernels": 2, "binning": 2}],
        hidden=(2, 3),
    ),
    "coarse_fine": spec.Student(
        name="extreme_meta",
        branches=[{"kernels": 1}, {"kernels": 2, "binning": 2}],
        hidden=(2, 2),
    ),
    "upsampling": spec.Student(kernels=2, kernel_size=3, backend="upsampling", stride=2),
}


@pytest.mark.parametrize("name", TINY)
@pytest.mark.filterwarnings("error")
def test_the_tangent_kernel_is_that_of_the_dense_jacobian(name):
    student = build_student(TINY[name], (2, 8, 8), 2, seed=0).double()
    scene = torch.rand(3, 2, 8, 8, dtype=torch.float64)
    student(scene)  # running statistics that are not all zero and one
    student.eval()
    parameters = {n: p for n, p in student.named_parameters() if p.requires_grad}

    def answer(values, one):
        return torch.func.functional_call(student, values, (one[None],)).flatten()

    jacobian = torch.func.vmap(torch.func.jacrev(answer), (None, 0))(parameters, scene)
    rows = torch.cat([part.flatten(2) for part in jacobian.values()], 2).flatten(1)
    torch.testing.assert_close(ntk(student, scene), rows @ rows.T, rtol=1e-9, atol=1e-9)
