"""``hybridonn data check``: the command as a user runs it."""

import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from hybridonn.cli.data import _describe_stored, app
from hybridonn.core.errors import DataError

SEGMENTATION = (
    "task=segmentation",
    "teacher={name: u-net, arguments: {width: 2}}",
    "student={name: polychromatic_segmentation}",
    "optics={metasurface_width_mm: 11, metasurface_height_mm: 11, kernel_site_mm: 0.938}",
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HYBRIDONN_CACHE", str(tmp_path / "cache"))
    for number, name in enumerate(("ape", "zebra")):
        (tmp_path / "zoo" / name).mkdir(parents=True)
        for k in range(6):
            values = np.random.default_rng(10 * number + k).integers(0, 256, (9, 9, 3))
            path = tmp_path / "zoo" / name / f"{k}.png"
            Image.fromarray(values.astype(np.uint8)).save(path)
    return tmp_path


def check(folder, *more):
    settings = ("data.name=image_folder", f"data.folder={folder / 'zoo'}", *more)
    arguments = ["check", "--out", str(folder / "out")]
    return CliRunner().invoke(app, arguments + [a for s in settings for a in ("--set", s)])


def test_a_sound_set(folder):
    done = check(folder)
    assert done.exit_code == 0
    for words in ("zoo: 3 x 9 x 9", "ape", "12 stored as 9 x 9 pixels, in colour", "50.00 %"):
        assert words in done.output
    survey = json.loads((folder / "out" / "survey.json").read_text())
    assert survey["classes"] == ["ape", "zebra"]
    assert sum(survey["counts"].values()) == 12
    with Image.open(folder / "out" / "contact_sheet.png") as sheet:
        assert sheet.width == 1500


def keep(folder, count):
    """Leave so many captures of each class."""
    for path in (folder / "zoo").glob("*/*.png"):
        if int(path.stem) >= count:
            path.unlink()


@pytest.mark.parametrize("more", [(), ("data.skip_bad=true",)])
def test_a_set_that_cannot_be_split_does_not_pass(folder, more):
    keep(folder, 2)
    done = check(folder, *more)
    assert done.exit_code == 1
    assert isinstance(done.exception, DataError)
    words = (
        r"zoo cannot be trained as it is: the set cannot be split: class ape has 2 of the images"
    )
    assert words in str(done.exception)
    assert "12" not in json.loads((folder / "out" / "survey.json").read_text())["counts"]
    keep(folder, 0)
    assert "empty" in str(check(folder).exception)


def test_what_a_run_would_refuse_does_not_pass(folder):
    keep(folder, 4)
    assert check(folder).exit_code == 0
    for setting, words in (
        ("data.train_images=2", "there are 2 training images, so that some"),
        ("data.train_images=1", "data.train_images is 1; it must be from 2"),
        ("student.pooled_size=30", "student.pooled_size is 30"),
        ("training.augmentation={crop_pixels: 9, crop_edge: reflect}", "crop_pixels is 9"),
        ("teacher.name=none:such", "none"),
    ):
        done = check(folder, setting)
        assert done.exit_code == 1
        assert words in str(done.exception)
    assert check(folder, "data.train_images=3").exit_code == 0
    done = check(folder, "data.train_images=3", "distillation.tangent.discrepancy=debiased_cka")
    assert done.exit_code == 1
    assert "there are 3 training images, so that some batches compare 3" in str(done.exception)


NAMES = ("[/x]", "[bold]b", ":cat:", "$a$", "$x", "<b>&amp;", "100 %", "_under", "a\\b", "é")


def test_names_are_text_whatever_they_hold(tmp_path, monkeypatch):
    monkeypatch.setenv("HYBRIDONN_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "[z] $y$ :cat:"
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
        for k in range(12):
            values = np.random.default_rng(k).integers(0, len(NAMES), (16, 16)).astype(np.uint8)
            Image.fromarray(values * (20 if kind == "images" else 1)).save(
                folder / kind / f"{k}.png"
            )
    settings = ("data.name=mask_folder", f"data.folder={json.dumps(str(folder))}")
    settings += (f"data.mask_classes={json.dumps(NAMES)}", *SEGMENTATION)
    arguments = ["check", "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(app, arguments + [a for s in settings for a in ("--set", s)])
    assert done.exit_code == 0, done.exception
    for name in (*NAMES, "[z] $y$ :cat:: 1 x 16 x 16"):
        assert name in done.output
    with Image.open(tmp_path / "out" / "contact_sheet.png") as sheet:
        assert sheet.width == 1500


def test_class_folders_are_drawn_by_their_names(folder):
    (folder / "zoo" / "ape").rename(folder / "zoo" / "[x] $a$ :cat:")
    done = check(folder)
    assert done.exit_code == 0, done.exception
    assert "[x] $a$ :cat:" in done.output


def test_a_damaged_set(folder):
    (folder / "zoo" / "ape" / "3.png").write_bytes(b"")
    done = check(folder)
    assert done.exit_code == 1
    assert isinstance(done.exception, DataError)
    assert "zoo has 1 fault," in str(done.exception)
    assert "fault: " in done.output
    assert "ape/3.png is damaged" in done.output.replace("\n", "")
    assert json.loads((folder / "out" / "survey.json").read_text())["faults"]
    assert check(folder, "data.skip_bad=true").exit_code == 0


def test_many_sizes_are_told_by_their_range():
    stored = {f"{8 + k} x 9 pixels, grey": 2 for k in range(7)} | {"5 x 5 pixels, in colour": 1}
    assert [*_describe_stored(stored)] == [
        "14 stored as 7 sizes, from 8 x 9 to 14 x 9 pixels, grey",
        "1 stored as 5 x 5 pixels, in colour",
    ]


def test_what_comes_next_takes_the_same_settings(folder):
    spec = folder / "my zoo.yaml"
    spec.write_text(f"data: {{name: image_folder, folder: {folder / 'zoo'}}}\n")
    options = ["--out", str(folder / "out"), "--set", "student.kernels=4"]
    done = CliRunner().invoke(app, ["check", str(spec), *options])
    assert f"next: hybridonn estimate '{spec}' --set student.kernels=4" in done.output
