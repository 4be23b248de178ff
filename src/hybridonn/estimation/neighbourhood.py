"""What the electronics of a segmentation design see around a pixel: its optics' images there.

The unit is a cell, one pixel of the finest sensor. Of each branch of the optics a cell sees
the rectified images in windows around it, at the branch's own resolution; coarser
images are repeated, not interpolated.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from hybridonn import spec
from hybridonn.core.errors import SpecError
from hybridonn.core.random import seeded
from hybridonn.networks.backends.build import find_built_in
from hybridonn.networks.backends.neighbourhood import Neighbourhood, Window
from hybridonn.networks.backends.table import BACKENDS
from hybridonn.networks.frontends.frontend import Frontend
from hybridonn.networks.student import build_frontend

BATCH = 8  # images whose images are held at once


@dataclass(frozen=True)
class Sight:
    """The design's optics as drawn, and what is seen of their images.

    Attributes:
        frontend: The optics.
        binnings: Scene pixels in a pixel of each branch, from fine to coarse.
        windows: Window of each branch.
        shares: Share of each branch in the kernel; they sum to 1.
        hidden: Number of layers with a ReLU behind what is seen.
        scales: Mean and standard deviation of each kernel's image, one pair of (K, 1, 1)
            a branch: what batch normalisation takes out.
        two_sided: Whether both signs of an image are kept.
    """

    frontend: Frontend
    binnings: tuple[int, ...]
    windows: tuple[tuple[Window, ...], ...]
    shares: tuple[float, ...]
    hidden: int
    scales: tuple[tuple[Tensor, Tensor], ...]
    two_sided: bool


def draw_sight(student: spec.Student, scenes: Tensor, *seeds: int) -> Sight:
    """Draw the optical kernels as training draws them.

    Args:
        student: A design that answers each pixel.
        scenes: Training images, (N, C, H, W), in [0, 1]: they scale the images.
        seeds: What the draw depends on.

    Raises:
        SpecError: What the backend sees around a pixel is not known.
    """
    seen = _find_neighbourhood(student)
    _, colours, height, width = scenes.shape
    with seeded("optical kernels of masks", *seeds):
        frontend = build_frontend(student, (colours, height, width))
    frontend.requires_grad_(False).to(scenes)
    return Sight(
        frontend,
        tuple(branch.binning for branch in student.branches) or (student.stride,),
        seen.windows,
        seen.shares,
        seen.hidden,
        _measure_scales(frontend, scenes, student.normalisation == "batch"),
        student.rectification == "two_sided",
    )


def _find_neighbourhood(student: spec.Student) -> Neighbourhood:
    """What the backend sees around a pixel.

    Raises:
        SpecError: It is not known.
    """
    built_in = student.backend in BACKENDS
    found = find_built_in(student.backend).neighbourhood(student) if built_in else None
    if found is None:
        raise SpecError(
            f"student.backend is {student.backend!r}, which tells of no neighbourhood of a pixel, "
            "so there is no estimate of it; train the design instead"
        )
    return found


def look(sight: Sight, scene: Tensor) -> tuple[Tensor, ...]:
    """What every pixel of each branch sees, (B, D, H / b, W / b) a branch.

    Scaled so that the sum over branches of the products of two cells is their covariance.

    Args:
        sight: The optics.
        scene: (B, C, H, W).
    """
    pictures = sight.frontend(scene)
    parts = zip(pictures, sight.scales, sight.windows, sight.shares, strict=True)
    found = []
    for picture, (mean, deviation), windows, share in parts:
        standard = (picture - mean) / deviation
        kept = [standard.relu(), (-standard).relu()] if sight.two_sided else [standard.relu()]
        rectified = torch.cat(kept, 1)
        seen = torch.cat([_gather(rectified, window) for window in windows], 1)
        found.append(seen.mul_(math.sqrt(share / seen.shape[1])))
    return tuple(found)


def look_at_cells(sight: Sight, scenes: Tensor, cells: Tensor) -> Tensor:
    """What some cells see.

    Args:
        sight: The optics.
        scenes: (N, C, H, W).
        cells: Numbers of the cells, row by row, (N, P).

    Returns:
        (N, P, D), all branches side by side.
    """
    width = scenes.shape[-1] // sight.binnings[0]
    rows, columns = cells // width, cells % width
    found = []
    for start in range(0, len(scenes), BATCH):
        part = slice(start, start + BATCH)
        images = torch.arange(len(scenes[part]), device=scenes.device)[:, None]
        seen = [
            branch[images, :, _at(sight, index, rows[part]), _at(sight, index, columns[part])]
            for index, branch in enumerate(look(sight, scenes[part]))
        ]
        found.append(torch.cat(seen, -1))
    return torch.cat(found)


def covary(
    sight: Sight, scene: Tensor, landmarks: Tensor, step: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Covariances of the cells of each image with landmarks.

    Products are taken at each branch's own resolution and repeated after, which costs a
    coarse branch its number of pixels and not that of the cells.

    Args:
        sight: The optics.
        scene: (B, C, H, W).
        landmarks: What the landmarks see, (M, D).
        step: Every so manieth row and column of cells.

    Yields:
        An image's covariances (h w, M) and variances (h w,).
    """
    branches = look(sight, scene)
    height, width = branches[0].shape[-2:]
    rows, columns = (torch.arange(0, side, step, device=scene.device) for side in (height, width))
    split = landmarks.split([branch.shape[1] for branch in branches], 1)
    for image in range(len(scene)):
        covariance = torch.zeros(len(rows), len(columns), len(landmarks)).to(scene)
        variance = torch.zeros(len(rows), len(columns)).to(scene)
        for index, branch in enumerate(branches):
            across, inner = torch.unique(_at(sight, index, rows), return_inverse=True)
            along, outer = torch.unique(_at(sight, index, columns), return_inverse=True)
            seen = branch[image, :, across][:, :, along].permute(1, 2, 0)
            covariance += (seen @ split[index].T)[inner][:, outer]
            variance += seen.square().sum(-1)[inner][:, outer]
        yield covariance.flatten(0, 1), variance.flatten()


def _at(sight: Sight, branch: int, cells: Tensor) -> Tensor:
    """Rows or columns of a branch's pixels from those of the cells."""
    return cells * sight.binnings[0] // sight.binnings[branch]


def _gather(pictures: Tensor, window: Window) -> Tensor:
    """The taps of a window around every pixel, (B, K, h, w) to (B, K taps, h, w)."""
    shape, dilation = pictures.shape, window.dilation
    if dilation > 1:
        pictures = F.avg_pool2d(pictures, 2 * dilation - 1, 1, dilation - 1)
    padding = window.side // 2 * dilation
    taps = F.unfold(pictures, window.side, dilation=dilation, padding=padding)
    return taps.view(shape[0], -1, *shape[2:])


def _measure_scales(
    frontend: Frontend, scenes: Tensor, normalised: bool
) -> tuple[tuple[Tensor, Tensor], ...]:
    some = frontend(scenes[:BATCH])
    if not normalised:
        return tuple((one.new_zeros(1, 1, 1), one.new_ones(1, 1, 1)) for one in some)
    sums = [torch.zeros(2, one.shape[1], dtype=torch.float64, device=one.device) for one in some]
    for part in scenes.split(BATCH):
        for total, one in zip(sums, frontend(part), strict=True):
            total += torch.stack(
                [one.double().mean((2, 3)), one.double().square().mean((2, 3))]
            ).sum(1)
    scales = []
    for total in sums:
        mean, square = total / len(scenes)
        deviation = (square - mean.square()).clamp_min(0).sqrt().clamp_min(1e-6)
        scales.append(tuple(one[:, None, None].to(scenes) for one in (mean, deviation)))
    return tuple(scales)
