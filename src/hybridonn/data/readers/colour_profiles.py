"""Colour profiles (ICC.1:2022) that image files carry: their colours as sRGB."""

from __future__ import annotations

import io
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from hybridonn.core.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

_MODES = {"GRAY": "L", "RGB": "RGB", "CMYK": "CMYK"}
SAME_WITHIN = 2  # of 255: profiles of sRGB by several makers differ by as much


def to_srgb(image: Image) -> Image:
    """The image in sRGB, by the profile that it carries; without one, as it is.

    Args:
        image: 8 bits a channel, without transparency; black and white are the same in any profile.

    Returns:
        The same image where its profile is sRGB's, else one in red, green and blue.

    Raises:
        DataError: The profile cannot be read, or is for other colours than the image's.
    """
    profile = image.info.get("icc_profile")
    if not profile or image.mode == "1":
        return image
    mode, transform = find_transform(profile)
    if mode == "RGB" and image.mode != "CMYK":
        plain = image.convert("RGB")
    elif image.mode == mode:
        plain = image
    else:
        raise DataError(
            f"its colour profile is for {mode} and its values are {image.mode}; remove the "
            "profile, or save the image in the profile's colours"
        )
    return image if transform is None else transform.apply(plain)


@lru_cache(maxsize=16)
def find_transform(profile: bytes) -> tuple[str, Any]:
    """Pillow's mode that a profile is for, and the transform to sRGB; None: it is sRGB's.

    Raises:
        DataError: The profile cannot be read.
    """
    from PIL import ImageCms

    try:
        source: Any = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        mode = _MODES[source.profile.xcolor_space.strip()]
        target = ImageCms.createProfile("sRGB")
        transform = ImageCms.buildTransform(source, target, mode, "RGB")
    except (ImageCms.PyCMSError, OSError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"its colour profile cannot be used ({error}); remove it") from None
    return mode, None if _is_srgb(transform, mode) else transform


def _is_srgb(transform: Any, mode: str) -> bool:
    from PIL import Image

    if mode == "CMYK":
        return False
    steps = np.linspace(0, 255, 18).round().astype(np.uint8)
    grid = np.stack(np.meshgrid(steps, steps, steps), -1).reshape(len(steps), -1, 3)
    probe = np.repeat(grid[..., :1], 3, -1) if mode == "L" else grid
    image = Image.fromarray(np.ascontiguousarray(probe[..., 0] if mode == "L" else probe))
    found = np.asarray(transform.apply(image)).astype(int)
    return bool(np.abs(found - probe).max() <= SAME_WITHIN)
