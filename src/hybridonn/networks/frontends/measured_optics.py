"""Optics that exist, built of the point spread functions that were measured of them."""

from __future__ import annotations

import torch
from torch import Tensor

from hybridonn import spec
from hybridonn.core.errors import DataError, OpticsError, SpecError
from hybridonn.data.readers.psf_files import read_psfs
from hybridonn.networks.frontends.binned import BinnedFrontend
from hybridonn.networks.frontends.frontend import Frontend
from hybridonn.networks.frontends.measured import MeasuredFrontend
from hybridonn.optics.fabrication.chip_errors import ChipErrors
from hybridonn.optics.layout.sites import Layout
from hybridonn.optics.measured_psf import ScenePsfs, bring_to_scene
from hybridonn.optics.sensor import Sensor

# Pixels of the largest value that noise and the steps of a camera explain.
FEW_BRIGHTEST = 4


class MeasuredOptics(MeasuredFrontend):
    """Measured point spread functions, of which a kernel need not have both signs.

    A sign whose point spread functions are dark in all colours was not there when they were
    measured: it is not read out, so that it has no noise, and no chip of these optics has it.

    Args:
        psfs: (K, 2, C, P, P), P odd, not negative: positive then negative.
        gains: (K, 2, C); None: one.
        stride: Pixels of the scene a pixel of the feature map.
        read: Which signs are read out, (K, 2); None: those that are not dark.
    """

    def __init__(
        self,
        psfs: Tensor,
        gains: Tensor | None = None,
        stride: int = 1,
        read: Tensor | None = None,
    ) -> None:
        super().__init__(psfs, gains, stride)
        read = psfs.detach().flatten(2).any(2) if read is None else read
        self.register_buffer("read", read.clone(), persistent=False)
        self.exposures = 1 if read.device.type != "meta" and not read[:, 1].any() else 2

    read: Tensor

    def with_gains(self, gains: Tensor) -> MeasuredOptics:
        """The same point spread functions behind other gains of the two signs, (K, 2)."""
        return MeasuredOptics(self.psfs, self.gains * gains[..., None], self.stride, self.read)

    @torch.no_grad()
    def capture(
        self,
        scene: Tensor,
        sensor: Sensor | None = None,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor]:
        """The images of the signs that are there: one branch, (B, K, 2, H', W')."""
        (both,) = super().capture(scene, sensor, generator)
        return (both * self.read[..., None, None],)

    @torch.no_grad()
    def fabricate(self, errors: ChipErrors, layout: Layout) -> MeasuredOptics:
        """Another copy of these optics, with the errors of kernels and of whole sub-optics.

        Raises:
            OpticsError: An error of pillars is not zero: their effect is not known here.
        """
        made = super().fabricate(errors, layout)
        psfs = made.psfs * self.read[..., None, None, None]
        return MeasuredOptics(psfs, made.gains, self.stride, self.read)


def build_measured(
    student: spec.Student, image_shape: tuple[int, int, int], optics: spec.Optics | None = None
) -> Frontend:
    """The measured optics of a spec, read out at the resolutions of the student's branches.

    Args:
        student: What the spec says of it.
        image_shape: (C, H, W) of a scene.
        optics: With the section ``measured``.

    Raises:
        SpecError: There is no such section, the file cannot be used, or it has not as many kernels
            as the student.
    """
    psfs = torch.from_numpy(read_measured(student, image_shape, optics).psfs).float()
    if psfs.shape[1] == 1:
        psfs = torch.cat([psfs, torch.zeros_like(psfs)], 1)
    gains = psfs.new_full(psfs.shape[:3], _set_gain(psfs))
    if not student.branches:
        return MeasuredOptics(psfs, gains, student.stride)
    counts = [branch.kernels for branch in student.branches]
    binnings = [branch.binning for branch in student.branches]
    return BinnedFrontend(MeasuredOptics(psfs, gains), counts, binnings)


def _set_gain(psfs: Tensor) -> float:
    """The gain of the electronics that gives images the contrast of a plain lens.

    Light that spreads over many pixels makes images of little contrast, of which a backend learns
    little in the time of a training. The strongest kernel gets the root sum of squares of one
    bright pixel, which is one.
    """
    signed = psfs[:, 0] - psfs[:, 1]
    return float(1 / signed.square().sum((1, 2, 3)).max().sqrt())


def tell_measured(
    student: spec.Student, image_shape: tuple[int, int, int], optics: spec.Optics | None = None
) -> list[str]:
    """What became of the measured point spread functions, in sentences.

    Args:
        student: What the spec says of it.
        image_shape: (C, H, W) of a scene.
        optics: With the section ``measured``.

    Raises:
        SpecError: As for :func:`build_measured`.
    """
    found = read_measured(student, image_shape, optics)
    kernels, signs, _, side, _ = found.psfs.shape
    paired = int(found.psfs[:, 1].any((1, 2, 3)).sum()) if signs > 1 else 0
    row, column = found.centres[0]
    lines = [
        f"measured optics: {kernels} kernel{'s' * (kernels > 1)}, {paired} of them with a negative "
        f"sign, on {side} x {side} pixels of the scene, each on its centroid (kernel 0: row "
        f"{row:.1f}, column {column:.1f})",
        f"at the border of the measurement lie {100 * found.border:.2g} % of its brightest value, "
        "after the background was subtracted",
        f"{100 * found.beyond:.2g} % of the light lies too far out to meet the scene",
    ]
    if found.brightest > FEW_BRIGHTEST:
        lines.append(
            f"{found.brightest:,} measured pixels hold the largest value: if the camera was "
            "saturated there, the kernels are wrong; expose shorter and measure again"
        )
    return lines


def read_measured(
    student: spec.Student, image_shape: tuple[int, int, int], optics: spec.Optics | None
) -> ScenePsfs:
    """The measured point spread functions of a spec at the pixels of its images.

    Raises:
        SpecError: As for :func:`build_measured`.
    """
    stated = optics.measured if optics else None
    if stated is None:
        raise SpecError(
            "optics.frontend is measured, but optics.measured is not set; state its psfs and "
            "pixels_per_scene_pixel"
        )
    try:
        measured = read_psfs(stated.psfs.expanduser(), image_shape[0])
        found = bring_to_scene(
            measured, stated.pixels_per_scene_pixel, image_shape[1:], stated.background
        )
    except DataError as error:
        raise SpecError(f"optics.measured.psfs: {error}") from None
    except OpticsError as error:
        raise SpecError(f"optics.measured.psfs: {stated.psfs}: {error}") from None
    if len(measured) != student.kernels:
        keys = (
            "the kernels of student.branches add up to"
            if student.branches
            else ("student.kernels is")
        )
        raise SpecError(
            f"optics.measured.psfs: {stated.psfs} has {len(measured)} "
            f"kernel{'s' * (len(measured) > 1)}, but {keys} {student.kernels}; set "
            f"{'them' if student.branches else 'student.kernels'} to {len(measured)}"
        )
    return found
