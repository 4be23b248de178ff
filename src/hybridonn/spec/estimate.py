"""The estimate of a design before training."""

from __future__ import annotations

from typing import Literal

from hybridonn.spec.section import Count, Positive, Section


class Estimate(Section):
    """The accuracy that kernel regression promises before anything is trained."""

    kernels: Literal["design", "infinite"] = "design"
    """design: the design's own number of kernels, the best of several draws. infinite: infinitely
    many. The layers behind them are infinitely wide in both.
    """
    draws: Count = 3
    """Number of random draws of the kernels for kernels: design."""
    train_images: Count | None = 2000
    """Images that kernel regression learns from. null: all that the student sees."""
    test_images: Count | None = 2000
    """Images on which it is tested. null: all."""
    memory_gb: Positive = 4.0
    """Memory that the kernel matrices may take."""
    features: Count = 9216
    """Random features of an infinite kernel that would take too long exactly: time and accuracy
    grow with them.
    """
