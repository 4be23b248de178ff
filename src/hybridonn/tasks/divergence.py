"""How far the softened outputs of two networks are apart."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def soft_divergence(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """``T^2 KL(softmax(teacher/T) || softmax(student/T))``, mean over images and pixels.

    Hinton, Vinyals and Dean 2015, section 2; T^2 keeps the size of the gradients.

    Args:
        student: Logits, (B, classes, ...).
        teacher: Logits of the same shape.
        temperature: T.
    """
    terms = F.kl_div(
        F.log_softmax(student / temperature, 1),
        F.log_softmax(teacher / temperature, 1),
        log_target=True,
        reduction="none",
    )
    return temperature**2 * terms.sum(1).mean()


def spatial_divergence(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """``T^2 KL(softmax(teacher/T) || softmax(student/T))`` over places, mean over channels.

    Shu, Liu, Gao, Yan and Shen 2021 (Channel-wise knowledge distillation for dense prediction,
    ICCV), equations 2 and 3: each channel of each image is a distribution over its places, so that
    what matters most is where the teacher is strong, whatever the level of the channel.

    Args:
        student: Maps, (B, C, H, W).
        teacher: Maps of the same shape.
        temperature: T.
    """
    terms = F.kl_div(
        F.log_softmax(student.flatten(2) / temperature, 2),
        F.log_softmax(teacher.flatten(2) / temperature, 2),
        log_target=True,
        reduction="none",
    )
    return temperature**2 * terms.sum(2).mean()
