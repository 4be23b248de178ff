"""Captures of the chip of a run: what to take, and taking it in."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from hybridonn.compensation.acquisition.capture_dataset import (
    check_origin,
    refuse_taken,
    write_captures,
)
from hybridonn.compensation.acquisition.captured_design import CapturedDesign
from hybridonn.compensation.acquisition.importing import ImportResult, import_captures, with_psfs
from hybridonn.compensation.acquisition.levels import Alignment
from hybridonn.compensation.acquisition.manifest import (
    DARK,
    FLAT,
    POINT,
    Manifest,
    read_manifest,
)
from hybridonn.compensation.acquisition.placement import Camera
from hybridonn.compensation.acquisition.psf_import import (
    import_psfs,
    psfs_from_array,
    psfs_from_frames,
    simulate_psfs,
)
from hybridonn.compensation.acquisition.sources import ArraySource, FrameSource, Source
from hybridonn.compensation.acquisition.template import write_template
from hybridonn.core.errors import DataError
from hybridonn.core.files import read_arrays, read_json, write_arrays, write_table
from hybridonn.core.progress import Progress, Silent
from hybridonn.data import load_dataset
from hybridonn.data.readers.frame_files import check_suffix
from hybridonn.networks.frontends.measured import MeasuredFrontend
from hybridonn.networks.student import build_student
from hybridonn.optics.layout.sites import Layout
from hybridonn.pipeline.from_spec import refuse_digital
from hybridonn.pipeline.run_record import read_own_spec, read_own_stage
from hybridonn.pipeline.stage_folder import Finished
from hybridonn.pipeline.stages.layout import LAYOUT
from hybridonn.pipeline.stages.metasurface import METASURFACE
from hybridonn.pipeline.stages.student import STUDENT
from hybridonn.pipeline.weights import put_weights
from hybridonn.spec import Spec

MANIFEST = "manifest.csv"
_SILENT = Silent()


@dataclass(frozen=True)
class ImportOptions:
    """What an import is given.

    Attributes:
        frames: A folder with a manifest, or an npz of feature maps; None: only ``psfs``.
        psfs: A .npy or .npz of point spread functions; None: those of the frames.
        camera: The camera's pixels.
        bit_depth: Bits that the camera really has; None: recognised, or those of its files.
        alignment: Alignment of the camera's bits in the files'; None: recognised.
        skip_bad: Leave saturated images out and mend point spread functions.
    """

    frames: Path | None
    psfs: Path | None = None
    camera: Camera = field(default_factory=Camera)
    bit_depth: int | None = None
    skip_bad: bool = False
    alignment: Alignment | None = None


def read_captured_design(run: Path, data_root: Path | None, progress: Progress) -> CapturedDesign:
    """What captures need to know of a run whose student is trained.

    Raises:
        ArtefactError: The folder is no run, or its student is not trained.
    """
    spec = read_own_spec(run)
    refuse_digital(spec, "be captured")
    finished = read_own_stage(run, STUDENT.name)
    made = METASURFACE.wanted(spec) and (run / METASURFACE.name / "stage.json").is_file()
    dataset = load_dataset(spec.data, data_root, progress)
    student = build_student(
        spec.student, dataset.image_shape, len(dataset.classes), spec.seed, spec.optics, spec.task
    )
    put_weights(student, finished.folder / "weights.safetensors")
    student.eval()
    metasurface = read_own_stage(run, METASURFACE.name) if made else None
    return CapturedDesign(
        kernels=student.frontend.sensor_kernels().detach(),
        stride=spec.student.stride,
        layout=Layout.from_dict(read_json(read_own_stage(run, LAYOUT.name).folder / "layout.json")),
        dataset=dataset,
        fingerprint=finished.fingerprint,
        metasurface=None if metasurface is None else metasurface.fingerprint,
        optics=student.frontend if metasurface is None else _read_metasurface(spec, metasurface),
        frontend=spec.optics.frontend,
        branches=tuple(branch.kernels for branch in spec.student.branches),
    )


def _read_metasurface(spec: Spec, metasurface: Finished) -> MeasuredFrontend:
    """The point spread functions of the sub-optics as they were designed."""
    arrays = read_arrays(metasurface.folder / "psf.npz")
    psfs, gains = (torch.from_numpy(arrays[name]).float() for name in ("psf", "gains"))
    return MeasuredFrontend(psfs, gains, spec.student.stride)


def make_template(
    run: Path,
    folder: Path,
    *,
    fraction: float,
    test_images: int,
    exposure_s: float,
    apart: bool,
    suffix: str = "tif",
    data_root: Path | None = None,
    progress: Progress = _SILENT,
) -> dict[str, Any]:
    """Write what to display in front of the chip of a run; see :func:`write_template`."""
    check_suffix(suffix)  # before the data set is read
    design = read_captured_design(run, data_root, progress)
    return write_template(
        design,
        folder,
        fraction=fraction,
        test_images=test_images,
        exposure_s=exposure_s,
        apart=apart,
        suffix=suffix,
    )


def import_into(
    run: Path,
    taken: ImportOptions,
    folder: Path,
    data_root: Path | None = None,
    progress: Progress = _SILENT,
) -> ImportResult:
    """Import captures into a new folder, which is complete or not there.

    Args:
        run: The run whose chip was measured.
        taken: What was measured.
        folder: Where the capture set belongs; new or empty.
        data_root: Where named data sets lie.
        progress: Shows how far it is.

    Returns:
        What was imported and written; no figure is drawn of it.

    Raises:
        DataError: The captures cannot be used, or nothing is given.
        ArtefactError: The run is not finished, or the folder cannot be written.
    """
    refuse_taken(folder)
    design = read_captured_design(run, data_root, progress)
    imported = _import(taken, design, progress)
    psfs = imported.captures.psfs
    if psfs is not None:
        designed = simulate_psfs(design, psfs.shape[-1]).reshape(psfs.shape)
        imported = replace(imported, designed_psfs=designed)
    write_captures(imported.captures, folder, partial(_write_more, imported))
    return imported


def _import(taken: ImportOptions, design: CapturedDesign, progress: Progress) -> ImportResult:
    if taken.psfs is not None and design.is_coherent:
        raise DataError(
            f"{taken.psfs}: point spread functions do not tell what a 4f system does to a scene; "
            "leave --psfs out, and capture images"
        )
    if taken.frames is None:
        if taken.psfs is None:
            raise DataError(
                "nothing is given to import: name a folder with a manifest, an npz of feature "
                "maps, or point spread functions with --psfs"
            )
        if taken.bit_depth is not None or taken.alignment is not None:
            raise DataError(
                "--bit-depth and --alignment are of frames, and only point spread functions are "
                "given; leave them out"
            )
        return import_psfs(taken.psfs, design, mend=taken.skip_bad)
    source = _open_source(taken.frames, design, taken.bit_depth, taken.alignment)
    imported = import_captures(
        source, design, taken.camera, skip_bad=taken.skip_bad, progress=progress
    )
    psfs = None
    if taken.psfs is not None:
        psfs = psfs_from_array(taken.psfs, design, mend=taken.skip_bad)
    elif isinstance(source, FrameSource):
        psfs = psfs_from_frames(source, imported.geometry, design, mend=taken.skip_bad)
    return imported if psfs is None else with_psfs(imported, psfs)


def _open_source(
    path: Path, design: CapturedDesign, bit_depth: int | None, alignment: Alignment | None
) -> Source:
    kernels = len(design.kernels)
    if path.is_dir():
        _check_template(path, design)
        manifest = read_manifest(path / MANIFEST, kernels, design.branches)
        if design.is_coherent:
            _check_masks(manifest)
        return FrameSource(manifest, bit_depth, alignment)
    if path.suffix != ".npz":
        raise DataError(f"{path} is neither a folder with {MANIFEST} nor an npz of feature maps")
    return ArraySource(path, kernels, design.shape, bit_depth, alignment, design.branches)


def _check_masks(manifest: Manifest) -> None:
    """Refuse frames that no 4f system gives: mosaics, and captures of a point.

    Raises:
        DataError: There are some.
    """
    shown = [frame for frame in manifest.frames if frame.image_id not in (DARK, FLAT)]
    if mosaics := sum(frame.sub_optic is None for frame in shown):
        raise DataError(
            f"{manifest.path}: {mosaics} of {len(shown)} frames name no kernel, but a 4f system "
            "shows its masks one after another: take one frame a mask, and name kernel and sign"
        )
    if points := len(manifest.showing(POINT)):
        raise DataError(
            f"{manifest.path}: {points} frames show a point, which does not tell what a 4f system "
            "does to a scene; remove their rows"
        )


def _check_template(folder: Path, design: CapturedDesign) -> None:
    path = folder / "template.json"
    if not path.is_file():
        return
    stated = read_json(path)
    if not isinstance(stated, dict):
        raise DataError(f"{path} holds no table; write the template again, or remove the file")
    cure = "name the run that the template was made for"
    if stated.get("dataset", design.dataset.checksum) != design.dataset.checksum:
        raise DataError(
            f"{folder} was made for another data set or split ({str(stated['dataset'])[:12]}) than "
            f"that of the run ({design.dataset.checksum[:12]}), so its image ids name other "
            f"images; {cure}"
        )
    check_origin(stated, design.origin, f"{folder} is a template", cure)


def _write_more(imported: ImportResult, part: Path) -> None:
    """What the figures of an import show, as data beside the captures."""
    write_table(part / "sub_optics.csv", imported.captures.notes["sub_optics"])
    write_arrays(part / "pictures.npz", simulated=imported.simulated, measured=imported.measured)
    if imported.designed_psfs is not None:
        write_arrays(part / "designed_psfs.npz", psfs=imported.designed_psfs)
