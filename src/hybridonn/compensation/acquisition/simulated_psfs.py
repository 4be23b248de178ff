"""Point spread functions as a camera would have measured them, one capture of a point each."""

from __future__ import annotations

import numpy as np

from hybridonn.compensation.acquisition.simulated_camera import SimulatedCamera, draw_electrons
from hybridonn.core.random import generator_of

REPEATS = 16  # captures of a point that are averaged


def take_psfs(psfs: np.ndarray, camera: SimulatedCamera) -> np.ndarray:
    """Mean of several noisy captures of a point less the black level, in values of the camera.

    Args:
        psfs: Light of a point, (K, 2, C, P, P).
        camera: The camera; its pixels are those of the point spread functions.

    Returns:
        The measured ones, of the same shape; in darkness noise leaves some values below zero.
    """
    noise = generator_of("noise of simulated points", camera.seed)
    top = 2**camera.bit_depth - 1
    mean = psfs / max(float(psfs.max()), 1e-30) * camera.exposure * camera.full_well_electrons
    total = np.zeros_like(mean)
    for _ in range(REPEATS):
        electrons = draw_electrons(mean, camera.read_noise_electrons, noise)
        level = electrons / camera.full_well_electrons + camera.black_level
        total += np.clip(np.rint(level * top), 0, top)
    return total / REPEATS - camera.black_level * top
