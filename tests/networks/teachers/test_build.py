"""Teachers: built in, or the user's own."""

import sys

import pytest
import torch

from hybridonn.core.errors import ArtefactError, SpecError
from hybridonn.core.files import write_tensors
from hybridonn.networks.features import penultimate
from hybridonn.networks.hybrid import count_parameters
from hybridonn.networks.teachers.build import build_teacher, load_weights

OWN = """
import torch
from torch import nn

class Odd(nn.Module):
    def __init__(self, image_shape, classes, how="right"):
        super().__init__()
        self.how = how
        self.layer = nn.Linear(image_shape[1] * image_shape[2], classes)
        if how == "frozen":
            self.requires_grad_(False)
        if how == "double":
            self.double()

    def forward(self, scene):
        scene = scene.double() if self.how == "double" else scene
        logits = self.layer(scene.flatten(1))
        return {
            "tuple": (logits, logits),
            "dict": {"logits": logits},
            "none": None,
            "whole": logits.argsort(),
            "infinite": logits / 0,
            "training": logits[:, :-1] if self.training else logits,
            "transposed": logits.T,
            "pixels": logits[:, :, None, None],
            "mixing": logits - logits.mean(0),
            "noisy": logits + torch.randn_like(logits),
        }.get(self.how, logits)

class Empty(nn.Module):
    def forward(self, scene):
        return scene.flatten(1)[:, :10]

class Exits(nn.Module):
    def forward(self, scene):
        raise KeyError("inner")

class Lazy(nn.Sequential):
    def __init__(self, classes):
        super().__init__(nn.Flatten(), nn.LazyLinear(classes), nn.BatchNorm1d(classes))

def raises() -> nn.Module:
    raise ZeroDivisionError("by zero")

def linear(image_shape, classes, scale=1.0) -> nn.Module:
    pixels = image_shape[0] * image_shape[1] * image_shape[2]
    return nn.Sequential(nn.Flatten(), nn.Linear(pixels, classes))

def fixed() -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 3))

def words() -> nn.Module:
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
        (":x", {}, "':x' is no name of code; write package.module:callable"),
        ("own_teacher:", {}, "is no name of code"),
        ("own teacher:fixed", {}, "is no name of code"),
        ("subprocess:getoutput", {"cmd": "touch called"}, "so it is not called"),
        ("os:system", {"command": "touch called"}, "so it is not called"),
        ("own_teacher:torch", {}, "neither a class nor a function but a module"),
        ("own_teacher:raises", {}, "cannot be built.*ZeroDivisionError: by zero"),
        ("own_teacher:Exits", {}, "cannot take images.*KeyError: 'inner'"),
        ("own_teacher:Empty", {}, "has no weights"),
        ("own_teacher:Odd", {"how": "tuple"}, r"gives a tuple for 2 images; allowed is \(2, 10\)"),
        ("own_teacher:Odd", {"how": "dict"}, "gives a dict"),
        ("own_teacher:Odd", {"how": "none"}, "gives a NoneType"),
        (
            "own_teacher:Odd",
            {"how": "whole"},
            "logits of torch.int64; allowed is torch.float",
        ),
        ("own_teacher:Odd", {"how": "double"}, r"torch.float64; .* end its forward by \.float\(\)"),
        ("own_teacher:Odd", {"how": "infinite"}, "gives logits that are not finite"),
        ("own_teacher:Odd", {"how": "training"}, r"gives \(2, 9\) .*, in training mode"),
        ("own_teacher:Odd", {"how": "transposed"}, r"gives \(10, 2\)"),
        ("own_teacher:Odd", {"how": "pixels"}, r"gives \(2, 10, 1, 1\)"),
        ("own_teacher:Odd", {"how": "mixing"}, "other numbers to a sample by itself"),
        ("own_teacher:Odd", {"how": "noisy"}, "other numbers to the same samples once more"),
        ("own_teacher:Odd", {"how": "frozen"}, "all weights of teacher .* are frozen"),
        ("lenet", {"hidden": -1}, "cannot be built"),
        ("lenet", {"hidden": 2.5}, "cannot be built"),
        ("lenet", {"dropout": 7}, "cannot be built"),
        ("lenet", {"channels": "ab"}, "cannot be built"),
        ("lenet", {"hidden": 10**10}, r"teacher lenet would take 10.7 TB of memory.*lower what is"),
        ("lenet", {"hidden": 10**22}, "would take more than a petabyte of memory"),
        ("lenet", {"channels": [4, 10**9]}, r"would take \S+ TB of memory"),
        ("u-net", {"depth": 10**12}, "cannot be halved"),
    ],
)
def test_a_teacher_that_does_not_fit_is_refused(own, name, arguments, words):
    with pytest.raises(SpecError, match=words):
        build_teacher(name, arguments, (1, 8, 8), 10, seed=0)


def test_what_training_alone_needs_is_not_asked_of_a_teacher_with_weights(own):
    for how in ("training", "frozen"):
        build_teacher(f"{own}:Odd", {"how": how}, (1, 8, 8), 10, 0, trained=False)


def test_a_teacher_is_as_it_was_built_after_it_was_tried(own):
    teacher = build_teacher(f"{own}:Lazy", {}, (1, 4, 4), 3, 0)
    assert teacher.training
    assert teacher[1].in_features == 16
    assert (teacher[2].running_mean == 0).all()
    assert teacher[2].num_batches_tracked == 0


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
    ("name", "arguments", "outputs"),
    [
        ("alexnet", {"hidden": 8}, (3,)),
        ("resnet18", {"width": 4}, (3,)),
        ("resnet50", {"width": 4}, (3,)),
        ("airbench", {"widths": [4, 6, 8]}, (3,)),
        ("u-net", {"width": 4}, (3, 32, 32)),
        ("resu-net", {"width": 4, "depth": 2}, (3, 32, 32)),
    ],
)
def test_every_weight_of_a_teacher_is_used(name, arguments, outputs):
    teacher = build_teacher(name, arguments, (3, 32, 32), 3, seed=0, outputs=outputs)
    logits = teacher(torch.rand(4, 3, 32, 32))
    assert logits.shape == (4, *outputs)
    (logits * torch.rand_like(logits)).sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in teacher.parameters())


@pytest.mark.parametrize(("name", "outputs"), [("u-net", (2,)), ("resnet18", (2, 32, 32))])
def test_a_teacher_of_another_task_is_refused(name, outputs):
    with pytest.raises(SpecError, match="allowed is"):
        build_teacher(name, {"width": 4}, (3, 32, 32), 2, seed=0, outputs=outputs)


def test_a_u_net_says_which_sizes_it_takes():
    with pytest.raises(SpecError, match="multiple of 16"):
        build_teacher("u-net", {"width": 4}, (3, 24, 24), 2, seed=0, outputs=(2, 24, 24))


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


class Tied(torch.nn.Module):
    """Two layers with one weight."""

    def __init__(self):
        super().__init__()
        self.a, self.b = torch.nn.Linear(3, 3), torch.nn.Linear(3, 3)
        self.b.weight = self.a.weight


@pytest.mark.parametrize("left_out", [None, "a.weight", "b.weight"])
def test_a_shared_weight_is_found_under_any_of_its_names(tmp_path, left_out):
    one, other = Tied(), Tied()
    tensors = {key: value.clone() for key, value in one.state_dict().items() if key != left_out}
    write_tensors(tmp_path / "tied.safetensors", tensors)
    load_weights(other, tmp_path / "tied.safetensors")
    assert torch.equal(other.b.weight, one.a.weight)
    assert other.b.weight is other.a.weight


def test_a_shared_weight_with_two_values_is_refused(tmp_path):
    tensors = {key: value.clone() for key, value in Tied().state_dict().items()}
    tensors["b.weight"] += 1
    write_tensors(tmp_path / "tied.safetensors", tensors)
    with pytest.raises(ArtefactError, match=r"shared by layers, .* are a\.weight and b\.weight"):
        load_weights(Tied(), tmp_path / "tied.safetensors")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda weight: weight.log(), r"holds NaN or infinity in weight; .* name another file"),
        (lambda weight: weight / 0, "holds NaN or infinity in weight"),
        (lambda weight: weight.double() * 1e300, "holds NaN or infinity in weight"),
        (lambda weight: weight.to(torch.int8), r"another type are weight torch\.int8 in place of"),
        (lambda weight: weight.to(torch.complex64), r"another type are weight torch\.complex64"),
    ],
)
def test_weights_that_no_teacher_can_have_are_refused(tmp_path, change, words):
    layer = torch.nn.Linear(3, 3)
    torch.nn.init.constant_(layer.weight, -1)
    tensors = layer.state_dict() | {"weight": change(layer.weight.detach())}
    write_tensors(tmp_path / "weights.safetensors", tensors)
    with pytest.raises(ArtefactError, match=words):
        load_weights(layer, tmp_path / "weights.safetensors")


def test_weights_of_another_precision_are_taken(tmp_path):
    layer, other = torch.nn.Linear(3, 3), torch.nn.Linear(3, 3)
    write_tensors(tmp_path / "weights.safetensors", layer.double().state_dict())
    load_weights(other, tmp_path / "weights.safetensors")
    assert torch.equal(other.weight.double(), layer.weight.float().double())


def test_a_built_in_teacher_that_cannot_be_built_takes_no_memory_first(monkeypatch):
    """Four thousand million channels fail for another reason than their size."""
    built = []
    monkeypatch.setattr(
        torch.nn.Conv2d, "reset_parameters", lambda one: built.append(one.weight.device.type)
    )
    with pytest.raises(SpecError, match="teacher lenet cannot be built with"):
        build_teacher("lenet", {"channels": [4096, "x"]}, (1, 8, 8), 10, 0)
    assert set(built) <= {"meta"}
