"""A measurement rehearsed: what is put in is found again by the import, which knows nothing."""

import csv
import json
from dataclasses import replace
from shlex import split

import numpy as np
import pytest
from PIL import Image
from tests.pipeline.drawn_run import write_drawn_run
from typer.testing import CliRunner

from hybridonn.cli.captures import app
from hybridonn.compensation.acquisition.camera_view import CameraView, place_on_chip
from hybridonn.compensation.acquisition.placement import Camera
from hybridonn.compensation.acquisition.simulated_camera import SimulatedCamera
from hybridonn.core.errors import ArtefactError, DataError, OpticsError
from hybridonn.core.progress import Silent
from hybridonn.data.readers.frame_files import read_picture
from hybridonn.pipeline.captures import ImportOptions, import_into, read_captured_design
from hybridonn.pipeline.simulated_captures import Rehearsal, simulate_captures

PIXEL_M = 5.86e-6
SETTINGS = ("student.kernels=2", "student.kernel_size=3", "student.pooled_size=4")
SITES = "optics={metasurface_width_mm: 0.8, metasurface_height_mm: 0.8, kernel_site_mm: 0.18}"
FOUR_F = ("optics.frontend=four_f", "optics.four_f={mask_pixels: 15, mask_pitch_um: 30}")
SMALL = {"preset": "none", "fraction": 0.02, "test_images": 12}
TAKEN = ImportOptions(None, camera=Camera(3.0, PIXEL_M))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_drawn_run(tmp_path_factory.mktemp("drawn") / "run", (*SETTINGS, SITES))


@pytest.fixture(scope="module")
def four_f(tmp_path_factory):
    return write_drawn_run(tmp_path_factory.mktemp("drawn") / "run", (*SETTINGS, *FOUR_F))


def look(*movement, **more):
    return CameraView(3.0, PIXEL_M, *movement, **more)


def rehearse(run, folder, view, camera=None, **more):
    """Simulate and import; what was found."""
    wanted = Rehearsal(view, camera or SimulatedCamera(), **SMALL | more)
    simulate_captures(run, folder, wanted)
    taken = ImportOptions(folder, camera=Camera(view.pixels_per_feature, view.pixel_m))
    return import_into(run, taken, folder.with_name(f"{folder.name}-imported"))


@pytest.mark.parametrize(
    ("alignment", "suffix", "movement"),
    [
        ("left", "tif", ((0.7, -0.4), 1.5, 1.02)),
        ("right", "png", ((0.7, -0.4), 0.0, 1.0)),
        ("right", "npy", ((0.0, 0.0), 1.5, 1.0)),
    ],
)
def test_the_movement_of_each_sub_optic_is_found_within_its_uncertainty(
    run, tmp_path, alignment, suffix, movement
):
    camera = SimulatedCamera(alignment=alignment, hot_share=1e-3)
    found = rehearse(run, tmp_path / "c", look(*movement), camera, apart=True, suffix=suffix)
    wanted = np.array([*movement[0], np.radians(movement[1]), movement[2]])
    for one in found.geometry.registrations:
        away = np.array([*one.shift_pixels, one.rotation_rad, one.scale]) - wanted
        np.testing.assert_array_less(np.abs(away), 2 * np.array(one.uncertainty))
        assert max(one.uncertainty) < 0.02  # pixels, and radians, of captures of 8 x 8
    assert found.captures.quality.min() > 0.98


@pytest.mark.parametrize("orientation", [0, 3, 6])
def test_a_mosaic_is_found_however_the_camera_is_mounted(run, tmp_path, orientation):
    view = look(shift_pixels=(1.1, -0.6), rotation_degrees=0.8, scale=1.01, orientation=orientation)
    found = rehearse(run, tmp_path / "c", view)
    assert found.geometry.orientation == orientation
    design = read_captured_design(run, None, Silent())
    centres = place_on_chip(design.layout, PIXEL_M)
    frame = next((tmp_path / "c" / "frames").glob("test*"))
    shape = np.array(read_picture(frame).shape)
    middle = (shape[::-1] if orientation % 2 else shape) / 2 - 0.5
    for centre, place in zip(centres, found.geometry.placements, strict=True):
        y, x = view.to_scene(*(place.origin - middle))
        # A hundredth of a feature pixel is 0.03 camera pixels.
        np.testing.assert_allclose((y, x), centre, atol=0.15)
    notes = found.captures.notes["mosaic"]
    assert notes["rotation_degrees"] == pytest.approx(0.8, abs=0.05)
    assert notes["scale"] == pytest.approx(1.01, abs=5e-3)


def test_frames_are_those_of_the_camera_that_was_asked_for(run, tmp_path):
    wanted = {"exposure": 1.5, "bit_depth": 10, "alignment": "left", "hot_share": 0.001}
    simulate_captures(
        run, tmp_path / "c", Rehearsal(look(), SimulatedCamera(**wanted), **SMALL | {"apart": True})
    )
    shown = [read_picture(path) for path in (tmp_path / "c" / "frames").glob("test*")]
    assert {one.dtype.name for one in shown} == {"uint16"}
    assert not np.any([one % 64 for one in shown])  # 6 of 16 bits are left over
    assert max(one.max() for one in shown) == 1023 * 64
    with pytest.raises(DataError, match=r"frames are saturated .*10 bits, left-aligned"):
        import_into(run, ImportOptions(tmp_path / "c", camera=Camera(3.0)), tmp_path / "d")
    assert [path.name for path in tmp_path.iterdir()] == ["c"]
    said = json.loads((tmp_path / "c" / "rehearsal.json").read_text())
    assert said["camera"]["bit_depth"] == 10


def test_a_rehearsal_is_repeated_by_its_seed(run, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        wanted = Rehearsal(look(), SimulatedCamera(seed=seed), **SMALL | {"test_images": 0})
        simulate_captures(run, tmp_path / name, wanted)
    first, again, other = (
        read_picture(tmp_path / name / "frames" / "dark_0.tif") for name in "abc"
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_masks_of_a_4f_system_are_captured_one_after_another(four_f, tmp_path):
    view = look(shift_pixels=(0.4, -0.7), rotation_degrees=0.6)
    found = rehearse(four_f, tmp_path / "c", view)
    rows = list(csv.DictReader((tmp_path / "c" / "manifest.csv").open()))
    assert {row["kernel"] for row in rows if row["image_id"].startswith("test")} == {"0", "1"}
    assert not [row for row in rows if row["image_id"] == "point"]
    assert found.captures.quality.min() > 0.98
    # One gain of the chip: the electronics weigh each kernel's captures as designed.
    np.testing.assert_allclose(found.captures.gains, 1, rtol=0.03)
    design = read_captured_design(four_f, None, Silent())
    ids = found.captures.image_ids.tolist()
    wanted = design.simulate(ids) * design.electronic_gains()[:, None, None]
    for sign, pictures in enumerate((found.captures.positive, found.captures.negative)):
        away = pictures - wanted[:, sign::2]
        assert np.linalg.norm(away) < 0.1 * np.linalg.norm(wanted[:, sign::2])


def test_point_spread_functions_of_a_4f_system_are_refused(four_f, tmp_path):
    wanted = Rehearsal(look(), SimulatedCamera(), psfs=True)
    with pytest.raises(OpticsError, match="4f system are no convolution"):
        simulate_captures(four_f, tmp_path / "c", wanted)
    assert not list(tmp_path.iterdir())


def test_point_spread_functions_are_measured_and_imported(run, tmp_path):
    said = CliRunner().invoke(
        app, ["simulate", str(run), "--psfs", "--preset", "none", "--out", str(tmp_path / "c")]
    )
    assert said.exit_code == 0, said.output
    assert f"hybridonn captures import {run} --psfs {tmp_path / 'c' / 'psfs.npz'}" in said.output
    found = import_into(run, ImportOptions(None, tmp_path / "c" / "psfs.npz"), tmp_path / "d")
    assert found.captures.quality.min() > 0.999


@pytest.mark.parametrize(
    "options",
    [
        ["--exposure", "1.1", "--bit-depth", "7", "--alignment", "left", "--apart"],
        ["--psfs"],
    ],
)
def test_the_command_that_is_printed_works_as_it_is(run, tmp_path, options):
    folder = tmp_path / "what a camera saw"
    small = ["--preset", "none", "--fraction", "0.04", "--test-images", "12", "--out", str(folder)]
    said = CliRunner().invoke(app, ["simulate", str(run), *small, *options])
    assert said.exit_code == 0, said.output
    command = split(said.output.strip().splitlines()[-1])
    assert command[:3] == ["hybridonn", "captures", "import"]
    target = ["--out", str(tmp_path / "captures")]  # the run is shared
    imported = CliRunner().invoke(app, [*command[2:], *target])
    assert imported.exit_code == 0, imported.output
    if "--psfs" not in options:
        assert "as stated" in imported.output  # the bits of the camera are not guessed


def test_captures_that_overlap_in_a_mosaic_are_refused(run, tmp_path):
    wanted = Rehearsal(replace(look(), pixels_per_feature=5.0), SimulatedCamera(), **SMALL)
    with pytest.raises(OpticsError, match=r"overlap in a mosaic; state --pixels-per-f.* 4\.\d"):
        simulate_captures(run, tmp_path / "c", wanted)
    assert not list(tmp_path.iterdir())
    rehearse(run, tmp_path / "c", replace(look(), pixels_per_feature=5.0), apart=True)


class Neighbour(Silent):
    """Another command that writes into the same folder while this one works."""

    def __init__(self, folder):
        self.file = folder / "of the other"

    def bar(self, *arguments, **named):
        self.file.parent.mkdir(exist_ok=True)
        self.file.write_text("kept")
        return super().bar(*arguments, **named)


def test_what_another_command_wrote_meanwhile_is_kept(run, tmp_path):
    simulate_captures(run, tmp_path / "c", Rehearsal(look(), SimulatedCamera(), **SMALL))
    wanted = Rehearsal(look(), SimulatedCamera(), **SMALL)
    taken = ImportOptions(tmp_path / "c", camera=Camera(3.0, PIXEL_M))
    for folder, work, given in (
        (tmp_path / "d", simulate_captures, wanted),
        (tmp_path / "e", lambda at, to, what, *more: import_into(at, what, to, *more), taken),
    ):
        with pytest.raises(ArtefactError, match="exists already; choose another with --out"):
            work(run, folder, given, None, Neighbour(folder))
        assert [path.name for path in folder.iterdir()] == ["of the other"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c", "d", "e"]


def test_noise_around_a_dim_point_is_no_negative_light(run, tmp_path):
    camera = SimulatedCamera(read_noise_electrons=200.0)
    found = rehearse(run, tmp_path / "c", look(), camera, apart=True)
    assert found.captures.psfs.min() >= 0


def test_the_point_of_a_template_gives_the_kernels(run, tmp_path):
    found = rehearse(run, tmp_path / "c", look(), SimulatedCamera(bit_depth=16), apart=True)
    own, wanted = found.captures.psfs, found.designed_psfs
    assert np.corrcoef(own.ravel(), wanted.ravel())[0, 1] > 0.98
    with Image.open(tmp_path / "c" / "display" / "point.png") as point:
        assert np.asarray(point).sum() == 255
