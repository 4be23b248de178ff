"""A measurement rehearsed: what a camera would have written behind a simulated chip of a run."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hybridonn.compensation.acquisition.camera_view import CameraView
from hybridonn.compensation.acquisition.capture_dataset import refuse_taken
from hybridonn.compensation.acquisition.placement import Camera, refuse_overlap
from hybridonn.compensation.acquisition.simulated_camera import SimulatedCamera
from hybridonn.compensation.acquisition.simulated_frames import Bench, take_frames
from hybridonn.compensation.acquisition.simulated_psfs import take_psfs
from hybridonn.compensation.acquisition.template import write_template
from hybridonn.compensation.simulated_chip import SimulatedChip
from hybridonn.core.errors import ArtefactError, OpticsError
from hybridonn.core.files import write_arrays, write_json
from hybridonn.core.parts import put_new_folder, scratch_folder
from hybridonn.core.progress import Progress, Silent
from hybridonn.data import load_dataset
from hybridonn.data.readers.frame_files import check_suffix
from hybridonn.networks.frontends.table import FRONTENDS
from hybridonn.pipeline.captures import read_captured_design
from hybridonn.pipeline.from_spec import refuse_digital
from hybridonn.pipeline.run_record import read_own_spec, read_own_stage
from hybridonn.pipeline.stages.fabricated import make_chip
from hybridonn.pipeline.stages.metasurface import METASURFACE
from hybridonn.pipeline.stages.student import STUDENT
from hybridonn.spec import Fabrication, Spec

PRESETS = {"four_f": "four-f-mnist"}  # where nothing is stated; of other optics paper-mnist
_SILENT = Silent()


@dataclass(frozen=True)
class Rehearsal:
    """What is rehearsed.

    Attributes:
        view: How the camera looks at the sensor plane.
        camera: The camera.
        preset: Preset of fabrication errors; None: those of the run's spec, or ``paper-mnist``.
        chip: Seed of the chip; None: that of the spec.
        fraction: Share of the student's training images that are displayed.
        test_images: Test images that are displayed.
        apart: One frame a sub-optic in place of one mosaic an image.
        suffix: Suffix of the frames.
        psfs: Measure point spread functions in place of images.
    """

    view: CameraView
    camera: SimulatedCamera
    preset: str | None = None
    chip: int | None = None
    fraction: float = 0.1
    test_images: int = 1000
    apart: bool = False
    suffix: str = "tif"
    psfs: bool = False


def simulate_captures(
    run: Path,
    folder: Path,
    wanted: Rehearsal,
    data_root: Path | None = None,
    progress: Progress = _SILENT,
) -> dict[str, Any]:
    """Write what a camera would have written behind a simulated chip of a run.

    Args:
        run: The run of which a chip is made.
        folder: New or empty; complete, or not there.
        wanted: What is rehearsed.
        data_root: Where named data sets lie.
        progress: Shows how far it is.

    Returns:
        Number of ``frames`` and of those that are ``saturated``, or of ``psfs``.

    Raises:
        ArtefactError: The run is not finished, or the folder is taken or cannot be written.
        OpticsError: Point spread functions of a 4f system are asked for, or captures would overlap
            in a mosaic.
        SpecError: An error is stated that has nothing to act on in this design.
    """
    check_suffix(wanted.suffix)
    refuse_taken(folder)
    spec = read_own_spec(run)
    refuse_digital(spec, "be captured")
    if wanted.psfs and FRONTENDS[spec.frontend].coherent:
        raise OpticsError(
            "the captures of a 4f system are no convolution of the scene, so that point spread "
            "functions do not tell them; leave --psfs out, and capture images"
        )
    chip = _make_chip(spec, run, wanted, data_root, progress)
    try:
        with scratch_folder(folder) as part:
            made = part / "made"
            if wanted.psfs:
                found = _take_psfs(made, chip, wanted)
            else:
                found = _take_frames(made, run, chip, wanted, data_root, progress)
            write_json(made / "rehearsal.json", asdict(wanted))
            put_new_folder(made, folder)
    except OSError as error:
        refuse_taken(folder)  # by another command, meanwhile
        raise ArtefactError(f"cannot write {folder}: {error.strerror or error}") from None
    return found


def _make_chip(
    spec: Spec, run: Path, wanted: Rehearsal, data_root: Path | None, progress: Progress
) -> SimulatedChip:
    """The simulated chip of a run that stands in front of the camera."""
    made = METASURFACE.wanted(spec) and (run / METASURFACE.name / "stage.json").is_file()
    return make_chip(
        spec,
        load_dataset(spec.data, data_root, progress),
        read_own_stage(run, STUDENT.name),
        read_own_stage(run, METASURFACE.name) if made else None,
        choose_errors(spec, wanted),
        progress,
    )


def choose_errors(spec: Spec, wanted: Rehearsal) -> Fabrication:
    """The errors of the chip: of the preset, else of the spec, else of the optics' preset."""
    usual = PRESETS.get(spec.optics.frontend, "paper-mnist")
    if wanted.preset is not None or spec.fabrication is None:
        errors = Fabrication.model_validate({"preset": wanted.preset or usual})
    else:
        errors = spec.fabrication
    return errors if wanted.chip is None else errors.with_seed(wanted.chip)


def _take_frames(
    folder: Path,
    run: Path,
    chip: SimulatedChip,
    wanted: Rehearsal,
    data_root: Path | None,
    progress: Progress,
) -> dict[str, Any]:
    design = read_captured_design(run, data_root, progress)
    apart = wanted.apart or design.is_coherent
    if not apart:
        seen = Camera(wanted.view.pixels_per_feature, wanted.view.pixel_m)
        refuse_overlap(design.layout, design.shape, seen)
    write_template(
        design,
        folder,
        fraction=wanted.fraction,
        test_images=wanted.test_images,
        exposure_s=0.01,
        apart=wanted.apart,
        suffix=wanted.suffix,
    )
    bench = Bench(chip.frontend.light, design.layout, wanted.view, wanted.camera, apart)
    frames, saturated = take_frames(folder, bench, progress)
    return {"frames": frames, "saturated": saturated}


def _take_psfs(folder: Path, chip: SimulatedChip, wanted: Rehearsal) -> dict[str, Any]:
    folder.mkdir(parents=True)
    psfs = chip.frontend.stored()["psf"].double().numpy()
    measured = take_psfs(psfs, wanted.camera)
    write_arrays(folder / "psfs.npz", psfs=measured)
    return {"psfs": measured.shape[0] * 2}
