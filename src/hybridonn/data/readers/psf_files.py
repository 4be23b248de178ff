"""Files of measured point spread functions: TIFF, PNG, npy and npz."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hybridonn.core.array_reading import ArrayFileError, read_archive, read_array, read_headers
from hybridonn.core.errors import DataError
from hybridonn.data.readers.frame_files import read_picture

PICTURES = (".tif", ".tiff", ".png")
ARRAY = "psfs"  # of an npz
SHAPES = (
    "(P, Q) of one kernel, (K, P, Q), (K, 2, P, Q) with the negative sign after the positive, or "
    "(K, 2, C, P, Q) with a colour for each channel of the images"
)


def read_psf_array(path: Path) -> np.ndarray:
    """The array of a file of point spread functions, as it was written.

    Args:
        path: A TIFF or PNG image, a .npy, or the array ``psfs`` of a .npz.

    Raises:
        DataError: It cannot be read, or the .npz has no array of that name.
    """
    try:
        if path.suffix.lower() in PICTURES:
            return read_picture(path)
        if path.suffix.lower() != ".npz":
            return read_array(path)
        headers = read_headers(path)
        if ARRAY in headers:
            return read_archive(path, [ARRAY])[ARRAY]
    except ArrayFileError as error:
        raise DataError(f"{path} cannot be read as an array: it {error.found}") from None
    raise DataError(f"{path} lacks the array {ARRAY}; it holds {', '.join(headers) or 'none'}")


def read_psfs(path: Path, channels: int) -> np.ndarray:
    """Point spread functions by kernel, sign and colour, (K, S, C, P, Q); S is 1 or 2.

    Args:
        path: As for :func:`read_psf_array`; which shapes it may hold, :data:`SHAPES` says.
        channels: Channels C of the images.

    Raises:
        DataError: It cannot be read, has another shape or other colours, or holds what is no
            amount of light.
    """
    values = read_psf_array(path)
    if values.dtype.kind not in "uif":
        raise DataError(f"{path} holds {values.dtype}; allowed are integers and floats")
    found = _sort(values, path)
    if not values.size or not np.isfinite(values).all():
        raise DataError(f"{path} holds no values, or some that are not finite; measure it again")
    if found.shape[2] != channels:
        raise DataError(
            f"{path} has the shape {values.shape}, point spread functions of {found.shape[2]} "
            f"colour{'s' * (found.shape[2] > 1)}, but the images have {channels} "
            f"channel{'s' * (channels > 1)}; write "
            f"(K, 2, {channels}, P, Q)" + ", or set data.colour to grey" * (found.shape[2] == 1)
        )
    return found


def _sort(values: np.ndarray, path: Path) -> np.ndarray:
    """The axes as kernel, sign, colour, row, column.

    Raises:
        DataError: There are others.
    """
    shape = values.shape
    if path.suffix.lower() in PICTURES and values.ndim == 3:
        raise DataError(
            f"{path} is a picture in colour, which does not tell what each wavelength does; save "
            "it in grey, or write an array (K, 2, C, P, Q)"
        )
    signed = values.ndim in (4, 5) and shape[1] == 2
    if values.ndim in (2, 3):
        return values.reshape(-1, 1, 1, *shape[-2:])
    if values.ndim == 4 and signed:
        return values[:, :, None]
    if signed:
        return values
    raise DataError(f"{path} has the shape {shape}; allowed are {SHAPES}")
