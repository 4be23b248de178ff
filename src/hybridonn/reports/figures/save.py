"""Figures as files."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from hybridonn.core.files import write_bytes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 150


def save_figure(figure: Figure, path: Path) -> tuple[Path, Path]:
    """Write a figure as PNG and as SVG, each at one stroke and the same bytes every time.

    Args:
        figure: What to write.
        path: Where, without a suffix; its folder is made.

    Returns:
        The PNG and the SVG.

    Raises:
        ArtefactError: A file cannot be written.
    """
    png, svg = path.parent / f"{path.name}.png", path.parent / f"{path.name}.svg"
    write_bytes(png, render_figure(figure, "png", {"Software": None}))
    write_bytes(svg, render_figure(figure, "svg", {"Date": None, "Creator": None}))
    return png, svg


def render_figure(figure: Figure, form: str, metadata: dict[str, None]) -> bytes:
    """The bytes of a figure, without date or chance in them."""
    from matplotlib import rc_context

    buffer = BytesIO()
    # Text as outlines: it looks the same where the font is not installed.
    with rc_context({"svg.hashsalt": "hybridonn", "svg.fonttype": "path"}):
        figure.savefig(buffer, format=form, dpi=DPI, metadata=metadata)
    return buffer.getvalue()
