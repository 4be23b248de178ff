"""Cross-entropy with its usual variations: label smoothing, focal factor, class weights."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

_LEAST_DOUBT = 1e-6  # of a certain answer: the power's gradient stays finite


def weighted_entropy(
    logits: Tensor,
    truth: Tensor,
    smoothing: float = 0.0,
    gamma: float = 0.0,
    weights: Sequence[float] | None = None,
) -> Tensor:
    """The sum of ``(1 - p_y)^gamma CE_w(p, y)`` over that of the weights ``w_y``; a scalar.

    ``CE_w = -sum_c w_c q_c log p_c`` with the labels q, smoothed: that of torch, with which
    ``gamma = 0`` agrees. The focal factor ``(1 - p_y)^gamma`` is that of Lin et al. 2017, equation
    4: answers that are right and certain count less.

    Args:
        logits: Logits of images or of pixels, (B, classes, ...).
        truth: Classes, (B, ...) int64.
        smoothing: Share of the truth that is spread over all classes.
        gamma: Exponent of the focal factor; 0: there is none.
        weights: One a class; None: all alike.
    """
    weight = None if weights is None else logits.new_tensor(weights)
    if not gamma:
        return F.cross_entropy(logits, truth, weight, label_smoothing=smoothing)
    entropy = F.cross_entropy(logits, truth, weight, reduction="none", label_smoothing=smoothing)
    sure = torch.softmax(logits, 1).gather(1, truth.unsqueeze(1)).squeeze(1)
    focal = (1 - sure).clamp_min(_LEAST_DOUBT).pow(gamma) * entropy
    return focal.mean() if weight is None else focal.sum() / weight[truth].sum()
