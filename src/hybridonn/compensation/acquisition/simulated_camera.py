"""The electronics of a simulated camera: from light to the numbers of its files.

With ``e`` the mean number of electrons, shot noise is Poisson's and read noise normal; a black
level is added, and the converter clips and rounds (EMVA Standard 1288, release 4.0, section 2).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from hybridonn.compensation.acquisition.levels import FILE_BITS, Alignment
from hybridonn.core.random import generator_of

FLAT_LEVEL = 0.6  # of full scale, in the middle of the flat field
HOT_LEVEL = 0.4  # of full scale, what a hot pixel adds
EVENNESS = 0.01  # standard deviation of the pixels' own sensitivities


@dataclass(frozen=True)
class SimulatedCamera:
    """A camera as its data sheet describes it.

    Attributes:
        bit_depth: Bits of its converter.
        alignment: Alignment of its bits in the files, of 8 or 16 bits.
        exposure: The brightest light over full scale; above 1 it saturates.
        full_well_electrons: Electrons at full scale.
        read_noise_electrons: Standard deviation of a pixel in darkness.
        black_level: Value of darkness over full scale.
        vignetting: By how much the corners see less than the centre, as a share.
        hot_share: Share of the pixels that are hot.
        seed: Seed of its pixels and of its noise.
    """

    bit_depth: int = 12
    alignment: Alignment = "right"
    exposure: float = 0.8
    full_well_electrons: float = 32_500.0
    read_noise_electrons: float = 7.0
    black_level: float = 0.02
    vignetting: float = 0.2
    hot_share: float = 1e-4
    seed: int = 0

    @property
    def top(self) -> int:
        """The greatest value of the converter."""
        return 2**self.bit_depth - 1

    @property
    def file_bits(self) -> int:
        """Bits of a value in the files, 8 or 16."""
        return 8 if self.bit_depth <= 8 else FILE_BITS

    @property
    def unused_bits(self) -> int:
        """Bits below the lowest of the camera in the files."""
        return self.file_bits - self.bit_depth if self.alignment == "left" else 0


class SimulatedSensor:
    """One camera of a frame size, whose pixels stay what they are from frame to frame.

    Args:
        camera: The data sheet.
        shape: Rows and columns of its frames.
    """

    def __init__(self, camera: SimulatedCamera, shape: tuple[int, int]) -> None:
        self.camera = camera
        pixels = generator_of("pixels of a simulated camera", camera.seed)
        self.noise = generator_of("noise of a simulated camera", camera.seed)
        y, x = (np.linspace(-1, 1, side) for side in shape)
        fall = 1 - camera.vignetting * (y[:, None] ** 2 + x**2) / 2
        self.sensitivity = fall * (1 + EVENNESS * draw_normal(shape, pixels))
        self.hot = torch.rand(shape, generator=pixels).numpy() < camera.hot_share

    def flat(self) -> np.ndarray:
        """A frame of even light, (H, W) integers."""
        return self.expose(np.full(self.hot.shape, FLAT_LEVEL / self.camera.exposure))

    def saturates(self, values: np.ndarray) -> bool:
        """Whether any pixel of a frame that is not hot has the greatest value.

        Args:
            values: What :meth:`expose` returned.
        """
        return bool((values[~self.hot] >> self.camera.unused_bits == self.camera.top).any())

    def expose(self, light: np.ndarray) -> np.ndarray:
        """The values of one frame, (H, W) uint8 or uint16.

        Args:
            light: Over the brightest light of all frames, (H, W).
        """
        camera = self.camera
        mean = light * self.sensitivity * camera.exposure * camera.full_well_electrons
        electrons = draw_electrons(mean, camera.read_noise_electrons, self.noise)
        level = electrons / camera.full_well_electrons
        level += camera.black_level + HOT_LEVEL * self.hot
        values = np.clip(np.rint(level * camera.top), 0, camera.top)
        return values.astype(f"uint{camera.file_bits}") << camera.unused_bits


def draw_normal(shape: tuple[int, ...], generator: torch.Generator) -> np.ndarray:
    """Standard normal numbers, float64."""
    return torch.randn(shape, generator=generator, dtype=torch.float64).numpy()


def draw_electrons(mean: np.ndarray, read_noise: float, generator: torch.Generator) -> np.ndarray:
    """Electrons of a capture: Poisson's shot noise and normal read noise.

    Args:
        mean: Mean number of electrons, not negative.
        read_noise: Standard deviation of a pixel in darkness, in electrons.
        generator: Generator of both.
    """
    shot = torch.poisson(torch.from_numpy(np.ascontiguousarray(mean)).double(), generator=generator)
    return shot.numpy() + read_noise * draw_normal(mean.shape, generator)
