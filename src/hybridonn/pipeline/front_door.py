"""The commands of a finished run as calls of Python: the same names, the same defaults."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hybridonn.core.progress import Progress, Silent
from hybridonn.pipeline.loaded_run import LoadedRun, load_run
from hybridonn.pipeline.run_record import read_own_spec

if TYPE_CHECKING:
    from hybridonn.compensation.acquisition.capture_dataset import CaptureDataset
    from hybridonn.deployment.cost import NetworkCost
    from hybridonn.spec import Spec

_SILENT = Silent()


def captures_template(
    run: str | Path,
    folder: str | Path | None = None,
    *,
    fraction: float = 0.1,
    test_images: int = 1000,
    exposure_s: float = 0.01,
    apart: bool = False,
    suffix: str = "tif",
    data_root: str | Path | None = None,
    progress: Progress = _SILENT,
) -> dict[str, Any]:
    """Write what to display in front of a run's chip, as ``hybridonn captures template`` does.

    Args:
        run: A finished run folder.
        folder: New or empty; None: ``RUN/template``.
        fraction: Share of the training images to capture, from 0 to 1.
        test_images: Number of test images to capture.
        exposure_s: Exposure time in seconds, written into each row of the manifest.
        apart: One frame for each sub-optic in place of one mosaic for each image.
        suffix: File type of the frames: tif, tiff, png or npy.
        data_root: Folder that holds the data sets.
        progress: Shows how far it is.

    Returns:
        Number of ``images``, ``test_images`` and ``frames``.

    Raises:
        ArtefactError: The run is not finished, or the folder is taken or cannot be written.
        SpecError: The fraction is not one image of each class, or no import reads the suffix.
    """
    from hybridonn.pipeline.captures import make_template

    return make_template(
        Path(run),
        Path(run) / "template" if folder is None else Path(folder),
        fraction=fraction,
        test_images=test_images,
        exposure_s=exposure_s,
        apart=apart,
        suffix=suffix,
        data_root=_path(data_root),
        progress=progress,
    )


def captures_import(
    run: str | Path,
    source: str | Path | None = None,
    folder: str | Path | None = None,
    *,
    psfs: str | Path | None = None,
    pixels_per_feature: float = 1.0,
    camera_pixel_um: float | None = None,
    bit_depth: int | None = None,
    alignment: str | None = None,
    skip_bad: bool = False,
    data_root: str | Path | None = None,
    progress: Progress = _SILENT,
) -> CaptureDataset:
    """Register, correct and pair captures of a chip, as ``hybridonn captures import`` does.

    Args:
        run: The run whose chip was measured.
        source: A folder with ``manifest.csv``, or an npz with ``image_ids``, ``positive`` and
            ``negative``; None: only ``psfs``.
        folder: New or empty; None: ``RUN/captures``. It is complete or not there.
        psfs: Measured point spread functions, (K, 2, C, P, P), npy or npz.
        pixels_per_feature: Camera pixels along the side of a pixel of a feature map.
        camera_pixel_um: Side of a camera pixel in the sensor plane; mosaics need it.
        bit_depth: Bits of the camera; None: found from the frames.
        alignment: ``left`` or ``right``; None: found from the frames.
        skip_bad: Skip saturated frames and repair point spread functions.
        data_root: Folder that holds the data sets.
        progress: Shows how far it is.

    Returns:
        What was written; its ``notes`` say how well it agrees with the simulation.

    Raises:
        DataError: The captures cannot be used, or nothing is given.
        ArtefactError: The run is not finished, or the folder is taken or cannot be written.
    """
    from hybridonn.compensation.acquisition.placement import Camera
    from hybridonn.core.errors import DataError
    from hybridonn.pipeline.captures import ImportOptions, import_into

    if alignment not in (None, "left", "right"):
        raise DataError(f"alignment is {alignment!r}; allowed are 'left', 'right' and None")
    pixel_m = None if camera_pixel_um is None else camera_pixel_um * 1e-6
    camera = Camera(pixels_per_feature, pixel_m)
    taken = ImportOptions(_path(source), _path(psfs), camera, bit_depth, skip_bad, alignment)
    target = Path(run) / "captures" if folder is None else Path(folder)
    return import_into(Path(run), taken, target, _path(data_root), progress).captures


def compensate(
    run: str | Path,
    captures: str | Path,
    *,
    fraction: float | None = None,
    method: str | None = None,
    settings: Sequence[str] = (),
    data_root: str | Path | None = None,
    progress: Progress = _SILENT,
) -> dict[str, Any]:
    """Compensate a real chip from its captures, as ``hybridonn compensate`` does.

    Args:
        run: A finished run folder; ``compensated/`` is written into it.
        captures: A folder that :func:`captures_import` wrote.
        fraction: Share of the captures to train on, above 0, up to 1; None: all.
        method: Method of fine-tuning: none, kd, cwd, ntkd; None: those of the spec.
        settings: Settings over the run's spec, such as ``compensation.training.epochs=10``.
        data_root: Folder that holds the data sets.
        progress: Shows how far it is.

    Returns:
        The numbers of the stage ``compensated``.

    Raises:
        DataError: The captures do not fit the run, or none is left to learn from or to judge by.
        ArtefactError: The run is not finished, or the captures are damaged.
        SpecError: A setting or the method is wrong.
    """
    spec = state_compensation(Path(run), fraction, method, settings)
    from hybridonn.pipeline.compensate import compensate_captures

    share = spec.compensation_or_default().fraction
    return compensate_captures(spec, Path(run), Path(captures), _path(data_root), progress, share)


def state_compensation(
    run: Path, fraction: float | None, method: str | None, settings: Sequence[str]
) -> Spec:
    """The spec of a run with what is asked of the compensation of a real chip.

    Args:
        run: A finished run folder.
        fraction: Share of the captures to train on; None: all.
        method: Method of fine-tuning; None: those of the spec.
        settings: Settings over the run's spec.

    Raises:
        SpecError: A setting is wrong.
    """
    more = ["compensation={}"] if read_own_spec(run).compensation is None else []
    # Not the run's own fraction, which is of the training images that a simulated chip captures.
    more += ["compensation.fraction=1.0", *settings]
    more += [] if fraction is None else [f"compensation.fraction={fraction}"]
    if method is not None:
        stated = json.dumps(method)
        more += [f"compensation.methods=[{stated}]", f"compensation.distillation.method={stated}"]
    return read_own_spec(run, tuple(more))


def deploy(
    run: str | Path,
    targets: Sequence[str] = (),
    *,
    calibration: int = 512,
    captures: str | Path | None = None,
    data_root: str | Path | None = None,
    progress: Progress = _SILENT,
) -> dict[str, Any]:
    """Write the network of a run as files that run without torch, as ``hybridonn deploy`` does.

    Args:
        run: A finished run folder; ``deployed/`` is written into it.
        targets: Formats beside ONNX: ``c``, ``tflite-micro``.
        calibration: Number of training images that set the ranges of the 8-bit integers.
        captures: Captures of the real chip on which the run was compensated.
        data_root: Folder that holds the data sets.
        progress: Shows how far it is.

    Returns:
        The numbers of the stage ``deployed``.

    Raises:
        DeploymentError: A target is not known, a package is missing, or the network cannot be
            translated.
        ArtefactError: The folder is no finished run.
    """
    from hybridonn.pipeline.deploy import deploy as deploy_run

    return deploy_run(
        Path(run), tuple(targets), calibration, _path(data_root), progress, _path(captures)
    )


def cost(run: LoadedRun | str | Path) -> list[NetworkCost]:
    """Operations and parameters of a run's networks, as ``hybridonn cost`` prints them.

    Args:
        run: A finished run, or its folder.

    Returns:
        Costs of an image: teacher, the same network all digital, backend behind the optics.

    Raises:
        ArtefactError: A stage is not finished or was changed.
    """
    from hybridonn.pipeline.cost import cost_run

    return cost_run(run if isinstance(run, LoadedRun) else load_run(run))


def _path(path: str | Path | None) -> Path | None:
    return None if path is None else Path(path)
