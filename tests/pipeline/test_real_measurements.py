"""Files of real optics: the feature maps of SVN3's metalenses, and the PSF of a lensless camera."""

import os
from pathlib import Path

import numpy as np
import pytest
from tests.pipeline.drawn_run import write_drawn_run

from hybridonn.compensation.acquisition.map_agreement import measure_agreement, read_maps
from hybridonn.core.errors import DataError
from hybridonn.data.readers.frame_files import read_picture
from hybridonn.networks.student import build_frontend
from hybridonn.pipeline.captures import ImportOptions, import_into
from hybridonn.spec import read_spec

SIDE = 7  # of the kernels that are fitted to SVN3's maps


def find_measured(*names):
    beside = Path(__file__).resolve().parents[3] / "shared" / "data"
    for root in (Path(os.environ.get("HYBRIDONN_DATA", beside)), beside):
        if (path := root.joinpath("measured", *names)).is_file():
            return path
    pytest.skip(f"needs measured/{'/'.join(names)} in HYBRIDONN_DATA or {beside}")


def test_each_metalens_of_svn3_convolves_the_image():
    path = find_measured("svn3", "exp_measure_1.npz")
    held = read_maps(path, "img", ["ftrs_p", "ftrs_n"], [])
    found = measure_agreement(held.scenes, held.maps, SIDE)
    assert (len(found.convolution), held.labels[-1]) == (50, "ftrs_n 24")
    assert np.median(found.convolution) > 0.9
    assert np.median(found.convolution - found.identity) > 0.1


def test_a_student_stands_behind_the_psf_of_a_lensless_camera():
    path = find_measured("diffusercam", "psf00.tiff")
    measured = f"{{psfs: {path}, pixels_per_scene_pixel: 40}}"
    settings = ("optics.frontend=measured", f"optics.measured={measured}", "student.kernels=1")
    spec = read_spec(None, settings)
    frontend = build_frontend(spec.student, (1, 8, 8), spec.optics)
    assert frontend.psfs.shape == (1, 2, 1, 9, 9)
    assert frontend.psfs.sum() == pytest.approx(1, abs=1e-6)
    assert not frontend.read[0, 1]


def test_svn3_is_told_what_it_lacks(tmp_path):
    maps = np.load(find_measured("svn3", "exp_measure_1.npz"))
    sites = "optics={metasurface_width_mm: 8, metasurface_height_mm: 8}"
    settings = ("student.kernels=25", "student.kernel_size=3", sites)
    run = write_drawn_run(tmp_path / "run", settings)
    arrays = {"positive": maps["ftrs_p"][None], "negative": maps["ftrs_n"][None]}
    np.savez(tmp_path / "a.npz", image_ids=["test-00000"], **arrays)
    with pytest.raises(DataError, match=r"positive has the shape \(1, 25, 32, 32\); .*\(1, 25, 8,"):
        import_into(run, ImportOptions(tmp_path / "a.npz"), tmp_path / "c")


def test_the_psf_of_a_lensless_camera_is_read_as_it_was_written(tmp_path):
    path = find_measured("diffusercam", "psf00.tiff")
    psf = read_picture(path)
    assert (psf.shape, psf.dtype.name) == ((270, 320), "float32")
    assert psf.max() == pytest.approx(0.906072, abs=1e-6)
    run = write_drawn_run(tmp_path / "run", ("student.kernels=2", "student.kernel_size=3"))
    with pytest.raises(DataError, match=r"shape \(270, 320\); the student .* \(2, 2, 1, P, P\)"):
        import_into(run, ImportOptions(None, path), tmp_path / "c")
    assert [one.name for one in tmp_path.iterdir()] == ["run"]
