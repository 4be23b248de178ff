"""The estimate of a design before training."""

from __future__ import annotations

from typing import Literal

from hybridonn.spec.section import Count, Positive, Section


class Estimate(Section):
    """The accuracy that kernel regression promises before anything is trained."""

    # design: the design's own number of optical kernels, the best of several draws;
    # infinite: it has infinitely many. What is behind it is infinitely wide in both.
    kernels: Literal["design", "infinite"] = "design"
    draws: Count = 3  # of kernels: design
    train_images: Count | None = 2000  # None: all that the student sees
    test_images: Count | None = 2000  # None: all
    memory_gb: Positive = 4.0
    # Random features of an infinite kernel that would take too long exactly: time and accuracy
    # grow with them. Few do for MNIST, twice as many are worth a point on CIFAR-10.
    features: Count = 9216
