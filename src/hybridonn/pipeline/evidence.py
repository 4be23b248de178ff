"""What a training leaves behind for reports: history, weights, predictions, an embedding."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hybridonn.data.batches import to_scene
from hybridonn.data.dataset import ImageSet
from hybridonn.files import write_arrays, write_table, write_tensors
from hybridonn.networks.features import penultimate

EMBEDDED = 1000  # test images in a t-SNE picture: enough to see clusters, seconds to compute


def keep_evidence(
    folder: Path,
    network: nn.Module,
    history: list[dict[str, Any]],
    logits: Tensor,
    test: ImageSet,
) -> None:
    """Write weights, history, test predictions and t-SNE; remove the checkpoint they came from.

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
    """Write weights, history and test predictions; remove the checkpoint they came from.

    Of an answer a pixel the class is kept, ``predicted`` (N, H, W) uint8, in place of
    ``logits`` (N, classes).
    """
    write_tensors(folder / "weights.safetensors", network.state_dict())
    write_table(folder / "history.csv", history)
    if logits.ndim > 2:
        answers = {"predicted": logits.argmax(1).to(torch.uint8).numpy()}
    else:
        answers = {"logits": logits.numpy()}
    write_arrays(folder / "predictions.npz", labels=test.labels.numpy(), **answers)
    (folder / "checkpoint.safetensors").unlink(missing_ok=True)


def embed(network: nn.Module, images: Tensor) -> np.ndarray:
    """t-SNE (van der Maaten and Hinton 2008) of what the last layer sees.

    Args:
        network: Any network with a dense or convolutional layer.
        images: (N, C, H, W) uint8.

    Returns:
        Positions in the plane, (N, 2) float32.
    """
    from sklearn.manifold import TSNE

    device = next(network.parameters()).device
    features = penultimate(network, to_scene(images).to(device)).float().cpu().numpy()
    perplexity = min(30.0, (len(features) - 1) / 3)
    return TSNE(2, perplexity=perplexity, init="pca", random_state=0).fit_transform(features)
