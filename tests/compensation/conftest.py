"""A chip and a camera made up independently of the code that imports their captures."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from hybridonn.compensation.acquisition.captured_design import CapturedDesign
from hybridonn.data.dataset import Dataset, ImageSet
from hybridonn.pipeline.from_spec import lay_out_kernels
from hybridonn.spec import Optics
from hybridonn.tasks.classification import Classification

SIDE, KERNELS, CLASSES = 28, 3, 4
PIXEL_M, FEATURE_PIXELS = 5.86e-6, 2


def blob_images(count, seed, channels=1):
    """Strokes of light that differ from image to image, (N, C, 28, 28) uint8."""
    rng = np.random.default_rng(seed)
    grid = np.indices((SIDE, SIDE))
    images = np.zeros((count, channels, SIDE, SIDE))
    for image in images:
        for _ in range(4):
            y, x = rng.uniform(7, 21, 2)
            spread = rng.uniform(2, 6, 2)
            away = (grid[0] - y) ** 2 / spread[0] + (grid[1] - x) ** 2 / spread[1]
            image += rng.uniform(0.3, 1, (channels, 1, 1)) * np.exp(-away)
    return torch.from_numpy((255 * images / images.max((1, 2, 3), keepdims=True)).astype(np.uint8))


def make_dataset(channels=1, train=24, test=12):
    parts = {
        name: ImageSet(blob_images(number, seed, channels), torch.arange(number) % CLASSES)
        for seed, (name, number) in enumerate(
            {"student_train": train, "validation": 6, "test": test}.items()
        )
    }
    classes = tuple("abcd")
    return Dataset(
        "blobs", classes, parts["student_train"], checksum="blobs", task=Classification(), **parts
    )


def smooth_kernels(channels=1, seed=0):
    """Random clouds of both signs, (K, C, 7, 7)."""
    rng = np.random.default_rng(seed)
    clouds = gaussian_filter(rng.normal(size=(KERNELS, channels, 7, 7)), (0, 0, 1, 1))
    return torch.from_numpy((clouds / clouds.std()).astype(np.float32))


@dataclass
class Bench:
    """A chip under a camera: what it truly is."""

    design: CapturedDesign
    gains: np.ndarray  # (2 K,)
    rng: np.random.Generator

    def light(self, image):
        """Captures behind all sub-optics by direct sums, (2 K, H, W)."""
        scene = np.asarray(image, float) / 255
        kernels = self.design.kernels.numpy().astype(float)
        size = kernels.shape[-1]
        padded = np.pad(scene, ((0, 0), (size // 2,) * 2, (size // 2,) * 2))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size), axis=(1, 2))
        parts = np.stack([np.maximum(kernels, 0), np.maximum(-kernels, 0)], 1)
        light = np.einsum("chwij,kscij->kshw", windows, parts)
        return light.reshape(-1, *light.shape[2:]) * self.gains[:, None, None]


@pytest.fixture
def bench():
    def make(channels=1, stride=1, seed=0, **sizes):
        optics = Optics(metasurface_width_mm=3.2, metasurface_height_mm=1.9, kernel_site_mm=0.9)
        design = CapturedDesign(
            smooth_kernels(channels),
            stride,
            lay_out_kernels(optics, KERNELS),
            make_dataset(channels, **sizes),
            "made-up",
        )
        rng = np.random.default_rng(seed)
        return Bench(design, rng.uniform(0.6, 1.4, 2 * KERNELS), rng)

    return make
