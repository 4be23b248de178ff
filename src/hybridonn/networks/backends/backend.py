"""What every built-in backend offers: branches go in, the outputs of the task come out."""

from __future__ import annotations

from typing import Any, Self

from torch import Tensor, nn

from hybridonn import spec
from hybridonn.networks.backends.neighbourhood import Neighbourhood
from hybridonn.tangent.infinite import Layer

Shape = tuple[int, ...]


class Backend(nn.Module):
    """A digital backend that a spec names.

    The user's own backend is any ``nn.Module`` with this ``forward``.
    """

    @classmethod
    def build(
        cls, student: spec.Student, branch_shapes: tuple[Shape, ...], output_shape: Shape
    ) -> Self:
        """Make the backend of a spec.

        Args:
            student: What the spec says of it.
            branch_shapes: (K_b, H', W') of each branch, from fine to coarse.
            output_shape: What the task asks of an image, such as (classes,) or (classes, H, W).
        """
        raise NotImplementedError

    @classmethod
    def check(cls, student: spec.Student, image_shape: tuple[int, int, int]) -> None:
        """Refuse a design that does not fit images of (C, H, W); by default all fit.

        Raises:
            SpecError: It does not fit.
        """

    @classmethod
    def wide_layers(cls, student: spec.Student) -> tuple[Layer, ...] | None:
        """The backend with infinitely wide layers, for the estimate of designs that answer images.

        Args:
            student: What the spec says of it.

        Returns:
            A rectification, poolings, ``Flatten`` and dense layers, see
            :func:`hybridonn.tangent.infinite.split_block`; the estimate puts the maximum in place
            of the average where the student states it. None: there is no estimate.
        """
        return None

    @classmethod
    def neighbourhood(cls, student: spec.Student) -> Neighbourhood | None:
        """What it sees around a pixel, for the estimate of designs that answer pixels.

        None: there is no estimate.
        """
        return None

    def forward(self, branches: tuple[Tensor, ...]) -> Tensor:
        """Answer: one (B, K_b, H', W') a branch to ``(B, *output_shape)``."""
        raise NotImplementedError


def branch_arguments(student: spec.Student, output_shape: Shape) -> dict[str, Any]:
    """What backends of several branches are built of, one width of ``hidden`` a branch."""
    return {
        "kernels": [branch.kernels for branch in student.branches],
        "binnings": [branch.binning for branch in student.branches],
        "channels": student.hidden,
        "classes": output_shape[0],
        "normalisation": student.normalisation,
        "two_sided": student.rectification == "two_sided",
    }
