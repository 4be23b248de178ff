"""A backend of the user's own, in a file beside the spec."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from hybridonn.core.errors import SpecError
from hybridonn.core.user_code import hash_code
from hybridonn.data import load_dataset
from hybridonn.networks.backends.table import BACKENDS
from hybridonn.pipeline.fingerprint import fingerprint
from hybridonn.pipeline.loaded_run import load_run
from hybridonn.pipeline.preflight import refuse_networks, refuse_unread
from hybridonn.pipeline.run import estimate, run
from hybridonn.pipeline.stages.student import narrow_student
from hybridonn.spec import dump_spec, read_spec

CODE = """
import torch
from torch import nn

class Head(nn.Module):
    def __init__(self, branch_shapes, output_shape, width=4):
        super().__init__()
        numbers = sum(kernels * height * w for kernels, height, w in branch_shapes)
        self.inner, self.output_shape = nn.Linear(numbers, width), output_shape
        self.outer = nn.Linear(width, torch.Size(output_shape).numel())

    def forward(self, branches):
        joined = torch.cat([one.flatten(1) for one in branches], 1)
        return self.outer(self.inner(joined).relu()).unflatten(1, self.output_shape)

class Frozen(Head):
    def __init__(self, branch_shapes, output_shape):
        super().__init__(branch_shapes, output_shape)
        self.requires_grad_(False)

class OneTensor(Head):
    def forward(self, branches):
        return super().forward((branches.relu(),))

class Wider(Head):
    def forward(self, branches):
        return super().forward(branches)[:, :-1]

class Mixing(Head):
    def forward(self, branches):
        found = super().forward(branches)
        return found - found.mean(0, keepdim=True)

class Noisy(Head):
    def forward(self, branches):
        found = super().forward(branches)
        return found + torch.randn_like(found)

class Counting(Head):
    calls = 0

    def forward(self, branches):
        self.calls += 1
        return super().forward(branches) * (1 + self.calls)

class Squeezed(Head):
    def forward(self, branches):
        return super().forward(branches).squeeze()

class Several(Head):
    def forward(self, branches):
        if len(branches[0]) < 2:
            raise KeyError("one image")
        return super().forward(branches)

class Blind(Head):
    def __init__(self, **arguments):
        super().__init__(arguments["branch_shapes"], (10,))

class Lazy(nn.Module):
    def __init__(self, output_shape):
        super().__init__()
        self.layer, self.norm = nn.LazyLinear(output_shape[0]), nn.BatchNorm1d(output_shape[0])

    def forward(self, branches):
        return self.norm(self.layer(branches[0].flatten(1)))

class NotFinite(Head):
    def forward(self, branches):
        return super().forward(branches) / 0

def make(output_shape) -> nn.Module:
    return nn.Flatten()

def unsaid(branch_shapes):
    return Head(branch_shapes, (10,))
"""
TINY = (
    "student.kernels=2",
    "data.train_images=80",
    "training.epochs=1",
    "teacher.training.epochs=1",
)


@pytest.fixture
def stated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A spec with its code beside it, read from elsewhere."""
    place = tmp_path / "design"
    place.mkdir()
    (place / "own_backends.py").write_text(CODE)
    path = place / "mine.yaml"
    path.write_text("student: {backend: 'own_backends:Head', backend_arguments: {width: 6}}\n")
    monkeypatch.chdir(tmp_path)
    yield path
    sys.modules.pop("own_backends", None)


def test_a_run_trains_it_and_finds_it_again(stated: Path) -> None:
    spec = read_spec(stated, TINY)
    results = run(spec, Path("run"))
    found = load_run(Path("run")).student()
    record = json.loads(Path("run/record.json").read_text())

    assert found.backend.inner.out_features == 6
    assert found(torch.rand(2, 1, 8, 8)).shape == (2, 10)
    assert results["student"]["parameters"]["digital"] == 2 * 64 * 6 + 6 + 6 * 10 + 10
    assert "estimate" not in results
    assert record["code"] == {"own_backends:Head": hash_code("own_backends:Head", stated.parent)}
    assert read_spec("run/spec.yaml") == spec
    assert spec.student.code_folder == stated.parent


def test_the_stage_is_of_its_code_and_not_of_its_place(stated: Path) -> None:
    def stamp(path: Path) -> str:
        return fingerprint(spec=narrow_student(read_spec(path)))

    first = stamp(stated)
    copy = Path("copy")
    copy.mkdir()
    for name in ("mine.yaml", "own_backends.py"):
        (copy / name).write_text((stated.parent / name).read_text())
    assert stamp(copy / "mine.yaml") == first
    (copy / "own_backends.py").write_text(CODE + "\nCHANGED = True\n")
    assert stamp(copy / "mine.yaml") != first


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("own_backends:Frozen", "has no weights that train"),
        ("own_backends:OneTensor", r"cannot take a tuple of 1 feature maps of \(2, 8, 8, 8\)"),
        ("own_backends:Wider", r"gives \(2, 9\) for 2 images in inference; the task takes"),
        ("own_backends:NotFinite", "not all finite"),
        ("own_backends:make", "has no weights that train"),
        ("own_backends:Mixing", "other numbers to a sample by itself in inference"),
        ("own_backends:Noisy", "other numbers to the same samples once more in inference"),
        ("own_backends:Counting", "other numbers to the same samples once more in inference"),
        ("own_backends:Squeezed", r"gives \(10,\) for a sample by itself in place of \(1, 10\)"),
        ("own_backends:Several", "cannot take a sample by itself in inference: KeyError"),
        ("own_backends:Blind", "built with no arguments: .* where its signature names them"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_any_training(stated, name, words) -> None:
    more = (f"student.backend={name}", "student.backend_arguments={}")
    spec = read_spec(stated, more)
    refuse_unread(spec)
    with pytest.raises(SpecError, match=words):
        refuse_networks(spec, load_dataset(spec.data))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("own_backends:unsaid", "does not say what it returns"),
        ("own_backends:Missing", "defines no Missing"),
        ("nowhere:Head", r"student\.code_folder"),
    ],
)
def test_what_may_not_be_called_is_refused_before_data_are_read(stated, name, words) -> None:
    with pytest.raises(SpecError, match=words):
        refuse_unread(read_spec(stated, (f"student.backend={name}",)))


def test_lazy_layers_and_running_statistics_are_as_they_were_built(stated: Path) -> None:
    more = ("student.backend=own_backends:Lazy", "student.backend_arguments={}")
    spec = read_spec(stated, more)
    backend = refuse_networks(spec, load_dataset(spec.data)).backend
    assert backend.layer.in_features == 8 * 64
    assert backend.norm.num_batches_tracked == 0


def test_arguments_that_it_does_not_take(stated: Path) -> None:
    spec = read_spec(stated, ("student.backend_arguments={widht: 3}",))
    with pytest.raises(SpecError, match=r"student\.backend_arguments"):
        refuse_networks(spec, load_dataset(spec.data))


def test_it_sees_every_branch_of_a_design(stated: Path) -> None:
    branches = "student.branches=[{kernels: 2}, {kernels: 3, binning: 2}]"
    spec = read_spec(stated, (branches,))
    student = refuse_networks(spec, load_dataset(spec.data))
    assert student.backend.inner.in_features == 2 * 64 + 3 * 16


def test_no_estimate_is_made_of_it(stated: Path) -> None:
    with pytest.raises(SpecError, match="infinitely wide network is not known"):
        estimate(read_spec(stated), Path("run"))


def test_what_a_spec_alone_can_tell() -> None:
    with pytest.raises(SpecError, match=f"is not one of {', '.join(BACKENDS)}"):
        read_spec(None, ("student.backend=dence",))
    with pytest.raises(SpecError, match="backend_arguments are those of a backend of your own"):
        read_spec(None, ("student.backend_arguments={a: 1}",))
    assert "backend_arguments: {}" in dump_spec(read_spec())
