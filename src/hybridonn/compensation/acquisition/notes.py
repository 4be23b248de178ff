"""The notes of a capture set: where it comes from, and what was found of each sub-optic."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hybridonn.compensation.acquisition.capture_dataset import split_image_id
from hybridonn.compensation.acquisition.captured_design import CapturedDesign, name_sub_optic
from hybridonn.compensation.acquisition.geometry import Geometry
from hybridonn.compensation.acquisition.manifest import SHOWN
from hybridonn.compensation.acquisition.matching import Matching
from hybridonn.compensation.acquisition.placement import describe_orientation
from hybridonn.compensation.acquisition.registration import Registration
from hybridonn.compensation.acquisition.sources import FrameSource, Source


def describe(
    where: Path,
    design: CapturedDesign,
    geometry: Geometry,
    matching: Matching,
    image_ids: list[str],
    level: float = 1.0,
) -> dict[str, Any]:
    """The notes of a capture set: where it comes from, and what was found of each sub-optic.

    Args:
        where: The source that was imported.
        design: The design of the run.
        geometry: Places where the sub-optics were found.
        matching: Measured against simulated.
        image_ids: Ids of the images that were captured.
        level: Factor of all captures.
    """
    moved = np.flatnonzero(geometry.order != np.arange(len(geometry.order)))
    return {
        "source": where.name,
        **design.origin,
        "images": Counter(split_image_id(one)[0] for one in image_ids),
        "skipped_images": 0,
        "mounting": describe_orientation(geometry.orientation),
        "mosaic": None if geometry.mosaic is None else _describe_movement(geometry.mosaic),
        "paired_otherwise": [
            f"{name_sub_optic(int(n))} was found at {name_sub_optic(int(geometry.order[n]))}"
            for n in moved
        ],
        "pairing": say_pairing(geometry.order, design.branches),
        "median_correlation": float(np.median(matching.correlations)),
        "light_to_simulation": level,
        "sub_optics": [
            {
                "sub_optic": name_sub_optic(number),
                **_describe_movement(found),
                "measured_share": float(geometry.covered[number].mean()),
                "gain": float(matching.gains[number]) / level,
                "correlation": float(matching.correlations[number]),
            }
            for number, found in enumerate(geometry.registrations)
        ],
    }


def say_pairing(order: np.ndarray, branches: Sequence[int] = ()) -> str:
    """Which sub-optics were found at the places of others, as a sentence; empty: none were.

    Args:
        order: Position in a frame of each sub-optic, (2 K,).
        branches: Number of signed kernels of each branch; empty: there is one.
    """
    moved = np.flatnonzero(order != np.arange(len(order))).tolist()
    if not moved:
        return ""
    named = [f"{name_sub_optic(n)} at {name_sub_optic(int(order[n]))}" for n in moved[:SHOWN]]
    more = f" and {len(moved) - SHOWN} more" if len(moved) > SHOWN else ""
    own = np.repeat(np.arange(len(branches)), 2 * np.array(branches, int))
    pairs = [(int(own[n]), int(own[order[n]])) for n in moved] if len(branches) > 1 else []
    crossed = Counter(pair for pair in pairs if pair[0] != pair[1])
    across = "".join(f"; {n} of branch {a} lay in branch {b}" for (a, b), n in crossed.items())
    return (
        f"{len(moved)} of {len(order)} sub-optics were found at the places of others: "
        f"{', '.join(named)}{more}{across}; the import has put them right: mend kernel and sign in "
        "the manifest, or the order of the kernels in the arrays"
    )


def _describe_movement(found: Registration) -> dict[str, float]:
    """Movement and its standard deviations; what is below twice its own was not applied."""
    y, x, angle, scale = found.uncertainty
    return {
        "shift_y_pixels": found.shift_pixels[0],
        "shift_x_pixels": found.shift_pixels[1],
        "rotation_degrees": float(np.degrees(found.rotation_rad)),
        "scale": found.scale,
        "shift_y_uncertainty_pixels": y,
        "shift_x_uncertainty_pixels": x,
        "rotation_uncertainty_degrees": float(np.degrees(angle)),
        "scale_uncertainty": scale,
    }


def describe_source(source: Source, skipped: int) -> dict[str, Any]:
    """What frames say more: images left out, the camera's levels, what was corrected."""
    said = {"skipped_images": skipped, "camera": source.levels.describe()}
    if not isinstance(source, FrameSource):
        return said
    return said | {
        "hot_or_dead_pixels": source.corrections.bad_pixels,
        "dark_exposures_s": sorted(source.corrections.darks),
        "flat": source.corrections.flat is not None,
        "frames_not_in_manifest": source.manifest.unlisted,
    }
