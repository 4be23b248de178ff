"""Pictures of a camera as files: TIFF, PNG of 8 and 16 bits, npy."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hybridonn.errors import DataError, SpecError

SUFFIXES = (".tif", ".tiff", ".png", ".npy")
PNG_DEPTH, PNG_COLOUR = 24, 25  # bytes of the header (PNG specification, section 11.2.2, IHDR)


def read_picture(path: Path) -> np.ndarray:
    """The values of a picture as the camera wrote them, (H, W) or (H, W, 3).

    Raises:
        DataError: It is missing, damaged, of another kind, or its values would be changed
            by reading it.
    """
    readers = {".png": _read_png, ".npy": _read_npy, ".tif": _read_tiff, ".tiff": _read_tiff}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise DataError(f"{path} is no picture that can be read; use {', '.join(SUFFIXES)}")
    try:
        values = reader(path)
    except FileNotFoundError:
        raise DataError(f"{path} is not there; take it again, or mend the manifest") from None
    except DataError:
        raise
    except Exception as error:  # every library has its own error for a damaged file
        raise DataError(
            f"{path} is damaged ({type(error).__name__}: {error}); take the picture again"
        ) from None
    return _check(values, path)


def check_suffix(suffix: str) -> str:
    """The suffix of a file that :func:`read_picture` reads, without its dot.

    Raises:
        SpecError: Files of this suffix cannot be read, or not with every bit.
    """
    plain = suffix.lower().removeprefix(".")
    if f".{plain}" not in SUFFIXES:
        known = [one[1:] for one in SUFFIXES]
        raise SpecError(
            f"--suffix {suffix}: the import reads {', '.join(known[:-1])} and {known[-1]}, which "
            "keep every bit of the camera; choose one of them"
        )
    return plain


def full_scale(values: np.ndarray, bit_depth: int | None) -> float:
    """The value at which the camera saturates; infinite for floating-point pictures."""
    if bit_depth is not None:
        return float(2**bit_depth - 1)
    return float(np.iinfo(values.dtype).max) if values.dtype.kind == "u" else np.inf


def _check(values: np.ndarray, path: Path) -> np.ndarray:
    grey = values.ndim == 2
    if not values.size or not (grey or (values.ndim == 3 and values.shape[2] == 3)):
        raise DataError(
            f"{path} has the shape {values.shape}; a picture is (height, width) or "
            "(height, width, 3): save one picture a file, without transparency"
        )
    if values.dtype.kind not in "uf":
        raise DataError(f"{path} holds {values.dtype}; allowed are unsigned integers and floats")
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        bad = int((~np.isfinite(values)).sum())
        raise DataError(f"{path} has {bad} pixels that are not finite; take the picture again")
    return values


def _read_png(path: Path) -> np.ndarray:
    from PIL import Image

    header = path.read_bytes()[: PNG_COLOUR + 1]
    if len(header) > PNG_COLOUR and header[PNG_DEPTH] == 16 and header[PNG_COLOUR] in (2, 6):
        raise DataError(
            f"{path} is a colour PNG of 16 bits, which would be cut to 8; save it as TIFF"
        )
    with Image.open(path) as picture:
        if picture.mode not in ("L", "RGB", "I;16", "I;16B"):
            raise DataError(
                f"{path} is a PNG of mode {picture.mode}; save it as grey (8 or 16 bits) or RGB"
            )
        return np.asarray(picture)


def _read_tiff(path: Path) -> np.ndarray:
    from tifffile import imread

    return np.asarray(imread(path))


def _read_npy(path: Path) -> np.ndarray:
    return np.load(path, allow_pickle=False)
