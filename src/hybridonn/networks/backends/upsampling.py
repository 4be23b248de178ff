"""One up-convolution: one answer a pixel."""

from __future__ import annotations

from torch import Tensor, nn

from hybridonn import spec
from hybridonn.core.errors import SpecError
from hybridonn.networks.backends.backend import Backend, Shape
from hybridonn.networks.backends.layers import Normalisation, rectify
from hybridonn.networks.backends.neighbourhood import Neighbourhood, Window


class UpsamplingBackend(Backend, nn.Sequential):
    """Offset, ReLU, and one up-convolution: the head of the random-kernel systems.

    The up-convolution sees 3 x 3 pixels of the sensor around each pixel that it makes.
    """

    def __init__(
        self,
        kernels: int,
        stride: int,
        classes: int,
        normalisation: Normalisation,
        two_sided: bool = False,
    ) -> None:
        inputs = kernels * (1 + two_sided)
        super().__init__(
            *rectify(kernels, normalisation, two_sided),
            nn.ConvTranspose2d(inputs, classes, 3 * stride, stride, padding=stride),
        )

    @classmethod
    def build(
        cls, student: spec.Student, branch_shapes: tuple[Shape, ...], output_shape: Shape
    ) -> UpsamplingBackend:
        """The up-convolution of a spec."""
        two_sided = student.rectification == "two_sided"
        classes, kind = output_shape[0], student.normalisation
        return cls(student.kernels, student.stride, classes, kind, two_sided)

    @classmethod
    def check(cls, student: spec.Student, image_shape: tuple[int, int, int]) -> None:
        """Refuse a stride that does not divide the images.

        Raises:
            SpecError: It does not.
        """
        height, width = image_shape[1:]
        if height % student.stride or width % student.stride:
            raise SpecError(
                f"student.stride is {student.stride}, which does not divide the images of "
                f"{height} x {width}; set data.size_pixels to a multiple of it"
            )

    @classmethod
    def neighbourhood(cls, student: spec.Student) -> Neighbourhood:
        """The 3 x 3 pixels of the sensor that the up-convolution sees."""
        return Neighbourhood(((Window(3),),), (1.0,), hidden=0)

    def forward(self, branches: tuple[Tensor]) -> Tensor:
        """Answer each pixel: one branch, (B, K, H / s, W / s), to (B, classes, H, W)."""
        (features,) = branches
        return nn.Sequential.forward(self, features)
