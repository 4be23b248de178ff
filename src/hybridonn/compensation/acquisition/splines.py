"""Captures read between their pixels, and their slopes there, all captures of a stack at once.

Cubic B-splines (Unser 1999, IEEE Signal Process. Mag. 16 (6), 22, equations 2 and 8): a value is
the sum of the 16 coefficients around it, weighed by its place alone. So one sparse product reads a
whole stack, and the derivatives of the weights give the slopes.
"""

from __future__ import annotations

import numpy as np


class Splines:
    """Captures that can be read between their pixels: cubic splines, mirrored at the border.

    Args:
        pictures: (N, H, W).
    """

    def __init__(self, pictures: np.ndarray) -> None:
        from scipy.ndimage import spline_filter1d

        self.shape = pictures.shape[1:]
        values = pictures.astype(np.float64)
        for axis in (1, 2):
            values = spline_filter1d(values, 3, axis, mode="mirror")
        # By pixel, so that one product reads all captures at once.
        self.coefficients = np.ascontiguousarray(values.reshape(len(values), -1).T)
        grid = np.indices(self.shape).reshape(2, -1).astype(np.float64)
        self.centre = (np.array(self.shape)[:, None] - 1) / 2
        self.grid = grid - self.centre

    def read(self, places: np.ndarray) -> np.ndarray:
        """Values at (2, P) places, (N, P)."""
        (row, down), (column, right) = self._split(places)
        return self._weigh(row, cubic(down), column, cubic(right))

    def slope(self, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Derivatives down and to the right at (2, P) places, (N, P) each."""
        (row, down), (column, right) = self._split(places)
        return (
            self._weigh(row, cubic_slope(down), column, cubic(right)),
            self._weigh(row, cubic(down), column, cubic_slope(right)),
        )

    def _split(self, places: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        """Rows and columns, (4, P), of the coefficients around places, and what is left, (P,)."""
        found = []
        for along, side in zip(places, self.shape, strict=True):
            low = np.floor(along)
            around = low.astype(np.int64) + np.arange(-1, 3)[:, None]
            found.append((reflect(around, side), along - low))
        return found

    def _weigh(
        self, row: np.ndarray, down: np.ndarray, column: np.ndarray, right: np.ndarray
    ) -> np.ndarray:
        """Sums of coefficients by weights of their rows and columns, (N, P)."""
        from scipy.sparse import csr_array

        number = row.shape[1]
        weights = (down[:, None] * right[None]).reshape(16, number).T.ravel()
        pixels = (row[:, None] * self.shape[1] + column[None]).reshape(16, number).T.ravel()
        starts = np.arange(0, 16 * number + 1, 16)
        weighed = csr_array((weights, pixels, starts), shape=(number, len(self.coefficients)))
        return np.ascontiguousarray((weighed @ self.coefficients).T)

    def sources(self, parameters: np.ndarray) -> np.ndarray:
        """Where in the simulated capture each pixel of the measured one comes from, (2, P)."""
        shift, angle, scale = parameters[:2, None], parameters[2], parameters[3]
        return turn(-angle) @ (self.grid - shift) / scale + self.centre

    def inside(self, places: np.ndarray) -> np.ndarray:
        """Which places lie in the capture, (P,)."""
        last = np.array(self.shape)[:, None] - 1
        return np.all((places >= 0) & (places <= last), axis=0)

    def moved(self, parameters: np.ndarray) -> np.ndarray:
        """The moved captures, (N, H, W)."""
        return self.read(self.sources(parameters)).reshape(-1, *self.shape)


def turn(angle_rad: float) -> np.ndarray:
    """The matrix on (y, x) that turns x towards y, (2, 2)."""
    cosine, sine = np.cos(angle_rad), np.sin(angle_rad)
    return np.array([[cosine, sine], [-sine, cosine]])


def cubic(inner: np.ndarray) -> np.ndarray:
    """Weights of the four coefficients of a cubic spline around a place, (4, P).

    Args:
        inner: From the second coefficient to the place, 0 to 1, (P,).
    """
    t, u = inner, 1 - inner
    return np.stack([u**3, 4 - 3 * t * t * (2 - t), 4 - 3 * u * u * (2 - u), t**3]) / 6


def cubic_slope(inner: np.ndarray) -> np.ndarray:
    """Derivatives of :func:`cubic`, (4, P)."""
    t, u = inner, 1 - inner
    return np.stack([-u * u, t * (3 * t - 4), u * (4 - 3 * u), t * t]) / 2


def reflect(positions: np.ndarray, side: int) -> np.ndarray:
    """Positions beyond the border, mirrored at the middles of the outermost pixels."""
    period = max(1, 2 * (side - 1))
    positions = np.abs(positions) % period
    return np.minimum(positions, period - positions)
