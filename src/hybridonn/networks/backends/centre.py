"""Branches joined from coarse to fine, then the detectors' head: boxes for each coarse cell."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from hybridonn import spec
from hybridonn.core.errors import SpecError
from hybridonn.networks.backends.backend import Shape, branch_arguments
from hybridonn.networks.backends.layers import Normalisation
from hybridonn.networks.backends.neighbourhood import Neighbourhood
from hybridonn.networks.backends.pyramid import PyramidBackend
from hybridonn.networks.centre_head import CentreHead
from hybridonn.tasks.centres import DISTANCES, STRIDE


class CentreBackend(PyramidBackend):
    """The pyramid of branches with the detectors' head on its finest features.

    A finest branch above the head's resolution, of binning 1 or 2, is brought down to it by a
    convolution with that stride.

    Args:
        kernels: Number of kernels of each branch, from fine to coarse.
        binnings: Binning of each branch; the first divides 4, each is a multiple of the one before.
        channels: Channels of the digital layers at each resolution.
        classes: Number of classes.
        normalisation: Normalisation of features and layers.
        two_sided: Whether both signs of an image are kept.
    """

    def __init__(
        self,
        kernels: Sequence[int],
        binnings: Sequence[int],
        channels: Sequence[int],
        classes: int,
        normalisation: Normalisation,
        two_sided: bool = False,
    ) -> None:
        super().__init__(kernels, binnings, channels, classes, normalisation, two_sided)
        factor, width = STRIDE // binnings[0], channels[0]
        self.enlarge = nn.Conv2d(width, width, factor, factor) if factor > 1 else nn.Identity()
        self.head = CentreHead(width, width, classes)

    @classmethod
    def build(
        cls, student: spec.Student, branch_shapes: tuple[Shape, ...], output_shape: Shape
    ) -> CentreBackend:
        """The layers of a spec, one width of ``hidden`` a branch."""
        heatmaps = (output_shape[0] - DISTANCES, *output_shape[1:])
        return cls(**branch_arguments(student, heatmaps))

    @classmethod
    def check(cls, student: spec.Student, image_shape: tuple[int, int, int]) -> None:
        """Refuse a finest branch below the resolution of the head.

        Raises:
            SpecError: Its binning does not divide 4.
        """
        finest = student.branches[0].binning
        if STRIDE % finest:
            raise SpecError(
                f"student.branches.0.binning is {finest}; backend centre answers cells of "
                f"{STRIDE} x {STRIDE} pixels, so the finest branch has a binning of 1, 2 or 4"
            )

    @classmethod
    def neighbourhood(cls, student: spec.Student) -> Neighbourhood | None:
        """None: there is no estimate of detection."""
        return None
