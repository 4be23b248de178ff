"""What a training leaves behind for reports: history, weights, predictions, an embedding."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hybridonn.core.files import write_arrays, write_table, write_tensors
from hybridonn.core.random import seed_32_of
from hybridonn.data.batches import to_scene
from hybridonn.data.dataset import ImageSet
from hybridonn.data.indexed import pack_labels
from hybridonn.networks.features import penultimate
from hybridonn.tasks.task import Task

EMBEDDED = 1000  # test images in a t-SNE image: enough to see clusters, seconds to compute


def keep_training(
    folder: Path,
    network: nn.Module,
    history: list[dict[str, Any]],
    logits: Tensor,
    test: ImageSet,
    task: Task,
) -> None:
    """Write weights, history, test predictions and, where reports show one, a t-SNE map."""
    keep_outcome(folder, network, history, logits, test, task)
    if "embedding" not in task.sections:
        return
    some = test.take(torch.arange(min(EMBEDDED, len(test))))
    positions = embed(network, some.images)
    write_arrays(folder / "embedding.npz", positions=positions, **pack_labels(some.labels))


def keep_outcome(
    folder: Path,
    network: nn.Module,
    history: list[dict[str, Any]],
    logits: Tensor,
    test: ImageSet,
    task: Task,
) -> None:
    """Write weights, history and test predictions."""
    write_tensors(folder / "weights.safetensors", network.state_dict())
    write_table(folder / "history.csv", history)
    arrays = pack_labels(test.labels) | store(task, logits)
    write_arrays(folder / "predictions.npz", **arrays)


def store(task: Task, logits: Tensor) -> dict[str, np.ndarray]:
    """What every stage keeps of a network's outputs, beside the labels."""
    return {name: values.numpy() for name, values in task.store(logits).items()}


def diagnose_patients(task: Task, logits: Tensor, test: ImageSet) -> dict[str, Any]:
    """``by_patient``, what the task measures of the patients of the test; none known: nothing."""
    if test.patients is None:
        return {}
    found = task.diagnose_patients(logits, test.labels, test.patients)
    return {} if found is None else {"by_patient": found}


def embed(network: nn.Module, images: Tensor) -> np.ndarray:
    """t-SNE of what the last layer sees.

    Args:
        network: Any network with a dense or convolutional layer.
        images: (N, C, H, W) uint8.

    Returns:
        Positions in the plane, (N, 2) float32.
    """
    device = next(network.parameters()).device
    return lay_flat(penultimate(network, to_scene(images).to(device)))


def lay_flat(features: Tensor) -> np.ndarray:
    """t-SNE (van der Maaten and Hinton 2008): (N, D) to positions in the plane, (N, 2) float32."""
    from sklearn.manifold import TSNE

    points = features.float().cpu().numpy()
    perplexity = min(30.0, (len(points) - 1) / 3)
    plane = TSNE(2, perplexity=perplexity, init="pca", random_state=seed_32_of("plane"))
    return plane.fit_transform(points)
