"""Files of point spread functions, by kernel, sign and colour."""

import numpy as np
import pytest
from PIL import Image
from tifffile import imwrite

from hybridonn.core.errors import DataError
from hybridonn.data.readers.psf_files import read_psfs


def write(path, values):
    writers = {
        ".npy": np.save,
        ".npz": lambda file, array: np.savez(file, psfs=array),
        ".tiff": imwrite,
        ".png": lambda file, array: Image.fromarray(array).save(file),
    }
    writers[path.suffix](path, values)
    return path


@pytest.mark.parametrize(
    ("name", "dtype"),
    [("a.npy", "f8"), ("a.npz", "i4"), ("a.tiff", "f4"), ("a.tiff", "u2"), ("a.png", "u1")],
)
def test_one_kernel_is_read_of_every_kind_of_file(tmp_path, name, dtype):
    values = np.arange(12, dtype=dtype).reshape(3, 4)
    found = read_psfs(write(tmp_path / name, values), 1)
    assert found.shape == (1, 1, 1, 3, 4)
    np.testing.assert_array_equal(found[0, 0, 0], values)


@pytest.mark.parametrize(
    ("shape", "channels", "wanted"),
    [
        ((5, 3, 4), 1, (5, 1, 1, 3, 4)),
        ((5, 2, 3, 4), 1, (5, 2, 1, 3, 4)),
        ((5, 2, 3, 6, 4), 3, (5, 2, 3, 6, 4)),
    ],
)
def test_an_array_has_kernels_signs_and_colours(tmp_path, shape, channels, wanted):
    assert read_psfs(write(tmp_path / "a.npy", np.ones(shape)), channels).shape == wanted


@pytest.mark.parametrize(
    ("shape", "channels", "message"),
    [
        ((7,), 1, r"has the shape \(7,\); allowed are \(P, Q\) of one kernel"),
        ((4, 3, 5, 5), 1, r"has the shape \(4, 3, 5, 5\); allowed are"),
        ((3, 4), 3, r"of 1 colour, but the images have 3 channels; .* or set data\.colour to grey"),
        ((1, 2, 3, 4, 4), 1, r"of 3 colours, but the images have 1 channel; write \(K, 2, 1"),
        ((0, 3, 4), 1, "holds no values"),
    ],
)
def test_other_shapes_are_refused(tmp_path, shape, channels, message):
    with pytest.raises(DataError, match=message):
        read_psfs(write(tmp_path / "a.npy", np.ones(shape)), channels)


def test_what_is_no_light_is_refused(tmp_path):
    with pytest.raises(DataError, match="holds bool"):
        read_psfs(write(tmp_path / "a.npy", np.ones((3, 3), bool)), 1)
    with pytest.raises(DataError, match="not finite"):
        read_psfs(write(tmp_path / "a.npy", np.full((3, 3), np.nan)), 1)
    with pytest.raises(DataError, match="a picture in colour"):
        read_psfs(write(tmp_path / "a.png", np.ones((3, 3, 3), np.uint8)), 3)
    np.savez(tmp_path / "b.npz", psf=np.ones((3, 3)))
    with pytest.raises(DataError, match="lacks the array psfs; it holds psf"):
        read_psfs(tmp_path / "b.npz", 1)
    with pytest.raises(DataError, match="cannot be read as an array"):
        read_psfs(tmp_path / "none.npy", 1)
