"""Readers of the named sets that are stored as arrays, all called with one request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hybridonn.core.progress import Progress
from hybridonn.data.dataset import UnsplitSet
from hybridonn.data.readers.cifar import read_cifar
from hybridonn.data.readers.digits import read_digits
from hybridonn.data.readers.download import fetch
from hybridonn.data.readers.idx_folder import IdxFiles, read_idx_files, read_idx_folder
from hybridonn.data.readers.medmnist import find_medmnist, find_named_medmnist, read_medmnist
from hybridonn.data.readers.sources import Source


@dataclass(frozen=True)
class ReadRequest:
    """A set to read, and its place.

    Attributes:
        name: The name of the set, as in ``data.name``.
        folder: The user's folder; None: the set has its place in the data root.
        variant: Which of the sets of the folder; None: the folder holds one.
        root: The data root.
        sources: The sets that can be downloaded, by name.
        progress: Shows a download.
    """

    name: str
    folder: Path | None
    variant: str | None
    root: Path
    sources: Mapping[str, Source]
    progress: Progress


def read_digits_set(_: ReadRequest) -> UnsplitSet:
    """Read the handwritten digits that come with scikit-learn."""
    return read_digits()


def read_mnist_set(request: ReadRequest) -> UnsplitSet:
    """Read MNIST, downloading it where it is not found.

    Raises:
        DataError: Files are damaged, or cannot be downloaded.
    """
    files = fetch(request.sources[request.name], request.root, request.progress)
    return read_idx_files(IdxFiles(*files), request.name)


def read_idx_set(request: ReadRequest) -> UnsplitSet:
    """Read the set of IDX files in the user's folder.

    Raises:
        DataError: Files are missing or damaged.
    """
    folder = request.folder or request.root / request.name
    return read_idx_folder(folder, request.variant)


def read_cifar_set(request: ReadRequest) -> UnsplitSet:
    """Read CIFAR-10 or CIFAR-100, downloading it where it is not found.

    Raises:
        DataError: Files are missing or damaged, or cannot be downloaded.
    """
    source = request.sources[request.name]
    return read_cifar(request.name, request.folder, request.root, source, request.progress)


def read_medmnist_set(request: ReadRequest) -> UnsplitSet:
    """Read a set in MedMNIST's npz layout: a named one, or the one in the user's file or folder.

    Raises:
        DataError: The file is missing or damaged, or holds no set of one class an image.
    """
    if request.folder is None:
        return read_medmnist(find_named_medmnist(request.root, request.name))
    name = request.variant if request.name == "medmnist" else request.name
    return read_medmnist(find_medmnist(request.folder, name))
