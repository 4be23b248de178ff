"""What a backend sees around a pixel, as the estimate of a design that answers pixels takes it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Window:
    """Taps around a cell, a pixel of the finest sensor.

    Attributes:
        side: Taps along one side, odd.
        dilation: Pixels of the branch from tap to tap; each tap is the mean of
            2 dilation - 1 pixels squared, as a concentrated block gathers them.
    """

    side: int
    dilation: int = 1


@dataclass(frozen=True)
class Neighbourhood:
    """What a backend sees of the rectified images of its branches.

    Attributes:
        windows: Windows of each branch, as wide as the layers at that resolution see.
        shares: Share of each branch in the channels where they are joined; they sum to 1.
        hidden: Number of layers with a ReLU behind them.
    """

    windows: tuple[tuple[Window, ...], ...]
    shares: tuple[float, ...]
    hidden: int
