"""What a run ended with: the backend that is deployed, and the optics before it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from hybridonn.compensation.capture_pair import CapturePair
from hybridonn.compensation.measured_captures import MeasuredCaptures, read_measured_captures
from hybridonn.core.errors import DeploymentError
from hybridonn.core.files import read_arrays
from hybridonn.core.random import generator_of
from hybridonn.deployment.samples import Samples, hold_features, see_images
from hybridonn.networks.frontends.frontend import Frontend
from hybridonn.networks.frontends.measured import MeasuredFrontend
from hybridonn.networks.frontends.table import FRONTENDS
from hybridonn.networks.hybrid import HybridNetwork
from hybridonn.pipeline.chip import in_branches, list_readouts
from hybridonn.pipeline.stage import Context, Stage
from hybridonn.pipeline.stage_folder import Finished
from hybridonn.pipeline.stages.compensated import COMPENSATED
from hybridonn.pipeline.stages.compensated_on_captures import COMPENSATED_ON_CAPTURES
from hybridonn.pipeline.stages.fabricated import FABRICATED, make_chip, stated, take_backend
from hybridonn.pipeline.stages.metasurface import METASURFACE, load_student
from hybridonn.pipeline.stages.student import STUDENT
from hybridonn.pipeline.weights import put_weights

SIMULATED = (STUDENT, METASURFACE, FABRICATED, COMPENSATED)
REAL = (STUDENT, METASURFACE, COMPENSATED_ON_CAPTURES)


@dataclass(frozen=True)
class Deployable:
    """A network as a run left it.

    Attributes:
        network: The optics that the backend was fitted to last, and the backend, on the CPU in
            inference mode. The gains of the subtraction are part of the optics. Without optics it
            is a lens, and the backend is the whole network.
        gains: Gain of the positive and the negative capture of each kernel, (K, 2).
        optics: Where the optics are from: a stage of the run, ``measured`` point spread functions,
            or ``captures``, of which no image can be simulated.
        backend: Name of the stage that the backend is of.
        calibration: Samples that set the ranges of integers; never test images.
        test: Test samples.
    """

    network: HybridNetwork
    gains: Tensor
    optics: str
    backend: str
    calibration: Samples
    test: Samples

    @property
    def takes_scenes(self) -> bool:
        """Whether the optics are known, so that the whole network can be simulated."""
        return self.optics != "captures"


def load_deployable(context: Context, sources: tuple[Stage, ...]) -> Deployable:
    """The network that the stages of a run ended with.

    The optics are those of the last stage that made some, the backend that of the last stage that
    fitted one.

    Args:
        context: What the stage ``deployed`` may read, with the options ``calibration``, a number
            of images, and ``captures``, a capture set or None.
        sources: The stages that made optics or fitted a backend, :data:`SIMULATED` or
            :data:`REAL`.

    Raises:
        DeploymentError: The backend is that of a real chip, of which neither point spread
            functions nor captures are known.
    """
    network = load_student(context.spec, context.dataset, context.need(STUDENT)).divide()
    found = {stage.name: context.find(stage) for stage in sources[1:]}
    kept = {name: stage for name, stage in found.items() if stage is not None}
    if METASURFACE.name in kept:
        take_backend(network, kept[METASURFACE.name])
    compensated = kept.get(sources[-1].name)
    gains = torch.ones(network.frontend.kernels, 2)
    if compensated is not None:
        put_weights(network.backend, compensated.folder / "backend.safetensors")
        gains = torch.from_numpy(read_arrays(compensated.folder / "gains.npz")["gains"]).float()
    optics = _put_optics(network, context, kept, gains)
    network = network.cpu().eval().requires_grad_(False)
    backend = next((n for n in reversed(kept) if n != FABRICATED.name), STUDENT.name)
    samples = _choose_samples(context, network.frontend, optics, gains)
    return Deployable(network, gains, optics, backend.split()[0], *samples)


def _put_optics(
    network: HybridNetwork, context: Context, kept: dict[str, Finished], gains: Tensor
) -> str:
    """Put the last optics of a run in place of the student's; where they are from.

    Raises:
        DeploymentError: They are those of a real chip, of which nothing is known.
    """
    if COMPENSATED_ON_CAPTURES.name in kept:
        if context.options["captures"] is not None:
            return "captures"
        measured = kept[COMPENSATED_ON_CAPTURES.name].folder / "psf.npz"
        if not measured.is_file():
            raise DeploymentError(
                "the backend was compensated on captures of a real chip whose point spread "
                "functions were not measured, so that no image can be simulated; name the capture "
                "set: --captures SET"
            )
        network.frontend = _read_psfs(measured, context).with_gains(gains)
        return "measured"
    made = kept.get(FABRICATED.name) or kept.get(METASURFACE.name)
    if made is None:
        return STUDENT.name
    network.frontend = _read_made(made, context, kept).with_gains(gains)
    return made.folder.name


def _read_made(made: Finished, context: Context, kept: dict[str, Finished]) -> Frontend:
    """Optics as designed or fabricated; a 4f chip, of which no file tells all, is made again."""
    spec, dataset = context.spec, context.dataset
    if FRONTENDS[spec.frontend].ideal_kernels:
        return _read_psfs(made.folder / "psf.npz", context)
    student, metasurface = context.need(STUDENT), kept.get(METASURFACE.name)
    return make_chip(spec, dataset, student, metasurface, stated(spec)).frontend


def _read_psfs(path: Path, context: Context) -> Frontend:
    arrays, student = read_arrays(path), context.spec.student
    psfs, gains = (torch.from_numpy(arrays[name]).float() for name in ("psf", "gains"))
    return in_branches(MeasuredFrontend(psfs, gains, student.stride), list_readouts(student))


def _choose_samples(
    context: Context, frontend: Frontend, optics: str, gains: Tensor
) -> tuple[Samples, Samples]:
    """Samples for the ranges of integers, and test samples."""
    number, dataset = context.options["calibration"], context.dataset
    if optics == "captures":
        captures = _read_captures(context, frontend)
        order = _shuffle(len(captures.train), context.spec.seed)[:number]
        return _of_captures(captures.train.take(order), gains), _of_captures(captures.test, gains)
    images = dataset.student_train
    chosen = images.take(_shuffle(len(images), context.spec.seed)[:number])
    return see_images(frontend, chosen), see_images(frontend, dataset.test)


def _read_captures(context: Context, optics: Frontend) -> MeasuredCaptures:
    student, metasurface = context.need(STUDENT), context.find(METASURFACE)
    origin = {
        "dataset": context.dataset.checksum,
        "student": student.fingerprint,
        "metasurface": None if metasurface is None else metasurface.fingerprint,
    }
    return read_measured_captures(context.options["captures"], context.dataset, origin, optics)


def _of_captures(pair: CapturePair, gains: Tensor) -> Samples:
    return hold_features(pair.subtract(gains), pair.shown.labels)


def _shuffle(number: int, seed: int) -> Tensor:
    return torch.randperm(number, generator=generator_of("calibration of integers", seed))
