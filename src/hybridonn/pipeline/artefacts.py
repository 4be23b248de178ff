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
from hybridonn.networks.features import penultimate

EMBEDDED = 1000  # test images in a t-SNE picture: enough to see clusters, seconds to compute


def keep_training(
    folder: Path,
    network: nn.Module,
    history: list[dict[str, Any]],
    logits: Tensor,
    test: ImageSet,
) -> None:
    """Write weights, history, test predictions and t-SNE.

    Where there is an answer a pixel, there is no t-SNE: an image has no one class to colour it.
    """
    keep_outcome(folder, network, history, logits, test)
    if test.labels.ndim > 1:
        return
    some = test.take(torch.arange(min(EMBEDDED, len(test))))
    write_arrays(
        folder / "embedding.npz", positions=embed(network, some.images), labels=some.labels.numpy()
    )


def keep_outcome(
    folder: Path,
    network: nn.Module,
    history: list[dict[str, Any]],
    logits: Tensor,
    test: ImageSet,
) -> None:
    """Write weights, history and test predictions."""
    write_tensors(folder / "weights.safetensors", network.state_dict())
    write_table(folder / "history.csv", history)
    labels = test.labels.numpy()
    write_arrays(folder / "predictions.npz", labels=labels, **as_answers(logits))


def as_answers(logits: Tensor) -> dict[str, np.ndarray]:
    """What is kept of logits: ``logits`` (N, classes); of pixels ``predicted`` (N, H, W) uint8."""
    if logits.ndim > 2:
        return {"predicted": logits.argmax(1).to(torch.uint8).numpy()}
    return {"logits": logits.numpy()}


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
