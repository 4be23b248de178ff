"""Manifests that name a file for each sub-optic."""

import itertools

import pytest

from hybridonn.compensation.manifest import read_manifest
from hybridonn.errors import DataError


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
    ],
)
def test_wrong_rows_are_named(tmp_path, change, found):
    with pytest.raises(DataError, match=found):
        read_manifest(write(tmp_path, change), 2)
