"""The coherent 4f system that a user can build."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from hybridonn.spec.quantities import FocalLengthMm, PixelUm
from hybridonn.spec.section import Count, Section


class FourF(Section):
    """Two lenses of one focal length and a mask between them.

    The mask's pixel is that of a common spatial light modulator (8 um), the scene's is twelve
    of them. With 100 mm lenses the band of the scene is then ``wavelength * focal length /
    (mask pitch * scene pitch)`` = 69 mask pixels wide at 532 nm and 58.6 at 450 nm: 57 fit into
    every colour, and copies of the image fall outside of images of up to 58 pixels.
    """

    focal_length_mm: FocalLengthMm = 100.0
    """Focal length of both lenses."""
    mask_pixels: Annotated[Count, Field(le=10_000)] = 57
    """Pixels of the mask along one side."""
    mask_pitch_um: PixelUm = 8.0
    """Side of a pixel of the mask. Source: common spatial light modulators."""
    scene_pixel_um: PixelUm = 96.0
    """Side of a pixel of the displayed scene."""
    mask: Literal["complex", "phase"] = "complex"
    """What the mask changes: amplitude and phase (complex), or the phase alone."""

    @property
    def focal_length_m(self) -> float:
        """Focal length of both lenses in metres."""
        return self.focal_length_mm * 1e-3

    @property
    def mask_pitch_m(self) -> float:
        """Distance from mask pixel to mask pixel in metres."""
        return self.mask_pitch_um * 1e-6

    @property
    def scene_pitch_m(self) -> float:
        """Distance from scene pixel to scene pixel in metres."""
        return self.scene_pixel_um * 1e-6
