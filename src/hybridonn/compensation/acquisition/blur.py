"""The blur of measured captures, put on the simulated ones before both are registered.

What is cut between the pixels of a camera, or is out of focus, is blurred. A simulated capture that
is read between its own pixels is blurred as well, so that least squares would take the blur of fine
detail for a movement: on images of noise the scale was wrong by three standard deviations.

The law: ``measured = (gain + a Dy + b Dx + c Dy Dx) simulated + offset``, with D the second
difference along an axis: a symmetric kernel of 3 x 3 pixels, which moves nothing. Its coefficients
follow by linear least squares where both captures lie on one another.
"""

from __future__ import annotations

import numpy as np


def blur_alike(simulated: np.ndarray, measured: np.ndarray, covered: np.ndarray) -> np.ndarray:
    """Simulated captures as sharp as the measured ones, of their own brightness, (N, H, W).

    Args:
        simulated: (N, H, W).
        measured: The same images, cut where they were found, (N, H, W).
        covered: Pixels at which something was measured, (H, W) bool.
    """
    down, right = _difference(simulated, 1), _difference(simulated, 2)
    terms = (simulated, down, right, _difference(down, 2))
    columns = [term[:, covered].ravel() for term in terms]
    columns = np.stack([*columns, np.ones(columns[0].size)]).astype(np.float64)
    seen = measured[:, covered].ravel().astype(np.float64)
    gain, *blur, _ = np.linalg.lstsq(columns @ columns.T, columns @ seen, rcond=None)[0]
    if gain <= 0:  # they have nothing in common
        return simulated
    shares = zip(blur, terms[1:], strict=True)
    return simulated + sum(share / gain * term for share, term in shares)


def _difference(stack: np.ndarray, axis: int) -> np.ndarray:
    """The second difference along an axis; at the rim the capture goes on as it ends."""
    widths = [(1, 1) if one == axis else (0, 0) for one in range(stack.ndim)]
    return np.diff(np.pad(stack, widths, mode="edge"), 2, axis)
