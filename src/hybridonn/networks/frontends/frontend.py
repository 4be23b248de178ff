"""What every optical frontend offers: a scene goes in, signed feature maps come out."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hybridonn.core.errors import OpticsError
from hybridonn.networks.frontends.convolution import BranchConvolution
from hybridonn.networks.frontends.digital import DigitalConvolutions
from hybridonn.optics.fabrication.chip_errors import ChipErrors
from hybridonn.optics.fabrication.table import BY_QUANTITY
from hybridonn.optics.layout.sites import Layout
from hybridonn.optics.sensor import Sensor


class Frontend(nn.Module):
    """What every optical frontend offers, ideal, simulated or measured.

    Contract: scene (B, C, H, W) as radiance in [0, 1] at C wavelengths; a tuple of branches,
    each (B, K_b, H', W') of K_b signed kernels. Optics of one resolution give a tuple of one.

    Attributes:
        kernels: Number of signed kernels K of all branches together.
        exposures: Images that a camera takes for a kernel: one of each sign, or a single one.
    """

    kernels: int
    exposures: int = 2

    def signed_kernels(self) -> Tensor:
        """The kernels that the optics realise, (K, C, k, k), signed."""
        raise NotImplementedError

    def sensor_kernels(self) -> Tensor:
        """The same as they lie on the sensor, in pixels of the scene, (K, C, n, n)."""
        return self.signed_kernels()

    def forward(self, scene: Tensor) -> tuple[Tensor, ...]:
        """Take the image: (B, C, H, W) to one (B, K_b, H', W') a branch."""
        raise NotImplementedError

    def convolutions(self) -> tuple[BranchConvolution, ...]:
        """Each branch as one strided convolution of the scene.

        Raises:
            OpticsError: What optics of this kind take is no convolution of the scene.
        """
        raise OpticsError(
            f"the optics are a {type(self).__name__}, whose images are no convolution of the "
            "scene; those of ideal kernels, of a metasurface and of a chip are"
        )

    def light(self, scene: Tensor) -> Tensor:
        """The light of both signs of all kernels on the sensor, (B, K, 2, H', W').

        It is what a camera can see, positive before negative, colours summed, in pixels of the
        camera: without noise, gains of the electronics, and binning.

        Args:
            scene: (B, C, H, W).

        Raises:
            OpticsError: The two signs of optics of this kind cannot be captured yet.
        """
        raise OpticsError(
            f"the optics are a {type(self).__name__}, whose two signs cannot be captured yet; "
            "those of ideal kernels, of a metasurface, of a 4f system and of a chip can"
        )

    def electronic_gains(self) -> Tensor:
        """What the electronics multiply the light of both signs by, (K, 2)."""
        return torch.ones(self.kernels, 2)

    def read_out(self, pictures: Tensor) -> tuple[Tensor, ...]:
        """Branches of images of all kernels in pixels of the camera.

        Args:
            pictures: (B, K, 2, H', W'), positive before negative.

        Returns:
            One (B, K_b, 2, H_b, W_b) a branch; optics of one resolution change nothing.
        """
        return (pictures,)

    def divide(self, backend: nn.Module) -> tuple[Frontend, nn.Module]:
        """What light computes of a network, and what is left to the electronics.

        Args:
            backend: From the branches to the outputs of the task.
        """
        return self, backend

    def digital(self, image_shape: tuple[int, int, int]) -> nn.Module:
        """The same optics in real arithmetic, for runtimes that have no Fourier transform.

        Args:
            image_shape: (C, H, W) of a scene.

        Returns:
            A network from (B, C, H, W) to what :meth:`forward` gives, frozen as the optics are.
        """
        return DigitalConvolutions(self.convolutions(), image_shape)

    def with_gains(self, gains: Tensor) -> Frontend:
        """The same optics behind electronics with other gains of the two signs.

        Args:
            gains: Factors of the positive and the negative capture of each kernel, (K, 2).

        Raises:
            OpticsError: Optics of this kind have no captures that gains could act on.
        """
        raise OpticsError(
            f"the optics are a {type(self).__name__}, whose two signs have no gains; those of a "
            "chip have"
        )

    def stored(self) -> dict[str, Tensor]:
        """Arrays that describe a chip of these optics in full; none: its kernels do."""
        return {}

    def fabricate(self, errors: ChipErrors, layout: Layout) -> Frontend:
        """The same optics as a fab would return them.

        Args:
            errors: Magnitudes of the errors, and the seed of the chip.
            layout: Where the sub-optics lie: neighbours leak light into each other.

        Raises:
            OpticsError: Optics of this kind cannot be fabricated yet, or an error is stated that
                has nothing to act on in them.
        """
        raise OpticsError(
            f"the optics are a {type(self).__name__}, of which no chip can be simulated yet; one "
            "layer of ideal kernels or its metasurface can: leave fabrication out"
        )

    def capture(
        self,
        scene: Tensor,
        sensor: Sensor | None = None,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, ...]:
        """What the camera sees of both signs: one (B, K_b, 2, H', W') a branch.

        Positive comes before negative; the electronics have not subtracted them yet.

        Args:
            scene: (B, C, H, W).
            sensor: The camera; None: a perfect one, whose difference of the two signs is what
                ``forward`` gives.
            generator: Generator of the camera's noise, on the device of the scene; it goes on from
                batch to batch, where a seed would repeat the noise. None: no noise.

        Raises:
            OpticsError: The two signs of optics of this kind cannot be captured yet.
        """
        raise OpticsError(
            f"the optics are a {type(self).__name__}, whose two signs cannot be captured yet; "
            "those of ideal kernels, of a metasurface and of a chip can"
        )


def refuse_idle_errors(frontend: Frontend, errors: ChipErrors, design: str = "kernels") -> None:
    """Refuse errors that have nothing to act on in these optics.

    Args:
        frontend: The optics.
        errors: Magnitudes of the errors.
        design: Name of the kind of optics in the table of errors.

    Raises:
        OpticsError: An error of something that the optics do not have is not zero.
    """
    pillars = design == "kernels" and errors.list_acting_on("pillars", "light")
    cure = ", or fabricate a MetasurfaceFrontend that is given its designed chip" if pillars else ""
    if stated := errors.list_idle(design):
        what = " and ".join(dict.fromkeys(BY_QUANTITY[name].acts_on for name in stated))
        raise OpticsError(
            f"the errors {', '.join(stated)} act on {what}, and this {type(frontend).__name__} "
            f"holds none: leave them out{cure}"
        )


def split_signs(kernels: Tensor) -> tuple[Tensor, Tensor]:
    """The two point spread functions of signed kernels: positive and negative part.

    Args:
        kernels: (K, C, k, k).

    Returns:
        Two tensors of the same shape, not negative; their difference is ``kernels``.
    """
    return F.relu(kernels), F.relu(-kernels)
