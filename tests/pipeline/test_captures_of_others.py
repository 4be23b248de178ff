"""Captures that are not of the chip, the images or the branches that they are said to be of."""

import csv
import json

import numpy as np
import pytest
from PIL import Image
from tests.pipeline.discs import draw_discs
from tests.pipeline.drawn_run import write_drawn_run

from hybridonn.compensation.acquisition.camera_view import CameraView
from hybridonn.compensation.acquisition.placement import Camera
from hybridonn.compensation.acquisition.simulated_camera import SimulatedCamera
from hybridonn.compensation.acquisition.simulated_frames import Bench, take_frames
from hybridonn.core.errors import DataError
from hybridonn.core.progress import Silent
from hybridonn.data.readers.frame_files import read_picture
from hybridonn.pipeline.captures import ImportOptions, import_into, read_captured_design
from hybridonn.pipeline.simulated_captures import Rehearsal, simulate_captures

SETTINGS = (
    "task=segmentation",
    "data={name: mask_folder, size_pixels: 16, colour: grey}",
    "teacher.name=u-net",
    "student={branches: [{kernels: 1, kernel_size: 3}, {kernels: 2, kernel_size: 3, binning: 4}],"
    " kernel_size: 3, backend: pyramid, hidden: [4, 4], normalisation: batch}",
)
DIGITS = ("student.kernels=2", "student.kernel_size=3", "student.pooled_size=4")
FOUR_F = ("optics.frontend=four_f", "optics.four_f={mask_pixels: 15, mask_pitch_um: 30}")
VIEW, CAMERA = CameraView(2.0, 5.86e-6, (0.4, -0.3)), SimulatedCamera()
SMALL = {"preset": "none", "fraction": 0.4, "test_images": 4, "apart": True, "suffix": "npy"}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A student of two branches that segments, as it was drawn."""
    home = tmp_path_factory.mktemp("segmented")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HYBRIDONN_CACHE", str(home / "cache"))
        folder = draw_discs(home / "discs", slope=200)
        yield write_drawn_run(home / "run", (*SETTINGS, f"data.folder={folder}"))


@pytest.fixture
def captured(run, tmp_path):
    """Captures of its chip: rows of the manifest and the folder."""
    simulate_captures(run, tmp_path / "c", Rehearsal(VIEW, CAMERA, **SMALL))
    with (tmp_path / "c" / "manifest.csv").open() as file:
        return list(csv.DictReader(file)), tmp_path / "c"


def write_rows(folder, rows):
    with (folder / "manifest.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, rows[0])
        table.writeheader()
        table.writerows(rows)


def refuse(run, folder, found):
    """The import is refused in these words, and leaves no trace."""
    out = folder.with_name("imported")
    with pytest.raises(DataError, match=found):
        import_into(run, ImportOptions(folder, camera=Camera(2.0)), out)
    assert [one.name for one in folder.parent.iterdir()] == [folder.name]


def test_captures_of_several_branches_that_segment_are_rehearsed(run, captured):
    _, folder = captured
    out = folder.with_name("imported")
    found = import_into(run, ImportOptions(folder, camera=Camera(2.0)), out)
    assert found.captures.quality.min() > 0.9  # of images of noise, cut between their pixels
    for one in found.geometry.registrations:  # of images of noise
        np.testing.assert_allclose(one.shift_pixels, VIEW.shift_pixels, atol=0.05)


def test_a_branch_without_frames_is_named(run, captured):
    rows, folder = captured
    write_rows(folder, [row for row in rows if row["kernel"] not in ("1", "2")])
    refuse(run, folder, r"1 of 2 branches have no frame: branch 1 \(kernels 1 to 2\); capture")


def test_single_frames_of_a_branch_that_are_missing_are_counted(run, captured):
    rows, folder = captured
    lost = [row for row in rows if row["kernel"] == "2" and row["image_id"].startswith("test")]
    write_rows(folder, [row for row in rows if row not in lost[:3]])
    refuse(run, folder, r"2 images lack frames: test-00\d+ \(4 of 6\), test-00\d+ \(5 of 6\)")


def test_swapped_branches_are_put_right_and_said(run, captured):
    rows, folder = captured
    places = {"0": "1", "1": "2", "2": "0"}
    write_rows(folder, [row | {"kernel": places.get(row["kernel"], "")} for row in rows])
    out = folder.with_name("imported")
    found = import_into(run, ImportOptions(folder, camera=Camera(2.0)), out)
    assert found.captures.quality.min() > 0.9  # of images of noise, cut between their pixels
    said = found.captures.notes["paired_otherwise"]
    assert len(said) == 6
    assert "0+ was found at 1+" in said
    said = found.captures.notes["pairing"]
    assert said.startswith("6 of 6 sub-optics were found at the places of others: 0+ at 1+, 0- at")
    assert "; 2 of branch 0 lay in branch 1; 2 of branch 1 lay in branch 0; " in said
    assert said.endswith(
        "mend kernel and sign in the manifest, or the order of the kernels in the arrays"
    )


def test_arrays_of_one_branch_are_named(run, tmp_path):
    pictures = np.ones((4, 2, 16, 16))
    ids = [f"student_train-{number:05d}" for number in range(4)]
    np.savez(tmp_path / "a.npz", image_ids=ids, positive=pictures, negative=pictures)
    refuse(run, tmp_path / "a.npz", r"2 kernels, as many as branch 1 has; .*1 branches \(0\)")


def test_masks_in_place_of_images_are_recognised(run, captured):
    _, folder = captured
    design = read_captured_design(run, None, Silent())
    for path in (folder / "display").glob("*-*.png"):
        part, _, number = path.stem.rpartition("-")
        mask = getattr(design.dataset, part).labels[int(number)].numpy()
        Image.fromarray((255 * mask).astype(np.uint8)).save(path)
    take_frames(folder, Bench(design.optics.light, design.layout, VIEW, CAMERA, True), Silent())
    refuse(run, folder, r"\d+ of \d+ captures look like the masks of their images, .*display")


def test_captures_of_a_4f_system_are_none_of_a_metasurface(tmp_path):
    four_f = write_drawn_run(tmp_path / "four_f", (*DIGITS, *FOUR_F))
    other = write_drawn_run(tmp_path / "other", DIGITS)
    small = SMALL | {"fraction": 0.02, "test_images": 0}
    home = tmp_path / "home"
    simulate_captures(four_f, home / "c", Rehearsal(VIEW, CAMERA, **small))
    refuse(other, home / "c", "template for the optics four_f, .* has the optics ideal; name")
    # Without the note of the template the captures themselves say it.
    (home / "c" / "template.json").unlink()
    refuse(other, home / "c", "not behind the kernels of this run|do not agree|out of order")


def test_mosaics_are_none_of_a_4f_system(tmp_path):
    four_f = write_drawn_run(tmp_path / "four_f", (*DIGITS, *FOUR_F))
    other = write_drawn_run(tmp_path / "other", DIGITS)
    small = SMALL | {"fraction": 0.02, "test_images": 0, "apart": False}
    home = tmp_path / "home"
    simulate_captures(other, home / "c", Rehearsal(VIEW, CAMERA, **small))
    path = home / "c" / "template.json"
    stated = json.loads(path.read_text())
    assert stated["optics"] == "ideal"
    path.unlink()
    refuse(four_f, home / "c", "frames name no kernel, but a 4f system shows its masks one after")
    assert read_picture(next((home / "c" / "frames").iterdir())).ndim == 2
