"""How far feature maps without point spread functions go: each against what can explain it.

A sub-optic that images as it should convolves the scene with one kernel. Where that kernel is not
published, the best one is fitted to the upper half of the map and tried on the lower, and the
other way round, without the border, which tells of the darkness around the scene. What a kernel of
a few dozen numbers predicts of pixels that it has not seen is convolution; what it does not is
noise, distortion or another scene.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hybridonn.compensation.acquisition.matching import compare
from hybridonn.core.array_reading import ArrayFileError, read_archive, read_headers
from hybridonn.core.errors import DataError


@dataclass(frozen=True)
class MapAgreement:
    """Agreement of feature maps with convolutions of the scene that was displayed.

    Attributes:
        convolution: Correlation of each map with its best convolution, on pixels that the kernel
            was not fitted to, (M,).
        identity: Correlation of each map with the scene itself, (M,): what a plain lens explains.
        simulation: Correlation of each map with its own simulation, (M,); None: there is none.
        kernels: The fitted kernels, (M, size, size): what the scene is correlated with.

    A correlation with what is constant in half of the pixels is NaN.
    """

    convolution: np.ndarray
    identity: np.ndarray
    simulation: np.ndarray | None
    kernels: np.ndarray


@dataclass(frozen=True)
class FeatureMaps:
    """Feature maps and the scenes that they are of.

    Attributes:
        scenes: The displayed images, (N, H, W).
        maps: One map a sub-optic of each, (N, M, H, W).
        simulated: Their simulations, (N, M, H, W); None: there are none.
        labels: What the maps are called, M texts.
    """

    scenes: np.ndarray
    maps: np.ndarray
    simulated: np.ndarray | None
    labels: list[str]


def measure_agreement(
    scenes: np.ndarray, maps: np.ndarray, size: int, simulated: np.ndarray | None = None
) -> MapAgreement:
    """Compare feature maps with their simulations and with the best convolutions of the scenes.

    Args:
        scenes: The displayed images, (N, H, W).
        maps: One map a sub-optic of each, (N, M, H, W).
        size: Side of the kernels that are fitted, odd.
        simulated: (N, M, H, W); None: no simulation is known.

    Raises:
        DataError: The shapes do not belong together, values are not finite, half of the pixels
            is too few for a kernel, or the images are constant there.
    """
    _check(scenes, maps, size, simulated)
    known = _list_windows(scenes, size)
    scene, measured = _list_pixels(scenes[:, None], size), _list_pixels(maps, size)
    halves = _halve(scenes.shape, size)
    if any(_is_flat(scene[half]).any() for half in halves):
        raise DataError(
            "the displayed image is constant in its upper or lower half, which tells nothing of a "
            "convolution; display one with structure everywhere, such as a photograph or noise"
        )
    predicted = np.empty_like(measured)
    for half in halves:
        fit = np.linalg.lstsq(known[half], measured[half], rcond=None)[0]
        predicted[~half] = known[~half] @ fit
    whole = np.linalg.lstsq(known, measured, rcond=None)[0]

    def correlate(wanted: np.ndarray) -> np.ndarray:
        """Means of the two halves, (M,); NaN where either is constant in one of them."""
        pairs = [(measured[half], wanted[half]) for half in halves]
        flat = np.any([_is_flat(one) for pair in pairs for one in pair], 0)
        return np.where(flat, np.nan, np.mean([_correlate(*pair) for pair in pairs], 0))

    return MapAgreement(
        correlate(predicted),
        correlate(np.broadcast_to(scene, measured.shape)),
        None if simulated is None else correlate(_list_pixels(simulated, size)),
        whole[:-1].T.reshape(-1, size, size),
    )


def read_maps(path: Path, image: str, maps: list[str], simulated: list[str]) -> FeatureMaps:
    """Scenes, feature maps and simulations of an npz file.

    Args:
        path: The npz.
        image: Name of the displayed images, (H, W) or (N, H, W).
        maps: Names of arrays of maps, each (M, H, W) or (N, M, H, W); they are put side by side.
        simulated: Names of their simulations; empty: there are none.

    Raises:
        DataError: It cannot be read or lacks an array, or arrays have other dimensions.
    """
    try:
        held = read_headers(path)
        if missing := [name for name in (image, *maps, *simulated) if name not in held]:
            raise DataError(
                f"{path} lacks the array {', '.join(missing)}; it holds {', '.join(held)}: name "
                "what it holds with --image, --maps and --simulated"
            )
        arrays = read_archive(path, [image, *maps, *simulated])
    except ArrayFileError as error:
        raise DataError(f"{path} cannot be read: it {error.found}") from None
    scenes = _lift(arrays[image], 3, f"{path}: {image}")
    parts = {name: _lift(arrays[name], 4, f"{path}: {name}") for name in (*maps, *simulated)}
    labels = [f"{name} {number}" for name in maps for number in range(parts[name].shape[1])]
    measured, expected = ([parts[name] for name in some] for some in (maps, simulated))
    if not measured:
        raise DataError(f"no array of maps is named; {path} holds {', '.join(held)}")
    wanted = _join(expected, path) if expected else None
    return FeatureMaps(scenes, _join(measured, path), wanted, labels)


def _lift(array: np.ndarray, dimensions: int, where: str) -> np.ndarray:
    """The array with one image in front where only one was displayed.

    Raises:
        DataError: It holds no numbers, or has other dimensions.
    """
    if array.dtype.kind not in "uif" or array.ndim not in (dimensions - 1, dimensions):
        raise DataError(
            f"{where} is {array.dtype} of the shape {array.shape}; allowed are numbers, "
            + ("(H, W) or (N, H, W)" if dimensions == 3 else "(M, H, W) or (N, M, H, W)")
        )
    return array[None] if array.ndim < dimensions else array


def _join(parts: list[np.ndarray], path: Path) -> np.ndarray:
    shapes = {(len(one), *one.shape[2:]) for one in parts}
    if len(shapes) > 1:
        raise DataError(
            f"{path}: the arrays of maps have the shapes "
            f"{', '.join(str(one.shape) for one in parts)}, which differ in more than the number "
            "of maps; name arrays of the same images and pixels"
        )
    return np.concatenate(parts, 1)


def _check(scenes: np.ndarray, maps: np.ndarray, size: int, simulated: np.ndarray | None) -> None:
    if (len(maps), *maps.shape[2:]) != scenes.shape:
        raise DataError(
            f"the maps have the shape {maps.shape} and the images {scenes.shape}; they must be of "
            "the same images and pixels, (N, M, H, W) and (N, H, W): resize the image to the maps"
        )
    if simulated is not None and simulated.shape != maps.shape:
        raise DataError(
            f"the simulated maps have the shape {simulated.shape}, and the measured ones "
            f"{maps.shape}; name as many simulations as maps"
        )
    for name, array in (("image", scenes), ("maps", maps), ("simulated maps", simulated)):
        if array is not None and not np.isfinite(array).all():
            raise DataError(f"the {name} hold values that are not finite numbers")
    if size < 1 or size % 2 == 0:
        raise DataError(f"the side of a kernel is {size}; it is odd, such as 7")
    height, width = (max(0, side - size + 1) for side in maps.shape[2:])
    pixels = len(maps) * (height // 2) * width
    if pixels < 2 * (size**2 + 1):
        raise DataError(
            f"half of each map has {pixels} pixels, too few for a kernel of {size} x {size}; fit "
            "a smaller one, or give more images"
        )


def _list_windows(scenes: np.ndarray, size: int) -> np.ndarray:
    """What a kernel sees where it lies within the scene, and a constant, (pixels, size^2 + 1)."""
    windows = np.lib.stride_tricks.sliding_window_view(scenes, (size, size), (1, 2))
    flat = windows.reshape(-1, size**2).astype(np.float64)
    return np.concatenate([flat, np.ones((len(flat), 1))], 1)


def _list_pixels(maps: np.ndarray, size: int) -> np.ndarray:
    """The pixels of those places, (pixels, M): at the border a map tells of the darkness around."""
    margin = size // 2
    rows, columns = (slice(margin, side - margin) for side in maps.shape[2:])
    inside = maps[:, :, rows, columns].astype(np.float64)
    return inside.transpose(0, 2, 3, 1).reshape(-1, maps.shape[1])


def _halve(shape: tuple[int, ...], size: int) -> tuple[np.ndarray, np.ndarray]:
    """Which of those pixels lie in the upper half of an image, and which in the lower."""
    count, height, width = shape[0], shape[1] - size + 1, shape[2] - size + 1
    upper = np.arange(height) < height // 2
    found = np.tile(np.repeat(upper, width), count)
    return found, ~found


def _is_flat(pixels: np.ndarray) -> np.ndarray:
    """Which columns are constant, (M,): with them there is no correlation."""
    return np.ptp(pixels, 0) == 0


def _correlate(measured: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Correlations of columns, (M,)."""
    return compare(measured.T[None, :, :, None], wanted.T[None, :, :, None]).correlations
