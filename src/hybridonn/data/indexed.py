"""Data sets that a network trains on: inputs and labels by their index."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from hybridonn.core.errors import DataError

Inputs = Tensor | tuple[Tensor, ...]  # (B, C, H, W), or each branch, (B, K, H', W')
# A tensor (B, ...), or a tuple with a tensor of any shape for each image: the task knows which.
Labels = Any


class IndexedDataset(Protocol):
    """Anything that trains a network: images, and features stored of a chip, are instances."""

    def __len__(self) -> int:
        """Number of examples."""
        ...

    def batch(self, indices: Tensor) -> tuple[Inputs, Labels]:
        """Inputs of the network at these indices, (B,) int64 on the CPU, and their labels."""
        ...


@dataclass(frozen=True)
class FeatureDataset:
    """Feature maps that were stored of optics, with their labels.

    Attributes:
        branches: The signed features of each branch, (N, K, H', W') float32.
        labels: Labels of the images, (N, ...), or a tensor of any shape for each image.
    """

    branches: tuple[Tensor, ...]
    labels: Labels

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, indices: Tensor) -> tuple[tuple[Tensor, ...], Labels]:
        """The branches, each (B, K, H', W'), and the labels at these indices, (B,) int64."""
        return tuple(one[indices] for one in self.branches), take_labels(self.labels, indices)

    def slice(self, start: int, stop: int) -> FeatureDataset:
        """The examples from ``start`` to before ``stop``: the same memory, nothing is copied."""
        branches = tuple(one[start:stop] for one in self.branches)
        return FeatureDataset(branches, self.labels[start:stop])


def take_labels(labels: Labels, indices: Tensor) -> Labels:
    """The labels at these indices, (B,) int64, in this order."""
    if isinstance(labels, Tensor):
        return labels.index_select(0, indices)
    return tuple(labels[index] for index in indices.tolist())


def join_labels(parts: Sequence[Labels]) -> Labels:
    """The labels of several batches, one batch after the other."""
    if isinstance(parts[0], Tensor):
        return torch.cat(list(parts))
    return tuple(label for part in parts for label in part)


def pack_labels(labels: Labels) -> dict[str, np.ndarray]:
    """The arrays as which labels are stored.

    A tensor (N, ...) is ``labels``. Of a tensor (n_i, ...) for each image, ``labels`` holds all
    rows one image after the other, (sum n_i, ...), and ``label_counts`` the n_i, (N,) int64.

    Raises:
        DataError: The tensors of the images differ in more than their number of rows.
    """
    if isinstance(labels, Tensor):
        return {"labels": labels.contiguous().numpy()}
    forms = {(one.dtype, one.shape[1:]) for one in labels}
    if len(forms) > 1 or not all(one.ndim for one in labels):
        found = ", ".join(sorted({f"{tuple(one.shape)} {one.dtype}" for one in labels})[:3])
        raise DataError(
            f"labels are tensors of {found}; the labels of all images must have one type and one "
            "shape (n, ...), of which n alone differs"
        )
    rows = torch.cat(list(labels)) if labels else torch.zeros(0)
    counts = np.array([len(one) for one in labels], dtype=np.int64)
    return {"labels": rows.numpy(), "label_counts": counts}


def unpack_labels(arrays: Mapping[str, np.ndarray]) -> Labels:
    """The labels that :func:`pack_labels` has turned into arrays."""
    labels = torch.from_numpy(arrays["labels"])
    if "label_counts" not in arrays:
        return labels
    return labels.split(arrays["label_counts"].tolist())


def move_inputs(inputs: Inputs, device: torch.device) -> Inputs:
    """The inputs on a device; what has four dimensions lies with its channels last."""
    if isinstance(inputs, tuple):
        return tuple(_move(one, device) for one in inputs)
    return _move(inputs, device)


def move_labels(labels: Labels, device: torch.device) -> Labels:
    """The labels on a device."""
    if isinstance(labels, Tensor):
        return labels.to(device)
    return tuple(one.to(device) for one in labels)


def cut_inputs(inputs: Inputs, start: int, stop: int) -> Inputs:
    """The examples of a batch from ``start`` to before ``stop``."""
    if isinstance(inputs, tuple):
        return tuple(one[start:stop] for one in inputs)
    return inputs[start:stop]


def fitting_batch(dataset: IndexedDataset) -> int:
    """How many examples a network takes at a time: up to 1000, and a million pixels."""
    inputs, _ = dataset.batch(torch.arange(1))
    return fit_batch(inputs if isinstance(inputs, tuple) else (inputs,))


def fit_batch(branches: Sequence[Tensor]) -> int:
    """How many examples a network takes at a time, by the pixels of its largest branch."""
    return max(1, min(1000, 2**20 // max(one[0, 0].numel() for one in branches)))


def _move(values: Tensor, device: torch.device) -> Tensor:
    if values.ndim != 4:
        return values.to(device)
    return values.to(device, memory_format=torch.channels_last)
