"""How long the import of captures takes.

Run ``python benchmarks/captures.py [CAPTURES] [SIDE] [KERNELS]``; set OMP_NUM_THREADS first.
Frames are mosaics of all sub-optics, two camera pixels a pixel of a feature map, 12 bits in TIFF.
"""

import sys
import tempfile
from pathlib import Path
from time import perf_counter, process_time

import torch
from torch.nn import functional as F

from hybridonn.compensation.acquisition.camera_view import CameraView
from hybridonn.compensation.acquisition.captured_design import CapturedDesign
from hybridonn.compensation.acquisition.importing import import_captures
from hybridonn.compensation.acquisition.manifest import read_manifest
from hybridonn.compensation.acquisition.placement import Camera
from hybridonn.compensation.acquisition.simulated_camera import SimulatedCamera
from hybridonn.compensation.acquisition.simulated_frames import Bench, take_frames
from hybridonn.compensation.acquisition.sources import FrameSource
from hybridonn.compensation.acquisition.template import write_template
from hybridonn.core.progress import Silent
from hybridonn.data.dataset import Dataset, ImageSet
from hybridonn.networks.frontends.ideal_convolution import IdealConvolution
from hybridonn.pipeline.from_spec import lay_out_kernels
from hybridonn.spec import Optics
from hybridonn.tasks.classification import Classification

PIXEL_UM, CLASSES = 5.86, 10


def main(captures: int = 1000, side: int = 224, kernels: int = 1) -> None:
    design, optics = make_design(captures, side, kernels)
    view = CameraView(2.0, PIXEL_UM * 1e-6, (1.3, -0.8), 0.7, 1.01)
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home) / "captured"
        write_template(design, folder, fraction=0.5, test_images=captures // 2, exposure_s=0.01)
        bench = Bench(optics.light, design.layout, view, SimulatedCamera(), False)
        began = perf_counter()
        frames, _ = take_frames(folder, bench, Silent())
        print(f"{frames} frames simulated in {perf_counter() - began:.1f} s")
        began, busy = perf_counter(), process_time()
        source = FrameSource(read_manifest(folder / "manifest.csv", kernels))
        found = import_captures(source, design, Camera(2.0, PIXEL_UM * 1e-6))
        seconds, busy = perf_counter() - began, process_time() - busy
    print(
        f"{len(found.captures)} captures of {side} x {side} behind {kernels} kernels imported in "
        f"{seconds:.1f} s ({busy:.1f} s of processor time); "
        f"quality {found.captures.quality.min():.4f}"
    )


def make_design(captures: int, side: int, kernels: int) -> tuple[CapturedDesign, IdealConvolution]:
    """Images of smooth noise, and kernels as they are drawn."""
    generator = torch.Generator().manual_seed(0)
    parts = {}
    for name in ("student_train", "validation", "test"):
        coarse = torch.rand(captures, 1, 16, 16, generator=generator)
        images = F.interpolate(coarse, (side, side), mode="bilinear").mul(255).to(torch.uint8)
        parts[name] = ImageSet(images, torch.arange(captures) % CLASSES)
    dataset = Dataset(
        "noise",
        tuple("abcdefghij"),
        parts["student_train"],
        checksum="noise",
        task=Classification(),
        **parts,
    )
    torch.manual_seed(0)
    optics = IdealConvolution(kernels, 7, 1)
    site_mm = 1.2 * 2 * side * PIXEL_UM * 1e-3
    stated = Optics(
        metasurface_width_mm=4 * kernels * site_mm + 1,
        metasurface_height_mm=site_mm + 1,
        kernel_site_mm=site_mm,
        wafer_diameter_mm=450,
    )
    layout = lay_out_kernels(stated, kernels)
    made = CapturedDesign(
        optics.signed_kernels().detach(), 1, layout, dataset, "noise", optics=optics
    )
    return made, optics


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
