"""Files of a camera, written by other libraries and by hand."""

import zlib

import numpy as np
import pytest
from PIL import Image
from tifffile import imwrite

from hybridonn.core.errors import DataError
from hybridonn.data.readers import frame_files as pictures
from hybridonn.data.readers.frame_files import full_scale, read_picture

GREY = np.arange(12, dtype=np.uint16).reshape(3, 4) * 5000


@pytest.mark.parametrize("name", ["a.tif", "a.tiff", "a.png", "a.npy"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_grey_pictures_keep_every_bit(tmp_path, name, dtype):
    values = (GREY // 256).astype(np.uint8) if dtype == np.uint8 else GREY
    writers = {"png": lambda p, v: Image.fromarray(v).save(p), "npy": np.save}
    writers.get(name[2:], imwrite)(tmp_path / name, values)
    read = read_picture(tmp_path / name)
    np.testing.assert_array_equal(read, values)
    assert read.dtype == dtype


def test_colour_pictures_are_read(tmp_path):
    values = np.arange(36, dtype=np.uint8).reshape(3, 4, 3)
    Image.fromarray(values).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_picture(tmp_path / "a.png"), values)


def test_a_colour_png_of_16_bits_is_refused_not_cut(tmp_path):
    # Signature, length, IHDR, 4 x 3 pixels, 16 bits, colour type 2.
    header = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\4\0\0\0\3\x10\2\0\0\0"
    (tmp_path / "a.png").write_bytes(header + bytes(20))
    with pytest.raises(DataError, match="cut to 8; save it as TIFF"):
        read_picture(tmp_path / "a.png")


@pytest.mark.parametrize(
    ("name", "write", "found"),
    [
        ("a.png", lambda p: p.write_bytes(b"no"), "damaged"),
        ("a.tif", lambda p: p.write_bytes(b"no"), "damaged"),
        ("a.npy", lambda p: p.write_bytes(b"no"), "damaged"),
        ("a.jpg", lambda p: p.write_bytes(b"no"), "no capture that can be read"),
        ("a.npy", lambda p: np.save(p, np.ones((2, 3, 4))), "has the shape"),
        ("a.npy", lambda p: np.save(p, np.ones((2, 3), int)), "allowed are unsigned"),
        ("a.npy", lambda p: np.save(p, np.full((2, 3), np.nan)), "6 pixels that are not finite"),
        ("a.png", lambda p: Image.new("RGBA", (4, 3)).save(p), "a channel of transparency"),
        ("a.png", lambda p: None, "is not there"),
        (
            "a.png",
            lambda p: Image.new("L", (4, 3)).save(p, transparency=3),
            "a channel of transparency",
        ),
        ("a.png", lambda p: Image.new("L", (4, 3)).save(p, format="JPEG"), "with losses"),
        ("a.npy", lambda p: np.savez(p.open("wb"), GREY), "is an npz archive"),
        ("a.npy", lambda p: np.save(p, np.array(3.0)), r"has the shape \(\)"),
        ("a.npy", lambda p: np.save(p, np.full((3, 4), "x")), "allowed are unsigned"),
        ("a.npy", lambda p: np.save(p, GREY.astype(complex)), "allowed are unsigned"),
        ("a.tif", lambda p: imwrite(p, GREY, photometric="miniswhite"), "says that 0 is white"),
        ("a.tif", lambda p: imwrite(p, np.stack([GREY, GREY])), "of transparency|holds 2 images"),
        ("a.tif", lambda p: (imwrite(p, GREY), imwrite(p, GREY, append=True)), "holds 2 images"),
        (
            "a.tif",
            lambda p: imwrite(p, GREY, extratags=[(274, "H", 1, 6, True)]),
            "shown turned by 90 degrees",
        ),
    ],
)
def test_bad_pictures_are_refused(tmp_path, name, write, found):
    write(tmp_path / name)
    with pytest.raises(DataError, match=found):
        read_picture(tmp_path / name)


def test_full_scale_is_that_of_the_camera():
    assert full_scale(GREY, None) == 65535
    assert full_scale(GREY, 12) == 4095
    assert full_scale(GREY.astype(float), None) == np.inf


def test_a_picture_that_is_larger_than_its_file_is_refused(tmp_path, monkeypatch):
    header = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x30\0\0\0\x30\0\x08\0\0\0\0"
    chunk = zlib.crc32(header[12:]).to_bytes(4, "big") + b"\0\0\0\0IEND\xaeB`\x82"
    (tmp_path / "a.png").write_bytes(header + chunk)
    with pytest.raises(DataError, match="claims a capture of 302 MB in a file of 45 bytes"):
        read_picture(tmp_path / "a.png")
    monkeypatch.setattr(pictures, "MOST_BYTES", 10**6)
    imwrite(tmp_path / "a.tif", np.zeros((1200, 1000), np.uint8), compression="zlib")
    with pytest.raises(DataError, match=r"claims a capture of 1\.2 MB .* at most 1 MB can be read"):
        read_picture(tmp_path / "a.tif")


def test_a_damaged_tiff_is_refused_although_its_library_reads_on(tmp_path, capfd):
    imwrite(tmp_path / "a.tif", GREY)
    content = (tmp_path / "a.tif").read_bytes()
    at = content.index((279).to_bytes(2, "little"))  # the size of the values
    (tmp_path / "a.tif").write_bytes(content[:at] + b"\xff" + content[at + 1 :])
    with pytest.raises(DataError, match="is damaged"):
        read_picture(tmp_path / "a.tif")
    assert capfd.readouterr().err == ""
