"""The commands ``hybridonn captures ...``: what to capture behind a chip, and its import."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from math import isnan
from pathlib import Path
from shlex import join
from statistics import median
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from hybridonn.cli.options import (
    MOST_IMAGES,
    DataRoot,
    Run,
    calm_threads,
    count,
    name_command,
    new_app,
    positive,
    share,
)
from hybridonn.cli.output import keep, say
from hybridonn.cli.screen import show_bars, show_table

if TYPE_CHECKING:
    from hybridonn.compensation.acquisition.importing import ImportResult
    from hybridonn.pipeline.simulated_captures import Rehearsal

app = new_app("Measured captures of a chip: what to display, and how to import the frames.")


class Side(Enum):
    """Where the bits of a camera lie among those of its files."""

    left = "left"
    right = "right"


@app.command()
def template(
    run: Run,
    out: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--out", help="A new folder; by default RUN/template.", show_default=False),
    ] = None,
    fraction: Annotated[float, share("Share of the training images to capture.")] = 0.1,
    test_images: Annotated[
        int, count("Number of test images to capture.", least=0, most=MOST_IMAGES)
    ] = 1000,
    exposure_s: Annotated[
        float, positive("Exposure time, written into each row of the manifest.")
    ] = 0.01,
    apart: Annotated[
        bool,
        typer.Option(
            "--apart", help="One frame for each sub-optic in place of one mosaic for each image."
        ),
    ] = False,
    suffix: Annotated[
        str, typer.Option(help="File type of the frames: tif, tiff, png or npy.")
    ] = "tif",
    data_root: DataRoot = None,
) -> None:
    """Write the images to display in front of a run's chip, and the list of frame names."""
    calm_threads()
    from hybridonn.pipeline.captures import make_template

    folder = out or run / "template"
    with show_bars() as progress:
        numbers = make_template(
            run,
            folder,
            fraction=fraction,
            test_images=test_images,
            exposure_s=exposure_s,
            apart=apart,
            suffix=suffix,
            data_root=data_root,
            progress=progress,
        )
    say(
        f"{numbers['images']:,} training and {numbers['test_images']:,} test images to display, "
        f"{numbers['frames']:,} frames to take; how: {folder / 'GUIDE.txt'}"
    )


@app.command("import")
def import_(
    run: Run,
    source: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Argument(
            metavar="SOURCE",
            help="A folder with manifest.csv, or an npz with image_ids, positive and negative.",
        ),
    ] = None,
    out: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--out", help="A new folder; by default RUN/captures.", show_default=False),
    ] = None,
    psfs: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--psfs", help="Measured PSFs, (K, 2, C, P, P), npy or npz."),
    ] = None,
    pixels_per_feature: Annotated[
        float, positive("Number of camera pixels along the side of a pixel of a feature map.")
    ] = 1.0,
    camera_pixel_um: Annotated[
        Optional[float],  # noqa: UP045
        positive("Side of a camera pixel in the sensor plane; mosaics need it."),
    ] = None,
    bit_depth: Annotated[
        Optional[int],  # noqa: UP045
        count("Bits of the camera; by default found from the frames and printed.", most=32),
    ] = None,
    alignment: Annotated[
        Optional[Side],  # noqa: UP045
        typer.Option(help="Alignment of the bits in the files; by default found from the frames."),
    ] = None,
    skip_bad: Annotated[
        bool,
        typer.Option(
            "--skip-bad", help="Skip saturated frames and repair PSFs, and print how many."
        ),
    ] = False,
    data_root: DataRoot = None,
) -> None:
    """Register, correct and pair captures of a chip; print how well they match the simulation."""
    calm_threads()
    from hybridonn.compensation.acquisition.placement import Camera
    from hybridonn.pipeline.captures import ImportOptions, import_into

    folder = out or run / "captures"
    pixel_m = None if camera_pixel_um is None else camera_pixel_um * 1e-6
    camera, side = (
        Camera(pixels_per_feature, pixel_m),
        None if alignment is None else alignment.value,
    )
    taken = ImportOptions(source, psfs, camera, bit_depth, skip_bad, side)
    with show_bars() as progress:
        imported = import_into(run, taken, folder, data_root, progress)
    _draw(imported, folder)
    keep(imported.captures.notes)
    _print_notes(imported.captures.notes)
    say(folder / "registration.png")
    command = name_command("compensate", run, data_root=data_root, captures=folder)
    say(f"next: {command}")


@app.command()
def agreement(
    source: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="An npz of feature maps and the displayed image."),
    ],
    image: Annotated[
        str, typer.Option(help="Array of the displayed images, (H, W) or (N, H, W).")
    ] = "image",
    maps: Annotated[
        str, typer.Option(help="Arrays of maps, (M, H, W) or (N, M, H, W), separated by commas.")
    ] = "positive,negative",
    simulated: Annotated[
        str, typer.Option(help="Arrays of their simulations, of the same shapes; empty: none.")
    ] = "",
    kernel_size: Annotated[int, count("Side of the kernels that are fitted, odd.", most=101)] = 7,
) -> None:
    """Say how much of measured feature maps is a convolution of the displayed image."""
    calm_threads()
    from hybridonn.compensation.acquisition.map_agreement import measure_agreement, read_maps

    names, wanted = (
        [name.strip() for name in text.split(",") if name.strip()] for text in (maps, simulated)
    )
    held = read_maps(source, image, names, wanted)
    found = measure_agreement(held.scenes, held.maps, kernel_size, held.simulated)
    columns = {"best convolution": found.convolution, "the image itself": found.identity}
    if found.simulation is not None:
        columns["own simulation"] = found.simulation
    keep(
        {
            name: {
                label: None if isnan(value) else float(value)
                for label, value in zip(held.labels, one, strict=True)
            }
            for name, one in columns.items()
        }
    )
    _print_agreement(held.labels, columns)
    told = zip(held.labels, found.identity, strict=True)
    if flat := [label for label, value in told if isnan(value)]:
        say(
            f"{', '.join(flat)}: constant in half of the pixels, so that there is no correlation; "
            "such sub-optics are dark, saturated or blocked, and take no part in the medians"
        )
    if len(flat) == len(held.labels):
        return
    known = {name: [one for one in column if not isnan(one)] for name, column in columns.items()}
    medians = ", ".join(f"{name} {median(one):.3f}" for name, one in known.items() if one)
    say(
        f"medians: {medians}. "
        "Maps tell whether sub-optics convolve, not whether by the kernels of a design; without "
        "captures of a run's own images no chip can be compensated"
    )


def _print_agreement(labels: Sequence[str], columns: Mapping[str, Any]) -> None:
    from rich.table import Table

    table = Table(title="correlation of each feature map with")
    table.add_column("map")
    for name in columns:
        table.add_column(name, justify="right")
    for number, label in enumerate(labels):
        table.add_row(
            label,
            *("-" if isnan(one[number]) else f"{one[number]:.3f}" for one in columns.values()),
        )
    show_table(table)


@app.command()
def simulate(
    run: Run,
    preset: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Preset of fabrication errors; by default those of the run's spec."),
    ] = None,
    shift_pixels: Annotated[
        tuple[float, float],
        typer.Option(metavar="DOWN RIGHT", help="Shift of the captures in feature pixels."),
    ] = (1.3, -0.8),
    rotation_degrees: Annotated[float, typer.Option(help="Turn of the captures, clockwise.")] = 0.7,
    scale: Annotated[float, positive("Size of the captures over the stated one.")] = 1.01,
    pixels_per_feature: Annotated[
        float, positive("Camera pixels along a pixel of a feature map.")
    ] = 2.0,
    camera_pixel_um: Annotated[float, positive("Camera pixel in the sensor plane.")] = 5.86,
    bit_depth: Annotated[int, count("Bits of the camera.", least=4, most=16)] = 12,
    alignment: Annotated[
        Side, typer.Option(help="Alignment of the camera's bits in its files.")
    ] = Side.right,
    exposure: Annotated[
        float, positive("Brightest light over full scale; above 1 it saturates.")
    ] = 0.8,
    seed: Annotated[int, count("Seed of the camera's pixels and noise.", least=0)] = 0,
    chip: Annotated[
        Optional[int],  # noqa: UP045
        count("Seed of the chip; by default that of the run's spec.", least=0),
    ] = None,
    psfs: Annotated[
        bool, typer.Option("--psfs", help="Measure point spread functions in place of images.")
    ] = False,
    out: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--out", help="A new folder; by default RUN/captured.", show_default=False),
    ] = None,
    fraction: Annotated[float, share("Share of the student's training images.")] = 0.1,
    test_images: Annotated[
        int, count("Test images to capture too.", least=0, most=MOST_IMAGES)
    ] = 1000,
    apart: Annotated[
        bool,
        typer.Option("--apart", help="One frame per sub-optic, not one mosaic per image."),
    ] = False,
    suffix: Annotated[
        str, typer.Option(help="Suffix of the frames: tif, tiff, png or npy.")
    ] = "tif",
    data_root: DataRoot = None,
) -> None:
    """Rehearse a measurement: the frames of a camera behind a simulated chip of a run."""
    calm_threads()
    from hybridonn.compensation.acquisition.camera_view import CameraView
    from hybridonn.compensation.acquisition.simulated_camera import SimulatedCamera
    from hybridonn.pipeline.simulated_captures import Rehearsal, simulate_captures

    view = CameraView(
        pixels_per_feature, camera_pixel_um * 1e-6, shift_pixels, rotation_degrees, scale
    )
    camera = SimulatedCamera(bit_depth, alignment.value, exposure, seed=seed)
    wanted = Rehearsal(view, camera, preset, chip, fraction, test_images, apart, suffix, psfs)
    folder = out or run / "captured"
    with show_bars() as progress:
        found = simulate_captures(run, folder, wanted, data_root, progress)
    taken = {"frames": "frames", "saturated": "saturated", "psfs": "PSFs"}
    say(", ".join(f"{found[key]:,} {what}" for key, what in taken.items() if found.get(key)))
    mend = found.get("saturated", 0) > 0
    say(_say_import(run, folder, wanted, mend, data_root))


def _say_import(
    run: Path, folder: Path, wanted: Rehearsal, mend: bool, data_root: Path | None
) -> str:
    """The command that imports the captures, as it can be pasted into a shell."""
    from hybridonn.compensation.acquisition.capture_dataset import is_taken

    words = ["hybridonn", "captures", "import", str(run)]
    if wanted.psfs:
        words += ["--psfs", str(folder / "psfs.npz")]
    else:
        view, camera = wanted.view, wanted.camera
        words += [str(folder), "--camera-pixel-um", f"{view.pixel_m * 1e6:.12g}"]
        words += ["--pixels-per-feature", f"{view.pixels_per_feature:.12g}"]
        words += ["--bit-depth", str(camera.bit_depth), "--alignment", camera.alignment]
    words += ["--skip-bad"] if mend else []
    if is_taken(run / "captures"):
        words += ["--out", str(folder.with_name(f"{folder.name}-imported"))]
    words += [] if data_root is None else ["--data-root", str(data_root)]
    return join(words)


def _draw(imported: ImportResult, folder: Path) -> None:
    """Draw the figures of an import into the folder of its captures."""
    from hybridonn.reports.figures.registration import draw_psfs, draw_registration
    from hybridonn.reports.figures.save import save_figure

    captures = imported.captures
    figure = draw_registration(imported.simulated, imported.measured, captures.notes["sub_optics"])
    save_figure(figure, folder / "registration")
    if captures.psfs is not None and imported.designed_psfs is not None:
        save_figure(draw_psfs(imported.designed_psfs, captures.psfs), folder / "psfs")


def _print_notes(notes: dict[str, Any]) -> None:
    from rich.table import Table

    from hybridonn.data.dataset import PARTS

    counts = ", ".join(f"{number:,} {PARTS[part]}" for part, number in notes["images"].items())
    counts = f"{counts} images" if counts else ""
    table = Table(title=f"captures: {counts or 'point spread functions only'}", title_style="bold")
    table.add_column("sub-optic")
    for column in ("correlation", "gain", "shift y", "shift x", "rotation", "scale"):
        table.add_column(column, justify="right")
    for one in notes["sub_optics"]:
        table.add_row(
            one["sub_optic"],
            f"{one['correlation']:.3f}",
            f"{one['gain']:.3f}",
            f"{one['shift_y_pixels']:+z.2f} px",
            f"{one['shift_x_pixels']:+z.2f} px",
            f"{one['rotation_degrees']:+z.2f}°",
            f"{one['scale']:.4f}",
        )
    show_table(table)
    lines = [f"the camera is {notes['mounting']}"]
    lines += [notes["pairing"]] if notes.get("pairing") else []
    if notes["mosaic"] is not None:
        lines.append(_say_mosaic(notes["mosaic"]))
    lines += [notes["camera"]] if "camera" in notes else []
    partly = [one for one in notes["sub_optics"] if one["measured_share"] < 1]
    if partly:
        least = min(partly, key=lambda one: one["measured_share"])
        lines.append(
            f"{len(partly)} of {len(notes['sub_optics'])} sub-optics were captured in part (least: "
            f"{least['sub_optic']}, {least['measured_share']:.1%}); no fit looks at the rest"
        )
    if notes["skipped_images"]:
        lines.append(f"{notes['skipped_images']} images were left out")
    if notes.get("frames_not_in_manifest"):
        lines.append(f"{notes['frames_not_in_manifest']} captures are not in the manifest")
    if not notes["images"]:
        lines.append("compensation needs captures of images too: hybridonn captures template")
    elif lacking := [part for part in ("student_train", "test") if part not in notes["images"]]:
        lacking = [f"the {PARTS[part]} set" for part in lacking]
        lines.append(f"compensation needs captures of images of {' and '.join(lacking)} too")
    for line in lines:
        say(line)


def _say_mosaic(found: dict[str, float]) -> str:
    return (
        f"the whole frame is shifted by {found['shift_y_pixels']:+z.2f} and "
        f"{found['shift_x_pixels']:+z.2f} camera pixels down and right, turned by "
        f"{found['rotation_degrees']:+z.3f} degrees and scaled by {found['scale']:.4f}; what each "
        "sub-optic is off comes on top"
    )
