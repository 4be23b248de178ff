"""Images with their labels or masks, split for training, validation and test."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from torch import Tensor

from hybridonn.data.indexed import Labels, join_labels, move_labels, pack_labels, take_labels
from hybridonn.tasks.task import Task

# The parts of a data set, and what people call them.
PARTS = {
    "train": "training",
    "student_train": "student's training",
    "validation": "validation",
    "test": "test",
}


@dataclass(frozen=True)
class ImageSet:
    """Images with their classes, in memory or in a memory-mapped file.

    Attributes:
        images: Grey values or colours, (N, C, H, W), uint8.
        labels: What the task is to find in each image: a tensor (N, ...), such as classes (N,)
            int64 or masks (N, H, W) uint8, or a tensor of any length for each image.
        patients: Whom each image was taken of, N names; None: the set does not say.
    """

    images: Tensor
    labels: Labels
    patients: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: Tensor) -> ImageSet:
        """The images at these positions, in this order, in memory."""
        images = self.images.index_select(0, indices)
        known = self.patients
        patients = known and tuple(known[index] for index in indices.tolist())
        return ImageSet(images, take_labels(self.labels, indices), patients)

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """The scene (B, C, H, W), radiance in [0, 1], and the labels at indices (B,) int64."""
        from hybridonn.data.batches import to_scene

        some = self.take(indices)
        return to_scene(some.images), some.labels

    def to(self, device: torch.device) -> ImageSet:
        """The same images and labels on a device: there, they are augmented at its speed."""
        return ImageSet(self.images.to(device), move_labels(self.labels, device), self.patients)

    def slice(self, start: int, stop: int) -> ImageSet:
        """The images from ``start`` to before ``stop``: the same memory, nothing is copied."""
        patients = self.patients and self.patients[start:stop]
        return ImageSet(self.images[start:stop], self.labels[start:stop], patients)


def join_sets(parts: Sequence[ImageSet]) -> ImageSet:
    """The images of several sets, one set after the other, in memory."""
    images, labels = [part.images for part in parts], [part.labels for part in parts]
    return ImageSet(torch.cat(images), join_labels(labels))


@dataclass(frozen=True)
class UnsplitSet:
    """A data set as its source gives it, before it is split.

    Attributes:
        name: What the reports call it.
        classes: Names of the classes; label k is the k-th.
        images: What is split into training and validation (and test, where
            there is no ``test``).
        test: The source's own test part; None: it has none.
        validation: The source's own validation part; None: it has none.
        skipped: What was left out, a sentence a file.
        stored: How many images were stored as what, by size and depth in words;
            empty: all were stored as they are here.
        remarks: What was recognised rather than stated, a sentence each.
    """

    name: str
    classes: tuple[str, ...]
    images: ImageSet
    test: ImageSet | None
    validation: ImageSet | None = None
    skipped: tuple[str, ...] = ()
    stored: Mapping[str, int] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()

    def parts(self) -> dict[str, ImageSet]:
        """The parts that there are, by name."""
        parts = {"images": self.images, "validation": self.validation, "test": self.test}
        return {name: part for name, part in parts.items() if part is not None}

    def change(
        self,
        images: Callable[[Tensor], Tensor],
        labels: Callable[[Tensor], Tensor] = lambda labels: labels,
    ) -> UnsplitSet:
        """The same set with the images of all its parts changed, and their labels."""
        parts = {
            name: ImageSet(images(part.images), labels(part.labels), part.patients)
            for name, part in self.parts().items()
        }
        return replace(self, **parts)


@dataclass(frozen=True)
class Dataset:
    """A data set split by seed.

    Attributes:
        name: What the reports call it.
        classes: Names of the classes; label k, of an image or of a pixel, is the k-th.
        train: What the teacher is trained on.
        student_train: What the student is trained on: ``train`` or a part of it
            with every class in the same proportion.
        validation: For early stopping and tuning; never trained on.
        test: For the numbers that are reported.
        checksum: SHA-256 of images, labels and split, hexadecimal.
        task: What its labels are for.
        skipped: What was left out with ``data.skip_bad``, a sentence a file.
    """

    name: str
    classes: tuple[str, ...]
    train: ImageSet
    student_train: ImageSet
    validation: ImageSet
    test: ImageSet
    checksum: str
    task: Task
    skipped: tuple[str, ...] = ()

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of every image."""
        channels, height, width = self.train.images.shape[1:]
        return channels, height, width

    def with_part(self, name: str, part: ImageSet) -> Dataset:
        """The same data set with another part in place of one, under another checksum.

        Args:
            name: ``train``, ``student_train``, ``validation`` or ``test``.
            part: The images.
        """
        parts = {known: getattr(self, known) for known in PARTS} | {name: part}
        return replace(self, **parts, checksum=hash_parts(self.classes, parts))

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
        for labels in pack_labels(part.labels).values():
            digest.update(labels.astype(labels.dtype.newbyteorder("<"), copy=False).data)
        if part.patients is not None:
            digest.update(repr(part.patients).encode())
    return digest.hexdigest()
