"""Handwritten digits that come with scikit-learn: nothing to download."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from hybridonn.data.dataset import ImageSet, UnsplitSet

GREY_LEVELS = 16  # counts of 4 x 4 pixels: 0 to 16


def read_digits() -> UnsplitSet:
    """Read the 1797 digits of 8 x 8 pixels, with no test part of their own.

    They are the test part of E. Alpaydin and C. Kaynak, "Optical Recognition of
    Handwritten Digits", UCI Machine Learning Repository, 1998; its grey values
    v from 0 to 16 become ``round(v * 255 / 16)``.
    """
    from sklearn.datasets import load_digits

    bunch: Any = load_digits()
    counts = bunch.images.astype(np.int64)
    grey = ((counts * 255 + GREY_LEVELS // 2) // GREY_LEVELS).astype(np.uint8)
    labels = torch.from_numpy(bunch.target.astype(np.int64))
    classes = tuple(str(name) for name in bunch.target_names)
    images = ImageSet(torch.from_numpy(grey).unsqueeze(1), labels)
    return UnsplitSet("digits", classes, images, None)
