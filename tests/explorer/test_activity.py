"""How far a run has come."""

from __future__ import annotations

import torch

from hybridonn.core.files import write_json, write_tensors
from hybridonn.explorer.activity import read_progress
from hybridonn.explorer.runs_tab import render_progress

HISTORY = [{"epoch": 1, "validation_accuracy": 0.5}, {"epoch": 2, "validation_accuracy": 0.7}]


def test_stages_and_the_epochs_of_a_checkpoint(tmp_path):
    (tmp_path / "spec.yaml").write_text(
        "training: {epochs: 40}\nteacher: {training: {epochs: 9}}\n"
    )
    (tmp_path / "teacher").mkdir()
    write_json(tmp_path / "teacher" / "stage.json", {"seconds": 3.5})
    part = tmp_path / ".student.part"
    part.mkdir()
    notes = {"state": {"history": HISTORY}}
    write_tensors(part / "checkpoint.safetensors", {"a": torch.zeros(1)}, notes)
    found = read_progress(tmp_path)
    assert found.done == {"teacher": 3.5}
    assert (found.stage, found.epoch, found.epochs) == ("student", 2, 40)
    page = render_progress("<a>", found)
    assert "epoch 2 of 40" in page
    assert "&lt;a&gt;" in page
    assert "<polyline" in page


def test_what_is_half_written_is_left_out(tmp_path):
    part = tmp_path / ".student.part"
    part.mkdir()
    (part / "checkpoint.safetensors").write_bytes(b"torn")
    (tmp_path / "spec.yaml").write_text("training: 3\n")
    found = read_progress(tmp_path)
    assert (found.stage, found.epoch, found.epochs, found.history) == ("student", 0, None, ())
    assert "epoch 0 of –" in render_progress("a", found)
    assert "Nothing is finished" in render_progress("a", read_progress(tmp_path / "none"))
