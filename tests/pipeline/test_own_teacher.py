"""A teacher of the user's own, in a file beside the spec."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from hybridonn.core.errors import ArtefactError, SpecError
from hybridonn.core.files import write_tensors
from hybridonn.data import load_dataset
from hybridonn.networks.teachers.build import build_stated_teacher
from hybridonn.pipeline.preflight import refuse_networks, refuse_unread
from hybridonn.spec import dump_spec, read_spec

CODE = """
from torch import nn

def make(image_shape, classes) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(image_shape[1] * image_shape[2], classes))
"""


@pytest.fixture
def stated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A spec with its code beside it, read from elsewhere."""
    place = tmp_path / "design"
    place.mkdir()
    (place / "beside_spec.py").write_text(CODE)
    path = place / "mine.yaml"
    path.write_text("teacher: {name: 'beside_spec:make'}\nstudent: {pooled_size: 4}\n")
    monkeypatch.chdir(tmp_path)
    yield path
    sys.modules.pop("beside_spec", None)


def test_it_is_found_beside_the_spec_and_from_a_copy_in_a_run_folder(stated: Path) -> None:
    spec = read_spec(stated)
    copy = Path("spec.yaml")
    copy.write_text(dump_spec(spec))

    assert spec.teacher.code_folder == stated.parent
    assert read_spec(copy) == spec
    refuse_unread(spec)
    refuse_networks(spec, load_dataset(spec.data))


def test_weights_whose_logits_overflow_are_refused_before_any_training(stated: Path) -> None:
    spec = read_spec(stated, ("teacher.weights=weights.safetensors",))
    teacher = build_stated_teacher(spec.teacher, (1, 8, 8), 10, outputs=(10,))
    tensors = {name: torch.full_like(one, 3e38) for name, one in teacher.state_dict().items()}
    write_tensors(Path("weights.safetensors"), tensors)

    with pytest.raises(ArtefactError, match="gives logits that are not finite: its numbers are"):
        refuse_networks(spec, load_dataset(spec.data))


def test_a_built_in_teacher_has_no_folder() -> None:
    assert read_spec(None).teacher.code_folder is None


def test_without_a_file_the_working_directory_is_searched(
    stated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(stated.parent)

    refuse_unread(read_spec(None, ("teacher.name=beside_spec:make",)))


def test_a_stated_folder_is_searched_from_where_the_command_runs(stated: Path) -> None:
    refuse_unread(read_spec(None, ("teacher.name=beside_spec:make", "teacher.code_folder=design")))
    elsewhere = read_spec(stated, ("teacher.code_folder=other",))

    with pytest.raises(SpecError, match=r"other: that is no folder; set teacher\.code_folder"):
        refuse_unread(elsewhere)


def test_a_teacher_that_is_nowhere_is_named_with_where_it_was_looked_for(stated: Path) -> None:
    (stated.parent / "beside_spec.py").unlink()

    with pytest.raises(SpecError, match=rf"no module beside_spec is found in {stated.parent}"):
        refuse_unread(read_spec(stated))
