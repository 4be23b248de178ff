"""Stage ``as_built``: the trained network behind a chip as fabrication leaves it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hybridonn.compensation.captured import Captured, capture_images
from hybridonn.data.dataset import Dataset, ImageSet
from hybridonn.distillation.tasks import TASKS
from hybridonn.errors import OpticsError
from hybridonn.files import read_arrays, write_arrays
from hybridonn.networks.frontends import split_signs
from hybridonn.networks.hybrid import HybridNetwork
from hybridonn.networks.measured_frontend import MeasuredFrontend
from hybridonn.networks.seeding import seed_of
from hybridonn.optics.fabrication import Design, fabricate
from hybridonn.optics.sensor import Sensor
from hybridonn.pipeline.metasurface import load_student
from hybridonn.pipeline.stage import Finished, fingerprint, finish
from hybridonn.progress import Progress
from hybridonn.spec import Fabrication, Spec

AT_A_TIME = 1000  # captures that a backend answers at a time


@dataclass(frozen=True)
class SimulatedChip:
    """A network as trained, and the chip that was made of its optics.

    Attributes:
        student: With the optics as designed, in inference mode.
        frontend: The optics as fabricated.
        seed: Of the chip; goes into the camera's noise.
    """

    student: HybridNetwork
    frontend: MeasuredFrontend
    seed: int

    def capture(self, images: ImageSet, part: str) -> Captured:
        """Show images of a part of the data set to the chip."""
        return capture_images(self.frontend, images, seed_of("captures", self.seed, part))


def build_as_built(
    spec: Spec,
    dataset: Dataset,
    student: Finished,
    metasurface: Finished | None,
    folder: Path,
    progress: Progress,
) -> Finished:
    """Fabricate one simulated chip and classify the test images behind it.

    Args:
        spec: With ``fabrication``.
        dataset: Images; the test part is captured.
        student: The finished stage ``student``.
        metasurface: The finished stage ``metasurface``; None: the kernels themselves are made.
        folder: Where the artefacts belong.
        progress: Shows how far it is.

    Raises:
        OpticsError: ``fabrication`` is not set, or the student has several optical layers.
    """
    errors = stated(spec)
    mark = fingerprint(
        stage="as_built",
        data=dataset.checksum,
        fabrication=errors.model_dump(mode="json"),
        sensor=spec.optics.sensor.model_dump(mode="json"),
        student=student.fingerprint,
        metasurface=metasurface.fingerprint if metasurface else None,
    )

    def work(part: Path) -> dict[str, Any]:
        with progress.bar("simulated chip", 1) as advance:
            chip = make_chip(spec, dataset, student, metasurface, errors)
            captured = chip.capture(dataset.test, "test")
            features = captured.subtract(torch.ones(chip.frontend.kernels, 2))
            logits = answer(chip.student.backend, features)
            advance(1)
        _write(part, chip, logits, dataset.test)
        task = TASKS[spec.task]()
        score = task.measure(logits, dataset.test.labels)
        return score | {
            f"ideal_{task.metric}": student.results[task.metric],
            "drop": student.results[task.metric] - score[task.metric],
            "kernel_error": kernel_error(chip),
            "preset": errors.preset,
            "chip": errors.seed,
        }

    return finish(folder, mark, work)


def stated(spec: Spec) -> Fabrication:
    """The errors that a spec states.

    Raises:
        OpticsError: It states none.
    """
    if spec.fabrication is None:
        raise OpticsError(
            "fabrication is not set, so no chip is simulated; "
            "set fabrication.preset to paper-mnist, for example"
        )
    return spec.fabrication


def make_chip(
    spec: Spec,
    dataset: Dataset,
    student: Finished,
    metasurface: Finished | None,
    errors: Fabrication,
) -> SimulatedChip:
    """Fabricate a chip of a trained student's optics, ideal or designed as a metasurface."""
    network = load_student(spec, dataset, student)
    design = _read_design(network, metasurface)
    made = fabricate(design, errors)
    frontend = MeasuredFrontend(
        made.psfs, made.gains, spec.student.stride, _camera(spec, made.psfs.shape[2], errors)
    )
    return SimulatedChip(network, frontend, errors.seed)


@torch.no_grad()
def answer(backend: torch.nn.Module, features: Tensor) -> Tensor:
    """Logits of features, (N, K, H', W') to (N, ...), in inference mode on the CPU."""
    backend.eval()
    return torch.cat([backend(part).float() for part in features.split(AT_A_TIME)])


def kernel_error(chip: SimulatedChip) -> float:
    """``|k_chip - k| / |k|`` over all kernels, the smaller ones in the middle of zeros."""
    made, ideal = chip.frontend.signed_kernels(), chip.student.frontend.signed_kernels().detach()
    margin = (made.shape[-1] - ideal.shape[-1]) // 2
    ideal = torch.nn.functional.pad(ideal, 4 * (margin,))
    return float(torch.linalg.norm(made - ideal) / torch.linalg.norm(ideal))


def _read_design(network: HybridNetwork, metasurface: Finished | None) -> Design:
    if metasurface is None:
        parts = torch.stack(split_signs(network.frontend.signed_kernels().detach()), 1)
        psfs = parts.flip(-1, -2).contiguous()
        return Design(psfs, psfs.new_ones(psfs.shape[:3]))
    arrays = read_arrays(metasurface.folder / "psf.npz")
    psfs, gains = torch.from_numpy(arrays["psf"]), torch.from_numpy(arrays["gains"])
    return Design(psfs.float(), gains.float()[:, None].expand(-1, 2, -1).contiguous())


def _camera(spec: Spec, colours: int, errors: Fabrication) -> Sensor | None:
    if not (errors.camera and spec.optics.sensor.noise):
        return None
    # One camera pixel a pixel of the picture: a group of them would be less noisy.
    stated = spec.optics.sensor
    return Sensor(
        stated.full_well_electrons,
        stated.read_noise_electrons,
        stated.bit_depth,
        stated.exposure,
        colours * (1,),
    )


def _write(part: Path, chip: SimulatedChip, logits: Tensor, test: ImageSet) -> None:
    ideal = chip.student.frontend.signed_kernels().detach().numpy()
    made = chip.frontend.signed_kernels().numpy()
    write_arrays(part / "kernels.npz", designed=ideal, built=made)
    write_arrays(
        part / "psf.npz", psf=chip.frontend.psfs.numpy(), gains=chip.frontend.gains.numpy()
    )
    write_arrays(part / "predictions.npz", labels=test.labels.numpy(), logits=logits.numpy())
