"""Captures of a camera as files: TIFF, PNG of 8 and 16 bits, npy."""

from __future__ import annotations

import logging
import logging.handlers
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from hybridonn.core.array_reading import ArrayFileError, read_array
from hybridonn.core.errors import DataError, SpecError
from hybridonn.core.memory import free_bytes, say_bytes
from hybridonn.data.readers.image_rules import refuse_frame

SUFFIXES = (".tif", ".tiff", ".png", ".npy")
PNG_DEPTH, PNG_COLOUR = 24, 25  # bytes of the header (PNG specification, section 11.2.2, IHDR)
MOST_BYTES = 2**29  # of a capture: 256 million pixels of 16 bits
MOST_SHRUNK = 2000  # deflate shrinks 1032 times at most, LZW of TIFF about 1400 times


def read_picture(path: Path) -> np.ndarray:
    """The values of a capture as the camera wrote them, (H, W) or (H, W, 3).

    Raises:
        DataError: It is missing, damaged, of another kind, or its values would be changed
            by reading it.
    """
    readers = {".png": _read_png, ".npy": _read_npy, ".tif": _read_tiff, ".tiff": _read_tiff}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise DataError(f"{path} is no capture that can be read; use {', '.join(SUFFIXES)}")
    try:
        if reader is not _read_npy:
            refuse_frame(path)
        values = reader(path)
    except FileNotFoundError:
        raise DataError(f"{path} is not there; take it again, or mend the manifest") from None
    except ArrayFileError as error:
        raise DataError(f"{path} is damaged (it {error.found}); take the frame again") from None
    except DataError:
        raise
    except (Exception, MemoryError) as error:  # every library has its own for a damaged file
        said = " ".join(str(error).split())[:200]
        raise DataError(
            f"{path} is damaged ({type(error).__name__}: {said}); take the frame again"
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
    """The value at which the camera saturates; infinite for floating-point captures."""
    if bit_depth is not None:
        return float(2**bit_depth - 1)
    return float(np.iinfo(values.dtype).max) if values.dtype.kind == "u" else np.inf


def _check(values: np.ndarray, path: Path) -> np.ndarray:
    grey = values.ndim == 2
    if not values.size or not (grey or (values.ndim == 3 and values.shape[2] == 3)):
        raise DataError(
            f"{path} has the shape {values.shape}; a capture is (height, width) or "
            "(height, width, 3): save one capture a file, without transparency"
        )
    if values.dtype.kind not in "uf":
        raise DataError(f"{path} holds {values.dtype}; allowed are unsigned integers and floats")
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        bad = int((~np.isfinite(values)).sum())
        raise DataError(f"{path} has {bad} pixels that are not finite; take the frame again")
    return values


def _read_png(path: Path) -> np.ndarray:
    from PIL import Image

    with path.open("rb") as file:
        header = file.read(PNG_COLOUR + 1)
    if len(header) > PNG_COLOUR and header[PNG_DEPTH] == 16 and header[PNG_COLOUR] in (2, 6):
        raise DataError(
            f"{path} is a colour PNG of 16 bits, which would be cut to 8; save it as TIFF"
        )
    with warnings.catch_warnings(action="ignore"), Image.open(path, formats=["PNG"]) as picture:
        if picture.mode not in ("L", "RGB", "I;16", "I;16B"):
            raise DataError(
                f"{path} is a PNG of mode {picture.mode}; save it as grey (8 or 16 bits) or RGB"
            )
        _check_size(path, picture.width * picture.height * len(picture.getbands()) * 2)
        return np.asarray(picture)


def _read_tiff(path: Path) -> np.ndarray:
    from tifffile import TiffFile

    with _refuse_complaints("tifffile", path), TiffFile(path) as file:
        page = file.pages[0].aspage()
        _check_size(path, page.nbytes)
        try:
            return np.asarray(page.asarray())
        except ValueError as error:
            if "imagecodecs" not in str(error):
                raise
            name = getattr(page.compression, "name", page.compression)
            raise DataError(
                f"{path} is compressed by {name}, which needs the package imagecodecs; install it, "
                "or save the capture without compression"
            ) from None


@contextmanager
def _refuse_complaints(library: str, path: Path) -> Iterator[None]:
    """Refuse a file of which a library logs an error and reads what is left.

    Raises:
        DataError: It does.
    """
    logger, errors = logging.getLogger(library), logging.handlers.BufferingHandler(2**30)
    errors.setLevel(logging.ERROR)
    logger.addHandler(errors)
    passes, logger.propagate = logger.propagate, False
    try:
        yield
    finally:
        logger.removeHandler(errors)
        logger.propagate = passes
    if errors.buffer:
        said = " ".join(errors.buffer[0].getMessage().split())[:200]
        raise DataError(f"{path} is damaged ({said}); take the frame again")


def _check_size(path: Path, size: int) -> None:
    """Refuse a capture that claims more bytes than its file can hold, or the memory.

    Raises:
        DataError: It does.
    """
    held = path.stat().st_size
    most = min(MOST_SHRUNK * held, MOST_BYTES, free_bytes())
    if size > most:
        raise DataError(
            f"{path} claims a capture of {say_bytes(size)} in a file of {say_bytes(held)}; at most "
            f"{say_bytes(most)} can be read: take the frame again, or cut it"
        )


def _read_npy(path: Path) -> np.ndarray:
    return read_array(path)
