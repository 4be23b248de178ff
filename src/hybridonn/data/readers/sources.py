"""Where the named data sets come from, and how their files are told to be right."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class RemoteFile:
    """A gzipped file or archive of a named set.

    Attributes:
        name: Its name on the mirrors and on disk.
        size: Bytes, for the progress bar.
        md5: Checksum of the file as it is downloaded, hexadecimal.
        content_md5: Checksum of what it holds, for a copy that is no longer gzipped; None: no
            such copy is looked for.
    """

    name: str
    size: int
    md5: str
    content_md5: str | None = None

    @property
    def plain_name(self) -> str:
        """The name of the copy that is no longer gzipped."""
        return self.name.removesuffix(".gz")


@dataclass(frozen=True)
class Source:
    """The files of a named set.

    Attributes:
        name: As in ``data.name``, and its folder in the data root.
        mirrors: Addresses to which a file's name is added, tried in turn.
        files: Four IDX files (training images and labels, test images and labels),
            or one archive.
    """

    name: str
    mirrors: tuple[str, ...]
    files: tuple[RemoteFile, ...]


MNIST = Source(
    name="mnist",
    mirrors=("https://ossci-datasets.s3.amazonaws.com/mnist/",),
    files=(
        RemoteFile(
            "train-images-idx3-ubyte.gz",
            9912422,
            md5="f68b3c2dcbeaaa9fbdd348bbdeb94873",
            content_md5="6bbc9ace898e44ae57da46a324031adb",
        ),
        RemoteFile(
            "train-labels-idx1-ubyte.gz",
            28881,
            md5="d53e105ee54ea40749a09fcbcd1e9432",
            content_md5="a25bea736e30d166cdddb491f175f624",
        ),
        RemoteFile(
            "t10k-images-idx3-ubyte.gz",
            1648877,
            md5="9fb629c4189551a2d022fa330f9573f3",
            content_md5="2646ac647ad5339dbf082846283269ea",
        ),
        RemoteFile(
            "t10k-labels-idx1-ubyte.gz",
            4542,
            md5="ec29112dd5afa0611ce80d1b7f02629c",
            content_md5="27ae3e4e09519cfbb04c329615203637",
        ),
    ),
)

# MD5 as stated on the author's page, A. Krizhevsky, https://www.cs.toronto.edu/~kriz/cifar.html.
CIFAR_MIRRORS = ("https://www.cs.toronto.edu/~kriz/",)
CIFAR10 = Source(
    name="cifar10",
    mirrors=CIFAR_MIRRORS,
    files=(RemoteFile("cifar-10-binary.tar.gz", 170052171, "c32a1d4ab5d03f1284b67883e8d87530"),),
)
CIFAR100 = Source(
    name="cifar100",
    mirrors=CIFAR_MIRRORS,
    files=(RemoteFile("cifar-100-binary.tar.gz", 168513733, "03b5dce01913d631647c71ecec9e9cb8"),),
)

NAMED_SOURCES: Mapping[str, Source] = MappingProxyType(
    {source.name: source for source in (MNIST, CIFAR10, CIFAR100)}
)
