"""Manifests that name a file for each sub-optic."""

import itertools

import pytest

from hybridonn.compensation.acquisition.manifest import read_manifest
from hybridonn.core.errors import DataError


def write(folder, change=lambda lines: lines):
    lines = ["frame,image_id,exposure_s,kernel,sign"]
    for image, kernel, sign in itertools.product(range(2), range(2), ("plus", "minus")):
        name = f"{image}_{kernel}_{sign}.tif"
        (folder / name).write_bytes(b"")
        lines.append(f"{name},test-{image:05d},0.1,{kernel},{sign}")
    path = folder / "manifest.csv"
    path.write_text("\n".join(change(lines)))
    return path


def test_rows_are_read(tmp_path):
    (tmp_path / "more.tif").write_bytes(b"")
    manifest = read_manifest(write(tmp_path), 2)
    assert manifest.image_ids == ["test-00000", "test-00001"]
    assert [frame.sub_optic for frame in manifest.frames] == [0, 1, 2, 3] * 2
    assert not manifest.is_mosaic
    assert manifest.unlisted == 1


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda lines: lines[:-1], r"1 images lack frames: test-00001 \(3 of 4\)"),
        (lambda lines: [*lines[:-1], lines[-1].replace("1,minus", ",")], "7 of 8 rows name a ker"),
        (lambda lines: [one.replace("1,minus", "5,minus") for one in lines], "kernels 0 to 1"),
        (lambda lines: [one.replace("minus", "-") for one in lines], "a sign is plus or minus"),
        (lambda lines: [*lines, lines[-1]], r"named more than once: 1_1_minus.tif \(2 rows\)"),
        (lambda lines: lines[:1], "has no row"),
        (lambda lines: [], "lacks the column frame, image_id, exposure_s"),
        (lambda lines: [lines[0] + ",frame", *lines[1:]], "column frame twice"),
        (lambda lines: swap(lines, "0_0_plus.tif", '"0_0_plus.\ntif"'), "line 3 .*a line break"),
        (
            lambda lines: swap(lines, "0_0_plus.tif", '"0_0_plus.tif'),
            "cannot be read as CSV after line",
        ),
        (lambda lines: swap(lines, "0_0_plus.tif", "a\0.tif"), "line 2 .*control character"),
        (lambda lines: swap(lines, "0_0_plus.tif", "a" * 5000), "line 2 .*5000 characters"),
        (lambda lines: swap(lines, "0_0_plus.tif", "a" * 300), "1 of 8 frames are not there"),
        (
            lambda lines: swap(lines, "0_0_plus.tif", "x" * 200_000),
            "after line 1 .*keep cells short",
        ),
        (lambda lines: swap(lines, "0.1,0,plus", "1_0,0,plus"), "write a plain number"),
        (lambda lines: swap(lines, "0.1,0,plus", "9" * 5000 + ",0,plus"), "5000 characters"),
        (lambda lines: swap(lines, "test-00000", "test-" + "0" * 900), "is no image id"),
        (lambda lines: swap(lines, "0.1,0,plus", "1e400,0,plus"), "must be seconds, above 0"),
    ],
)
def test_wrong_rows_are_named(tmp_path, change, found):
    with pytest.raises(DataError, match=found) as caught:
        read_manifest(write(tmp_path, change), 2)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000


def swap(lines, old, new):
    return "\n".join(lines).replace(old, new, 1).split("\n")


@pytest.mark.parametrize("name", ["../secret.tif", "frames/../../secret.tif", "{absolute}"])
def test_a_frame_outside_of_the_folder_is_refused(tmp_path, name):
    (tmp_path / "secret.tif").write_bytes(b"")
    folder = tmp_path / "captured"
    folder.mkdir()
    named = name.format(absolute=tmp_path / "secret.tif")
    path = write(folder, lambda lines: swap(lines, "0_0_plus.tif", named))
    with pytest.raises(DataError, match=r"1 rows .* leaves the folder"):
        read_manifest(path, 2)


def test_names_with_dots_stay_in_the_folder(tmp_path):
    path = write(tmp_path, lambda lines: swap(lines, "0_0_plus.tif", "x/../..a/../0_0_plus.tif"))
    (tmp_path / "x").mkdir()
    (tmp_path / "..a").mkdir()
    assert len(read_manifest(path, 2).frames) == 8


def test_notes_may_be_long_and_hold_line_breaks(tmp_path):
    def note(lines):
        return [lines[0] + ",note", lines[1] + ',"two\nlines, ' + "x" * 10_000 + '"', *lines[2:]]

    assert len(read_manifest(write(tmp_path, note), 2).frames) == 8


def test_text_that_is_not_utf_8_is_said(tmp_path):
    path = write(tmp_path)
    path.write_bytes(path.read_bytes().replace(b"0_0_plus", b"\xe4_0_plus"))
    with pytest.raises(DataError, match=r"is not UTF-8 \(byte \d+ is 0xe4\)"):
        read_manifest(path, 2)
