"""What a run ended with: the backend that is deployed, and the optics before it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hybridonn.core.files import read_arrays
from hybridonn.data.batches import to_scene
from hybridonn.networks.frontends.binned import BinnedFrontend
from hybridonn.networks.frontends.measured import MeasuredFrontend
from hybridonn.networks.hybrid import HybridNetwork
from hybridonn.networks.student import build_student
from hybridonn.pipeline.chip import list_readouts
from hybridonn.pipeline.stage import Context
from hybridonn.pipeline.stages.compensated import COMPENSATED
from hybridonn.pipeline.stages.fabricated import FABRICATED, take_backend
from hybridonn.pipeline.stages.metasurface import METASURFACE
from hybridonn.pipeline.stages.student import STUDENT
from hybridonn.pipeline.weights import put_weights
from hybridonn.spec import Spec

AT_A_TIME = 64  # images


@dataclass(frozen=True)
class Deployable:
    """A network as a run left it.

    Attributes:
        network: The last optics of the run, and the backend that was fitted to them last, on the
            CPU in inference mode. The gains of the subtraction are part of the optics.
        gains: Gain of the positive and the negative capture of each kernel, (K, 2).
        optics: Stage that the optics are of.
        backend: Stage that the backend is of.
    """

    network: HybridNetwork
    gains: Tensor
    optics: str
    backend: str

    @torch.no_grad()
    def features(self, images: Tensor) -> tuple[Tensor, ...]:
        """What the backend sees of 8-bit images (N, C, H, W): (N, K_b, H', W') a branch."""
        parts = [self.network.frontend(to_scene(some)) for some in images.split(AT_A_TIME)]
        return tuple(torch.cat(branch) for branch in zip(*parts, strict=True))


def load_deployable(context: Context) -> Deployable:
    """The network that the stages of a run ended with.

    The optics are those of the last of the stages student, metasurface and fabricated that the
    spec wants, the backend that of the last of student, metasurface and compensated.
    """
    spec, dataset = context.spec, context.dataset
    network = build_student(
        spec.student, dataset.image_shape, len(dataset.classes), spec.seed, spec.optics, spec.task
    )
    put_weights(network, context.need(STUDENT).folder / "weights.safetensors")
    gains, optics, backend = torch.ones(network.frontend.kernels, 2), STUDENT.name, STUDENT.name
    metasurface, fabricated = context.find(METASURFACE), context.find(FABRICATED)
    compensated = context.find(COMPENSATED)
    if metasurface is not None:
        take_backend(network, metasurface)
        optics = backend = METASURFACE.name
    if compensated is not None:
        put_weights(network.backend, compensated.folder / "backend.safetensors")
        gains = torch.from_numpy(read_arrays(compensated.folder / "gains.npz")["gains"])
        backend = COMPENSATED.name
    made = fabricated or metasurface
    if made is not None:
        optics = optics if fabricated is None else FABRICATED.name
        arrays = read_arrays(made.folder / "psf.npz")
        _put_optics(network, spec, arrays, gains)
    return Deployable(network.cpu().eval(), gains, optics, backend)


def _put_optics(network: HybridNetwork, spec: Spec, arrays: dict[str, Any], gains: Tensor) -> None:
    """Put point spread functions and gains of a stage in place of the student's optics."""
    psfs, own = (torch.from_numpy(arrays[name]).float() for name in ("psf", "gains"))
    optics = MeasuredFrontend(psfs, own * gains[..., None], spec.student.stride)
    readouts = list_readouts(spec.student)
    if len(readouts) > 1:
        kernels = [one.kernels.stop - one.kernels.start for one in readouts]
        optics = BinnedFrontend(optics, kernels, [one.binning for one in readouts])
    network.frontend = optics
