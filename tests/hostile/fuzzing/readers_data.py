"""Readers of data sets: IDX, CIFAR, pictures, masks, lists and folders."""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np

from fuzzing.reader import Files, Reader
from hybridonn.core.progress import Silent
from hybridonn.data.load import load_unsplit
from hybridonn.data.readers.cifar import PIXELS, read_cifar
from hybridonn.data.readers.idx_folder import read_idx_folder
from hybridonn.data.readers.image_files import Target, read_mask, read_picture, read_shape
from hybridonn.data.readers.image_folder import list_image_folder, list_imagenet100
from hybridonn.data.readers.listing import Item, MaskRule
from hybridonn.data.readers.mask_folder import BINARY, list_coco_stuff10k
from hybridonn.data.readers.sources import NAMED_SOURCES
from hybridonn.spec import Data

TRAIN = tuple(f"data_batch_{number}" for number in range(1, 6))
FINE = tuple(f"class{number}" for number in range(100))
RULES = {"binary": BINARY, "classes": MaskRule("classes", 3), "things": MaskRule("things")}


def _idx(values: np.ndarray, code: int = 8) -> bytes:
    head = bytes([0, 0, code, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape)
    return head + values.tobytes()


def idx_seeds() -> list[Files]:
    """Plain and gzipped, labels of one and of four bytes."""
    rng, labels = np.random.default_rng(0), np.arange(6, dtype=np.uint8) % 3
    plain = {
        "train-images-idx3-ubyte": _idx(rng.integers(0, 256, (6, 5, 4)).astype(np.uint8)),
        "train-labels-idx1-ubyte": _idx(labels),
        "t10k-images-idx3-ubyte": _idx(rng.integers(0, 256, (3, 5, 4)).astype(np.uint8)),
        "t10k-labels-idx1-ubyte": _idx(labels[:3].astype(">i4"), 0x0C),
    }
    zipped = {f"{name}.gz": gzip.compress(content, mtime=0) for name, content in plain.items()}
    return [plain, zipped, {name: zipped[name] for name in list(zipped)[:2]}]


def cifar_binary_seeds() -> list[Files]:
    """CIFAR-10 and CIFAR-100, two pictures a file."""
    rng = np.random.default_rng(1)

    def records(labels: int) -> bytes:
        return b"".join(bytes([1] * labels) + rng.bytes(PIXELS) for _ in range(2))

    small = {f"cifar-10-batches-bin/{name}.bin": records(1) for name in (*TRAIN, "test_batch")}
    names = "\n".join(f"class{number}" for number in range(10)).encode()
    fine = {f"cifar-100-binary/{name}.bin": records(2) for name in ("train", "test")}
    return [
        small | {"cifar-10-batches-bin/batches.meta.txt": names},
        fine | {"cifar-100-binary/fine_label_names.txt": "\n".join(FINE).encode()},
    ]


def _python_2(tree: dict[bytes, Any]) -> bytes:
    """As Python 2 wrote it: texts of bytes, an array by numpy.core's functions."""
    written = bytearray(b"\x80\x02}q\x01(")
    for key, value in tree.items():
        written += b"U" + bytes([len(key)]) + key
        if isinstance(value, np.ndarray):
            content, sizes = value.tobytes(), (struct.pack("<H", size) for size in value.shape)
            written += b"cnumpy.core.multiarray\n_reconstruct\nq\x02cnumpy\nndarray\nq\x03K\x00\x85"
            written += b"U\x01b\x87R(K\x01" + b"".join(b"M" + size for size in sizes)
            written += b"\x86cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNN"
            written += b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
            written += b"T" + struct.pack("<i", len(content)) + content + b"tb"
        else:
            texts = isinstance(value[0], bytes)
            items = (b"U" + bytes([len(v)]) + v if texts else b"K" + bytes([v]) for v in value)
            written += b"](" + b"".join(items) + b"e"
    return bytes(written + b"u.")


def cifar_pickle_seeds() -> list[Files]:
    """Python batches as Python 2 wrote them, and by today's pickle protocols."""
    rng = np.random.default_rng(2)
    folder = "cifar-10-batches-py"
    batch = {
        b"batch_label": [b"x"],
        b"labels": [1, 2],
        b"data": rng.integers(0, 256, (2, PIXELS)).astype(np.uint8),
        b"filenames": [b"a.png", b"b.png"],
    }
    meta = {b"label_names": [b"class%d" % number for number in range(10)], b"num_vis": [3]}
    seeds = []
    for write in (_python_2, lambda t: pickle.dumps(t, 2), lambda t: pickle.dumps(t, 4)):
        files = {f"{folder}/{name}": write(batch) for name in (*TRAIN, "test_batch")}
        seeds.append(files | {f"{folder}/batches.meta": write(meta)})
    folder = "cifar-100-python"
    fine = {b"fine_labels": [1, 2], b"coarse_labels": [0, 0], b"data": batch[b"data"]}
    files = {f"{folder}/{name}": _python_2(fine) for name in ("train", "test")}
    names = {b"fine_label_names": [name.encode() for name in FINE]}
    return [*seeds, files | {f"{folder}/meta": _python_2(names)}]


def _read_cifar(folder: Path) -> object:
    name = "cifar100" if any(folder.glob("cifar-100-*")) else "cifar10"
    return read_cifar(name, folder, folder, NAMED_SOURCES[name], Silent())


def _save(array: np.ndarray, kind: str, mode: str | None = None, **options: Any) -> bytes:
    from PIL import Image

    image = Image.fromarray(array)
    buffer = io.BytesIO()
    (image if mode is None else image.convert(mode)).save(buffer, kind, **options)
    return buffer.getvalue()


def picture_seeds() -> list[Files]:
    """Every format, in grey, colour, with a palette, of 16 bits, with several compressions."""
    rng = np.random.default_rng(3)
    grey = rng.integers(0, 256, (9, 12)).astype(np.uint8)
    colour = rng.integers(0, 256, (9, 12, 3)).astype(np.uint8)
    deep = rng.integers(0, 65536, (9, 12)).astype(np.uint16)
    files = [
        ("p.png", _save(grey, "PNG")),
        ("p.png", _save(colour, "PNG")),
        ("p.png", _save(colour, "PNG", "P")),
        ("p.png", _save(grey, "PNG", "1")),
        ("p.png", _save(deep, "PNG")),
        ("p.jpg", _save(colour, "JPEG")),
        ("p.jpg", _save(grey, "JPEG", progressive=True)),
        ("p.gif", _save(colour, "GIF", "P")),
        ("p.bmp", _save(colour, "BMP")),
        ("p.bmp", _save(colour, "BMP", "P")),
        ("p.webp", _save(colour, "WEBP", quality=50)),
        ("p.ppm", _save(colour, "PPM")),
        ("p.pgm", b"P2\n# note\n3 2\n255\n0 1 2\n3 4 255\n"),
        ("p.tif", _save(grey, "TIFF")),
        ("p.tif", _save(deep, "TIFF")),
        *[
            ("p.tif", _save(colour, "TIFF", compression=c))
            for c in ("tiff_lzw", "jpeg", "tiff_deflate")
        ],
        ("p.tif", _save(grey, "TIFF", "1", compression="group4")),
        ("p.tif", _save(grey, "TIFF", compression="packbits")),
    ]
    return [{name: content} for name, content in files]


def _read_picture(folder: Path) -> object:
    for path in _present(folder, "p.*"):
        read_shape(path)
        read_picture(path, Target(8, 8, grey=True))
        read_picture(path, Target(5, 16, grey=False, resize="pad"))
    return None


def mask_seeds() -> list[Files]:
    """A picture with a mask of two or more values, or with labels of COCO-Stuff."""
    from scipy.io import savemat

    rng = np.random.default_rng(4)
    picture = _save(rng.integers(0, 256, (9, 12, 3)).astype(np.uint8), "PNG")
    binary = (255 * rng.integers(0, 2, (9, 12))).astype(np.uint8)
    classes = rng.integers(0, 3, (9, 12)).astype(np.uint8)
    labels = rng.integers(0, 183, (9, 12)).astype(np.uint8)
    seeds = [
        {"p.png": picture, "binary.png": _save(binary, "PNG")},
        {"p.png": picture, "binary.gif": _save(binary, "GIF", "P")},
        {"p.png": picture, "binary.png": _save(binary, "PNG", "1")},
        {"p.png": picture, "binary.tif": _save(binary, "TIFF")},
        {"p.png": picture, "classes.png": _save(classes, "PNG")},
    ]
    for compressed in (True, False):
        buffer = io.BytesIO()
        savemat(buffer, {"S": labels, "names": np.array(["a"], object)}, do_compression=compressed)
        seeds.append({"p.png": picture, "things.mat": _undated(buffer.getvalue())})
    return seeds


def _undated(content: bytes) -> bytes:
    """A MATLAB file whose head does not tell when it was written."""
    return b"MATLAB 5.0 MAT-file".ljust(116) + content[116:]


def _read_mask(folder: Path) -> object:
    (path,) = _present(folder, "[!p]*.*") or [folder / "binary.png"]
    rule = RULES[path.stem]
    return read_mask(Item(folder / "p.png", masks=(path,)), rule, Target(8, 8, grey=True))


def list_seeds() -> list[Files]:
    """Lists of pictures and names of classes beside folders."""
    empty = b""
    stems = ["COCO_1", "COCO_2", "COCO_3"]
    coco = {f"images/{stem}.jpg": empty for stem in stems}
    coco |= {f"annotations/{stem}.mat": empty for stem in stems}
    coco["imageLists/train.txt"] = b"COCO_1\nCOCO_2\n"
    coco["imageLists/test.txt"] = b"COCO_3\n"
    classes = {
        f"{part}/n0{n}/{k}.jpg": empty for part in ("train", "val") for n in (1, 2) for k in (1, 2)
    }
    named = {f"train.X{n}/n0{n}/1.jpg": empty for n in (1, 2)} | {"val.X/n01/2.jpg": empty}
    names = {"n01": "tench, Tinca tinca", "n02": "crane"}
    labels = {"Labels.json": json.dumps(names).encode()}
    return [coco, classes | labels, named | labels]


def _read_list(folder: Path) -> object:
    if (folder / "imageLists").is_dir():
        return list_coco_stuff10k(folder)
    return list_imagenet100(folder), list_image_folder(folder)


def folder_seeds() -> list[Files]:
    """Small sets of pictures, of classes and of masks, that are read as a whole."""
    rng = np.random.default_rng(5)

    def picture() -> bytes:
        return _save(rng.integers(0, 256, (6, 6)).astype(np.uint8), "PNG")

    masks = [_save((255 * rng.integers(0, 2, (6, 6))).astype(np.uint8), "PNG") for _ in range(3)]
    classes = {f"{name}/{number}.png": picture() for name in ("cat", "dog") for number in range(3)}
    pairs = {f"images/{number}.png": picture() for number in range(3)}
    return [classes, pairs | {f"masks/{number}.png": mask for number, mask in enumerate(masks)}]


def _read_folder(folder: Path) -> object:
    os.environ["HYBRIDONN_CACHE"] = str(folder.parent / "cache")
    name: Any = "mask_folder" if (folder / "masks").exists() else "image_folder"
    return load_unsplit(Data(name=name, folder=folder, skip_bad=True), None, Silent())


def _present(folder: Path, pattern: str) -> list[Path]:
    return sorted(folder.glob(pattern))


IDX_NAMES = {
    f"{part}-{what}-ubyte": "idx"
    for part in ("train", "t10k")
    for what in ("images-idx3", "labels-idx1")
}
PICKLES = dict.fromkeys((*TRAIN, "test_batch", "batches.meta", "train", "test", "meta"), "pickle")
READERS = [
    Reader("idx", idx_seeds, read_idx_folder, kinds=IDX_NAMES),
    Reader("cifar binary", cifar_binary_seeds, _read_cifar),
    Reader("cifar pickle", cifar_pickle_seeds, _read_cifar, kinds=PICKLES),
    Reader("pictures", picture_seeds, _read_picture),
    Reader("masks", mask_seeds, _read_mask),
    Reader("lists", list_seeds, _read_list, victims=lambda name: name.endswith((".txt", ".json"))),
    Reader("folders", folder_seeds, _read_folder, renames=True),
]
