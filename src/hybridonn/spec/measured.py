"""Optics that exist, whose point spread functions were measured."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from hybridonn.spec.section import Location, NotNegative, Section

# More pixels of any camera than a scene has; fewer than a hundredth are a slip.
PixelRatio = Annotated[float, Field(ge=0.01, le=10_000)]


class Measured(Section):
    """A system behind optics that exist: nothing of them trains.

    Each kernel is put on the centroid of its light, and the brightest image of a point has the
    light one.
    """

    psfs: Location
    """File of point spread functions, relative to the spec: TIFF, PNG, npy, or npz with an array
    psfs. (P, Q) is one kernel; (K, P, Q), (K, 2, P, Q) with the negative sign after the positive
    and (K, 2, C, P, Q) with a colour for each channel are K. A kernel without a negative, or with
    a dark one, is read out once.
    """
    pixels_per_scene_pixel: PixelRatio
    """Pixels of the measurement, along one side, that one pixel of the scene covers on the
    sensor.
    """
    background: NotNegative = 0.0
    """Value of a dark pixel of the measurement, which is subtracted."""
