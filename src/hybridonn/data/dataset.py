"""Images with their labels, split for training, validation and test."""

from __future__ import annotations

from dataclasses import dataclass

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
