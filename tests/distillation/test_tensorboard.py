"""Curves for TensorBoard: one event a number and epoch, also after an interruption."""

import pytest

from hybridonn.distillation.tensorboard import write_curves


def test_rows_are_written_at_their_epochs_and_an_interrupted_end_is_hidden(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    checkpoint = tmp_path / "run" / ".student.part" / "checkpoint.pt"
    write = write_curves(checkpoint, 0)
    for epoch in (1, 2, 3):
        write({"epoch": epoch, "loss": 1 / epoch, "note": "no number"})
    write = write_curves(checkpoint, 1)  # killed before the checkpoint of epoch 2 was kept
    write({"epoch": 2, "loss": 0.5})
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard" / "student"))
    events.Reload()
    assert events.Tags()["scalars"] == ["loss"]
    found = [(one.step, one.value) for one in events.Scalars("loss")]
    assert found == [(1, pytest.approx(1.0)), (2, pytest.approx(0.5))]


def test_another_training_of_the_same_run_is_not_mixed_with_the_one_before(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    checkpoint = tmp_path / "run" / ".student.part" / "checkpoint.pt"
    for loss, epochs in ((1.0, (1, 2, 3)), (0.25, (1, 2))):
        write = write_curves(checkpoint, 0)
        for epoch in epochs:
            write({"epoch": epoch, "loss": loss})
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard" / "student"))
    events.Reload()
    found = [(one.step, one.value) for one in events.Scalars("loss")]
    assert found == [(1, 0.25), (2, 0.25)]
