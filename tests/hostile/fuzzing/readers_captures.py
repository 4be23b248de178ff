"""Readers of what a camera measured: manifests, frames, arrays, point spread functions."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import torch

from fuzzing.damage_arrays import write_npy
from fuzzing.reader import Files, Reader
from hybridonn.compensation.acquisition.capture_dataset import read_captures
from hybridonn.compensation.acquisition.captured_design import CapturedDesign
from hybridonn.compensation.acquisition.manifest import read_manifest
from hybridonn.compensation.acquisition.psf_import import psfs_from_array, simulate_psfs
from hybridonn.compensation.acquisition.sources import ArraySource, FrameSource
from hybridonn.data.dataset import Dataset, ImageSet
from hybridonn.pipeline.from_spec import lay_out_kernels
from hybridonn.spec import Optics
from hybridonn.tasks.classification import Classification

KERNELS, SIDE = 2, 6
IMAGE_IDS = ("student_train-00000", "student_train-00001", "test-00000")


@cache
def make_design() -> CapturedDesign:
    """A run with two kernels of 3 x 3 pixels, whose images are noise."""
    images = torch.randint(0, 256, (8, 1, SIDE, SIDE), generator=torch.Generator().manual_seed(0))
    part = ImageSet(images.to(torch.uint8), torch.arange(8) % 2)
    parts = {"student_train": part, "validation": part, "test": part}
    dataset = Dataset("noise", ("a", "b"), part, checksum="noise", task=Classification(), **parts)
    optics = Optics(metasurface_width_mm=3.2, metasurface_height_mm=1.9, kernel_site_mm=0.9)
    kernels = torch.randn(KERNELS, 1, 3, 3, generator=torch.Generator().manual_seed(1))
    return CapturedDesign(kernels, 1, lay_out_kernels(optics, KERNELS), dataset, "made-up")


def manifest_seeds() -> list[Files]:
    """Mosaic pictures, and a file a sub-optic; the pictures themselves are not looked at."""
    mosaic = ["frame,image_id,exposure_s", "dark.png,dark,0.01", "flat.png,flat,0.02"]
    mosaic += [f"{number}.png,{key},0.01" for number, key in enumerate(IMAGE_IDS)]
    apart = ["frame,image_id,exposure_s,kernel,sign,channel"]
    for number, key in enumerate(IMAGE_IDS):
        for place in range(2 * KERNELS):
            name = f"f/{number}-{place}.png"
            apart.append(f"{name},{key},1e-2,{place // 2},{('plus', 'minus')[place % 2]},")
    seeds = []
    for lines in (mosaic, apart):
        frames = {line.split(",")[0]: b"" for line in lines[1:]}
        seeds.append(frames | {"manifest.csv": "\n".join(lines).encode()})
    return seeds


def _read_manifest(folder: Path) -> object:
    return read_manifest(folder / "manifest.csv", KERNELS)


def frame_seeds() -> list[Files]:
    """Frames as TIFF (tifffile's and compressed), PNG of 8 and 16 bits, and npy."""
    from PIL import Image
    from tifffile import imwrite

    rng = np.random.default_rng(0)

    def tiff(values: np.ndarray, **options: object) -> bytes:
        buffer = io.BytesIO()
        imwrite(buffer, values, metadata=None, **options)
        return buffer.getvalue()

    def png(values: np.ndarray) -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(values).save(buffer, "PNG")
        return buffer.getvalue()

    def draw(kind: type = np.uint8, level: int = 100) -> np.ndarray:
        return rng.integers(level, level + 8, (8, 10)).astype(kind)

    deflated = {"compression": "deflate", "compressionargs": {"level": 1}}
    levels = {"dark": 5, "flat": 150, "point": 20, "a": 100}  # dark must be darker than flat
    keys = {"dark": "dark", "flat": "flat", "point": "point", "a": IMAGE_IDS[0]}
    writers: list[tuple[str, Callable[[int], bytes]]] = [
        ("tif", lambda level: tiff(draw(level=level))),
        ("tiff", lambda level: tiff(draw(np.uint16, level))),
        ("TIF", lambda level: tiff(draw(np.float32, level))),
        ("tif", lambda level: tiff(draw(level=level), **deflated)),
        ("tif", lambda level: tiff(np.stack([draw(level=level)] * 3, 2), photometric="rgb")),
        ("png", lambda level: png(draw(level=level))),
        ("PNG", lambda level: png(draw(np.uint16, level))),
        ("npy", lambda level: write_npy(draw(np.uint16, level))),
    ]
    seeds = []
    for ending, write in writers:
        frames = {f"{name}.{ending}": write(level) for name, level in levels.items()}
        rows = "".join(f"{name}.{ending},{key},0.01\n" for name, key in keys.items())
        seeds.append(frames | {"manifest.csv": f"frame,image_id,exposure_s\n{rows}".encode()})
    return seeds


def _read_frames(folder: Path) -> object:
    source = FrameSource(read_manifest(folder / "manifest.csv", KERNELS))
    source.find_saturated()
    return [source.read(key) for key in source.image_ids], list(
        map(source.read_light, source.points())
    )


def _npz(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def array_seeds() -> list[Files]:
    """Feature maps as arrays, with and without what is optional."""
    rng = np.random.default_rng(1)
    shape = (len(IMAGE_IDS), KERNELS, SIDE, SIDE)
    maps = {name: rng.random(shape).astype(np.float32) for name in ("positive", "negative")}
    maps["image_ids"] = np.array(IMAGE_IDS)
    more = {
        "exposure_s": np.full(len(IMAGE_IDS), 0.01),
        "dark": np.full((SIDE, SIDE), 0.01),
        "flat": np.full((KERNELS, 2, SIDE, SIDE), 0.5),
    }
    return [{"captures.npz": _npz(**maps)}, {"captures.npz": _npz(**maps, **more)}]


def _read_arrays(folder: Path) -> object:
    source = ArraySource(folder / "captures.npz", KERNELS, (SIDE, SIDE))
    return [(source.read(key), source.exposure_s(key)) for key in source.image_ids]


def capture_set_seeds() -> list[Files]:
    """A capture set as an import writes it."""
    rng = np.random.default_rng(2)
    count = len(IMAGE_IDS)
    arrays = {
        "image_ids": np.array(IMAGE_IDS),
        **{name: rng.random((count, KERNELS, SIDE, SIDE)).astype(np.float32) for name in SIGNS},
        "exposure_s": np.full(count, 0.01, np.float32),
        "gains": np.ones((KERNELS, 2)),
        "quality": np.ones((KERNELS, 2)),
    }
    arrays |= {"covered": np.ones((KERNELS, 2, SIDE, SIDE), bool)}
    notes = {"dataset": "noise", "student": "made-up", "kernels": KERNELS}
    psfs = _npz(psfs=rng.random((KERNELS, 2, 1, 7, 7)).astype(np.float32))
    files = {"captures.npz": _npz(**arrays), "captures.json": json.dumps(notes).encode()}
    return [files, files | {"psfs.npz": psfs}]


SIGNS = ("positive", "negative")


def psf_seeds() -> list[Files]:
    """Point spread functions as npy and npz."""
    psfs = 40 * simulate_psfs(make_design(), 7)
    psfs = psfs.reshape(KERNELS, 2, 1, 7, 7)
    arrays = [psfs, psfs[:, :, 0], psfs.astype(np.float32)]
    seeds = [{"psfs.npy": write_npy(array)} for array in arrays]
    return [*seeds, {"psfs.npz": _npz(psfs=psfs)}]


def _read_psfs(folder: Path) -> object:
    path = folder / ("psfs.npz" if (folder / "psfs.npz").exists() else "psfs.npy")
    psfs_from_array(path, make_design(), mend=True)
    return psfs_from_array(path, make_design())


READERS = [
    Reader("manifests", manifest_seeds, _read_manifest, victims=lambda name: name.endswith(".csv")),
    Reader("frames", frame_seeds, _read_frames, victims=lambda name: not name.endswith(".csv")),
    Reader("npz captures", array_seeds, _read_arrays),
    Reader("capture sets", capture_set_seeds, read_captures),
    Reader("psfs", psf_seeds, _read_psfs),
]
