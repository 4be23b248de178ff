import json

import numpy as np
import pytest

from hybridonn.core.errors import ArtefactError
from hybridonn.pipeline.stage_folder import write_record
from hybridonn.reports.artefacts.run import read_run
from hybridonn.spec import checksum_spec

FILES = {
    "spec.yaml": "the run itself",
    "record.json": "the run itself",
    "results.json": "the run itself",
    "layout/layout.json": "the layout stage",
    "teacher/history.csv": "the teacher stage",
    "teacher/predictions.npz": "the teacher stage",
    "teacher/embedding.npz": "the teacher stage",
    "student/history.csv": "the student stage",
    "student/predictions.npz": "the student stage",
    "student/embedding.npz": "the student stage",
    "student/kernels.npz": "the student stage",
    "student/examples.npz": "the student stage",
}


def change(path, **changes):
    arrays = dict(np.load(path))
    np.savez(path, **(arrays | changes))


def change_json(path, edit):
    tree = json.loads(path.read_text())
    edit(tree)
    path.write_text(json.dumps(tree))


def test_a_finished_run_is_read(run_folder):
    run = read_run(run_folder)
    assert list(run.models) == ["teacher", "student"]
    student = run.models["student"].predictions
    assert (student.scores.sum(), student.total) == (350, 360)
    assert run.kernels.shape == (8, 1, 7, 7)
    assert run.wavelengths_nm is None
    assert run.classes == tuple("0123456789")
    assert run.layout.kernels == 8


def test_a_run_without_teacher_needs_no_teacher_files(run_folder):
    change_json(run_folder / "results.json", lambda tree: tree.pop("teacher"))
    (run_folder / "teacher" / "history.csv").unlink()
    assert list(read_run(run_folder).models) == ["student"]


@pytest.mark.parametrize(("name", "stage"), FILES.items())
def test_a_missing_file_is_named_with_its_stage(run_folder, name, stage):
    (run_folder / name).unlink()
    with pytest.raises(ArtefactError, match=r"it is missing|holds no record\.json") as caught:
        read_run(run_folder)
    assert str(run_folder / name).removesuffix("/record.json") in str(caught.value)
    assert name == "record.json" or stage in str(caught.value)


@pytest.mark.parametrize(("name", "stage"), FILES.items())
def test_a_damaged_file_is_named_with_its_stage(run_folder, name, stage):
    (run_folder / name).write_bytes(b"\xff\xfe{")
    with pytest.raises(ArtefactError) as caught:
        read_run(run_folder)
    assert str(run_folder / name) in str(caught.value)
    assert stage in str(caught.value)


@pytest.mark.parametrize(
    ("name", "changes", "found"),
    [
        (
            "student/predictions.npz",
            {"labels": np.arange(10)},
            r"\(360,\) .*\(10,\)",
        ),
        ("student/predictions.npz", {"labels": np.full(360, 10)}, "labels go from 10 to 10"),
        ("student/predictions.npz", {"labels": np.zeros(360)}, "labels are .*float64"),
        ("teacher/embedding.npz", {"positions": np.zeros((4, 2))}, "positions"),
        ("student/kernels.npz", {"kernels": np.zeros((4, 1, 7, 7))}, "4 kernels .* states 8"),
        ("student/kernels.npz", {"kernels": np.zeros((8, 1, 7, 5))}, "not square"),
        ("student/kernels.npz", {"wavelengths_nm": np.ones(3)}, "3 wavelengths .* 1 bands"),
        ("student/examples.npz", {"labels": np.array([1])}, r"\[2, 2, 1\] examples"),
        ("student/examples.npz", {"features": np.zeros((2, 3, 4, 4))}, "features of 3 kernels"),
    ],
)
def test_contradictions_are_named(run_folder, name, changes, found):
    change(run_folder / name, **changes)
    with pytest.raises(ArtefactError, match=found) as caught:
        read_run(run_folder)
    assert str(run_folder / name) in str(caught.value)


def test_predictions_of_another_run_are_refused(run_folder):
    def edit(tree):
        tree["student"]["accuracy"] = 0.5

    change_json(run_folder / "results.json", edit)
    with pytest.raises(ArtefactError, match=r"accuracy is 0.9722, .* student.accuracy 0.5000"):
        read_run(run_folder)


@pytest.mark.parametrize(
    ("name", "edit", "found"),
    [
        ("results.json", lambda tree: tree.pop("student"), "lacks the section student"),
        ("results.json", lambda tree: tree["student"].pop("accuracy"), "lacks student.accuracy"),
        ("record.json", lambda tree: tree.pop("data"), "lacks the section data"),
        ("record.json", lambda tree: tree["data"].pop("classes"), "names no classes"),
        ("layout/layout.json", lambda tree: tree.pop("gap_mm"), "gap_mm"),
    ],
)
def test_missing_keys_are_named(run_folder, name, edit, found):
    change_json(run_folder / name, edit)
    with pytest.raises(ArtefactError, match=found) as caught:
        read_run(run_folder)
    assert str(run_folder / name) in str(caught.value)


@pytest.mark.parametrize("name", ["student/history.csv", "student/predictions.npz"])
def test_a_file_that_is_no_longer_what_its_stage_wrote_is_refused(run_folder, name):
    """Each is sound and agrees with all others: the checksum alone tells."""
    write_record(run_folder / "student", "f" * 64, {})
    read_run(run_folder)
    path = run_folder / name
    if path.suffix == ".csv":
        head, *rows = path.read_text().splitlines()
        path.write_text("\n".join([head, *reversed(rows)]) + "\n")
    else:
        change(path, logits=2 * np.load(path)["logits"])
    with pytest.raises(ArtefactError, match=f"{path.name} is damaged: its checksum"):
        read_run(run_folder)


def test_a_spec_that_was_changed_since_the_run_is_refused(run_folder):
    path = run_folder / "spec.yaml"
    known = checksum_spec(path, ArtefactError)
    change_json(run_folder / "record.json", lambda tree: tree.update(spec_checksum=known))
    path.write_text(path.read_text() + "# a comment changes nothing\n")
    read_run(run_folder)
    path.write_text(path.read_text().replace("epochs: 30", "epochs: 31"))
    with pytest.raises(ArtefactError, match=r"spec\.yaml cannot be used: it was changed since"):
        read_run(run_folder)
