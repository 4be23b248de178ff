"""A 4f system as it was made: masks, lenses and light with their errors, as coherent modes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from hybridonn.optics.fabrication.bench import Bench, bend_wave
from hybridonn.optics.fabrication.chip_errors import ChipErrors, apply_laws
from hybridonn.optics.fabrication.four_f_response import respond
from hybridonn.optics.fabrication.light_modes import Mode, merge_modes
from hybridonn.optics.waves.four_f import FourFSystem, expose
from hybridonn.optics.waves.pruned_fft import fast_length


@dataclass(frozen=True)
class View:
    """What is looked at through the optics.

    Attributes:
        shape: (H, W) of the scenes.
        kernel_size: k, of the kernels around the centre of a response.
    """

    shape: tuple[int, int]
    kernel_size: int


@dataclass(frozen=True)
class CoherentOptics:
    """What two masks a kernel do to a scene, in coherent modes whose images add up.

    Attributes:
        transfers: Transfer functions of the masks on a padded grid, zero frequency first,
            (J, K, 2, C, Hp, Wp) complex, with the root of each mode's weight.
        near: Amplitude responses around their centre, (J, K, 2, C, k, k) complex, with the phase
            that light from there has.
        whole: Sum of all responses, what an even scene gets, (J, K, 2, C, 1, 1) complex.
        curve: Phase of the scene's amplitude, (C, H, W) complex of modulus 1; None: none.
    """

    transfers: Tensor
    near: Tensor
    whole: Tensor
    curve: Tensor | None = None

    def brighten(self, logarithms: Tensor) -> CoherentOptics:
        """Images brighter by the exponential of some numbers, (K, 2, C)."""
        root = torch.exp(logarithms / 2).to(self.near.real.dtype)[..., None, None]
        return replace(
            self, transfers=self.transfers * root, near=self.near * root, whole=self.whole * root
        )

    def linearise(self) -> Tensor:
        """Derivative of each mask's image at an even radiance, (K, 2, C, k, k), not turned.

        ``sum_j Re(conj(H_j) h_j(d))``, in the middle of the scene.
        """
        return (self.whole.conj() * self.near).real.sum(0)


def take_pictures(amplitude: Tensor, transfers: Tensor, curve: Tensor | None) -> Tensor:
    """Intensities behind each mask, (B, C, H, W) to (B, K, 2, H, W); modes and colours add up.

    Args:
        amplitude: (B, C, H, W) real.
        transfers: See :class:`CoherentOptics`.
        curve: See :class:`CoherentOptics`.
    """
    light = amplitude if curve is None else amplitude * curve
    total = expose(light, transfers[0].flatten(0, 1))
    for transfer in transfers[1:]:
        total = total + expose(light, transfer.flatten(0, 1))
    return total.unflatten(1, transfers.shape[1:3])


def make_masks(masks: Tensor, errors: ChipErrors, system: FourFSystem) -> Tensor:
    """Transmissions as they are made, (K, 2, C, M, M) complex."""
    return apply_laws("masks", masks, errors, system)


def make_optics(
    masks: Tensor, bench: Bench, modes: Sequence[Mode], system: FourFSystem, view: View
) -> CoherentOptics:
    """The optics behind masks on a bench in some light; differentiable in masks and bench.

    Args:
        masks: As they were made, (K, 2, C, M, M) complex.
        bench: How the system was put together; its brightness is not looked at.
        modes: The modes of the light.
        system: The system as designed.
        view: Scenes and kernels.
    """
    responses = [
        math.sqrt(mode.weight) * respond(masks, bench, mode, system, view.shape) for mode in modes
    ]
    curve = None
    if bench.focal.requires_grad or bool(bench.focal.any()):
        curve = curve_scene(bench.focal, system)
    return assemble(merge_modes(torch.stack(responses)), curve, view)


def is_designed(modes: Sequence[Mode], system: FourFSystem) -> bool:
    """Whether the light is that of the design."""
    return len(modes) == 1 and modes[0].wavelengths_m == system.wavelengths_m


def assemble(responses: Tensor, curve: Tensor | None, view: View) -> CoherentOptics:
    """The optics of amplitude responses.

    Args:
        responses: (J, K, 2, C, 2 H - 1, 2 W - 1) complex, the distance 0 in the middle.
        curve: Phase of the scene's amplitude in radians a pixel squared, (C,); None: none.
        view: Scenes and kernels.
    """
    rows, columns = view.shape
    grids = [fast_length(2 * side - 1) for side in view.shape]
    padding = (0, grids[1] - 2 * columns + 1, 0, grids[0] - 2 * rows + 1)
    transfers = torch.fft.fft2(F.pad(responses, padding).roll((1 - rows, 1 - columns), (-2, -1)))
    seen, bent = responses, None
    if curve is not None:
        # Around the middle of the scene light from the distance d has the phase of the place -d.
        seen = responses * _bend(curve, (2 * rows - 1, 2 * columns - 1)).to(responses)
        bent = _bend(curve, view.shape).to(responses)
    whole = seen.sum((-2, -1), keepdim=True)
    return CoherentOptics(transfers, _crop(seen, view.kernel_size), whole, bent)


def _crop(responses: Tensor, size: int) -> Tensor:
    """The middle k x k of responses, with darkness around where they are smaller."""
    pads: list[int] = []
    for side in (responses.shape[-1], responses.shape[-2]):
        before = size // 2 - side // 2
        pads += [before, size - side - before]
    return F.pad(responses, pads)


def curve_scene(focal: Tensor, system: FourFSystem) -> Tensor:
    """Phase of the scene's amplitude in radians a pixel squared, (C,), at the design's light."""
    slopes = [
        bend_wave(one, wavelength_m, system.focal_length_m)
        for one, wavelength_m in zip(focal.double(), system.wavelengths_m, strict=True)
    ]
    return torch.stack(slopes) * system.scene_pitch_m**2


def _bend(curve: Tensor, shape: tuple[int, int]) -> Tensor:
    y, x = (torch.arange(n, dtype=torch.float64) - (n - 1) / 2 for n in shape)
    angle = curve[:, None, None] * (x.square() + y.square()[:, None])
    return torch.polar(torch.ones_like(angle), angle)
