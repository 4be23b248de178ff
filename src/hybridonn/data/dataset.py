"""Images with their labels, split for training, validation and test."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor


@dataclass(frozen=True)
class ImageSet:
    """Images and their classes, held in memory.

    Attributes:
        images: Grey values or colours, (N, C, H, W), uint8.
        labels: Class of each image, (N,), int64.
    """

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: Tensor) -> ImageSet:
        """The images at these positions, in this order."""
        return ImageSet(self.images[indices], self.labels[indices])


@dataclass(frozen=True)
class UnsplitSet:
    """A data set as its source gives it, before it is split.

    Attributes:
        name: What the reports call it.
        classes: Names of the classes; label k is the k-th.
        images: What is split into training and validation (and test, where
            there is no ``test``).
        test: The source's own test part; None: it has none.
    """

    name: str
    classes: tuple[str, ...]
    images: ImageSet
    test: ImageSet | None


@dataclass(frozen=True)
class Dataset:
    """A data set split by seed.

    Attributes:
        name: What the reports call it.
        classes: Names of the classes; label k is the k-th.
        train: What the teacher is trained on.
        student_train: What the student is trained on: ``train`` or a part of it
            with every class in the same proportion.
        validation: For early stopping and tuning; never trained on.
        test: For the numbers that are reported.
        checksum: SHA-256 of images, labels and split, hexadecimal.
    """

    name: str
    classes: tuple[str, ...]
    train: ImageSet
    student_train: ImageSet
    validation: ImageSet
    test: ImageSet
    checksum: str

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of every image."""
        channels, height, width = self.train.images.shape[1:]
        return channels, height, width

    @cached_property
    def teacher_checksum(self) -> str:
        """SHA-256 of all that a teacher sees: not of ``student_train``.

        It stays the same when only ``data.train_images`` changes, so one
        trained teacher serves a whole learning curve.
        """
        parts = {"train": self.train, "validation": self.validation, "test": self.test}
        return hash_parts(self.classes, parts)


def hash_parts(classes: tuple[str, ...], parts: Mapping[str, ImageSet]) -> str:
    """SHA-256, hexadecimal, of the named parts' images and labels in their order.

    The split goes in through what it made: two specs that give the same parts
    have the same checksum.
    """
    digest = hashlib.sha256(repr(classes).encode())
    for name, part in parts.items():
        # The shapes go in so that no two lists of parts run together to the same bytes.
        digest.update(f"|{name}|{tuple(part.images.shape)}|".encode())
        digest.update(part.images.contiguous().numpy().data)
        digest.update(part.labels.contiguous().numpy().astype("<i8", copy=False).data)
    return digest.hexdigest()
