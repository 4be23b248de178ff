"""What a run ended with: the backend that is deployed, and the optics before it."""

from __future__ import annotations

from collections.abc import Mapping
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
from hybridonn.pipeline.stages.metasurface import METASURFACE, ImageFormat, load_student
from hybridonn.pipeline.stages.student import STUDENT
from hybridonn.pipeline.weights import put_weights
from hybridonn.spec import Spec

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
    found = {stage.name: context.find(stage) for stage in sources}
    kept = {name: stage for name, stage in found.items() if stage is not None}
    captured = context.options["captures"] is not None
    ended = assemble(context.spec, context.dataset, kept, captured)
    backend = next((n for n in reversed(kept) if n != FABRICATED.name), STUDENT.name)
    samples = _choose_samples(context, ended.network.frontend, ended.optics, ended.gains)
    return Deployable(ended.network, ended.gains, ended.optics, backend.split()[0], *samples)


@dataclass(frozen=True)
class Assembly:
    """Optics and backend that a run ended with, put together.

    Attributes:
        network: The network, on the CPU in inference mode.
        gains: Gain of the positive and the negative capture of each kernel, (K, 2).
        optics: Where the optics are from, as of :class:`Deployable`.
    """

    network: HybridNetwork
    gains: Tensor
    optics: str


def assemble(
    spec: Spec, images: ImageFormat, kept: Mapping[str, Finished], captured: bool
) -> Assembly:
    """Put the last optics of a run before the last backend.

    Args:
        spec: The spec of the run.
        images: What the network takes.
        kept: The finished stages that made optics or fitted a backend, by name, in their order.
        captured: Whether captures take the place of the optics of a real chip.

    Raises:
        DeploymentError: The backend is that of a real chip, of which neither point spread
            functions nor captures are known.
    """
    network = load_student(spec, images, kept[STUDENT.name]).divide()
    if METASURFACE.name in kept:
        take_backend(network, kept[METASURFACE.name])
    compensated = kept.get(COMPENSATED.name) or kept.get(COMPENSATED_ON_CAPTURES.name)
    gains = torch.ones(network.frontend.kernels, 2)
    if compensated is not None:
        put_weights(network.backend, compensated.folder / "backend.safetensors")
        gains = torch.from_numpy(read_arrays(compensated.folder / "gains.npz")["gains"]).float()
    optics = STUDENT.name
    if captured and COMPENSATED_ON_CAPTURES.name in kept:
        optics = "captures"
    elif found := _find_optics(spec, images, kept):
        optics, frontend = found
        network.frontend = frontend.with_gains(gains)
    return Assembly(network.cpu().eval().requires_grad_(False), gains, optics)


def _find_optics(
    spec: Spec, images: ImageFormat, kept: Mapping[str, Finished]
) -> tuple[str, Frontend] | None:
    """The last optics of a run, and where they are from; None: those of the student.

    Raises:
        DeploymentError: They are those of a real chip, of which nothing is known.
    """
    if COMPENSATED_ON_CAPTURES.name in kept:
        measured = kept[COMPENSATED_ON_CAPTURES.name].folder / "psf.npz"
        if not measured.is_file():
            raise DeploymentError(
                "the backend was compensated on captures of a real chip whose point spread "
                "functions were not measured, so that no image can be simulated; name the capture "
                "set: hybridonn deploy RUN --captures SET"
            )
        return "measured", _read_psfs(measured, spec)
    made = kept.get(FABRICATED.name) or kept.get(METASURFACE.name)
    if made is None:
        return None
    return made.folder.name, _read_made(made, spec, images, kept)


def _read_made(
    made: Finished, spec: Spec, images: ImageFormat, kept: Mapping[str, Finished]
) -> Frontend:
    """Optics as designed or fabricated; a 4f chip, of which no file tells all, is made again."""
    if FRONTENDS[spec.frontend].ideal_kernels:
        return _read_psfs(made.folder / "psf.npz", spec)
    student, metasurface = kept[STUDENT.name], kept.get(METASURFACE.name)
    return make_chip(spec, images, student, metasurface, stated(spec)).frontend


def _read_psfs(path: Path, spec: Spec) -> Frontend:
    arrays, student = read_arrays(path), spec.student
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
