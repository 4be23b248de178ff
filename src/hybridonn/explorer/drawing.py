"""The layout of a metasurface as SVG, to scale."""

from __future__ import annotations

from html import escape

from hybridonn.explorer.chart import round_step
from hybridonn.optics.layout.sites import Layout, Site
from hybridonn.reports.figures.style import FAINT, INK, NEGATIVE, POSITIVE

MOST_NUMBERED = 64  # kernels whose numbers are written on their sites


def draw_layout(layout: Layout) -> str:
    """Draw a layout: the metasurface, its sites, their signs, and a bar of a round length.

    Args:
        layout: The metasurface with its sites.

    Returns:
        The text of an SVG element whose unit is the millimetre.
    """
    width, height, side = (1e3 * one for one in (layout.width_m, layout.height_m, layout.site_m))
    unit = max(width, height) / 100
    edge = 3 * unit
    box = f"{-width / 2 - edge:.5g} {-height / 2 - edge:.5g}"
    size = f"{width + 2 * edge:.5g} {height + 14 * unit:.5g}"
    empty = _outline([site for site in layout.sites if site.sign == 0], side)
    thin = f'stroke="{FAINT}" stroke-width="{min(0.3 * unit, side / 12):.4g}"'
    parts = [
        f'<rect x="{-width / 2:.5g}" y="{-height / 2:.5g}" width="{width:.5g}" '
        f'height="{height:.5g}" fill="#f3f4f1" stroke="{INK}" stroke-width="{0.5 * unit:.4g}"/>',
        f'<path d="{empty}" fill="#fff" {thin}/>',
    ]
    for sign, colour in ((1, POSITIVE), (-1, NEGATIVE)):
        sites = [site for site in layout.sites if site.sign == sign]
        parts.append(f'<path d="{_outline(sites, side)}" fill="{colour}"/>')
    if layout.kernels <= MOST_NUMBERED:
        parts += [_number(site, side) for site in layout.sites if site.sign]
    parts.append(_draw_bar(width, height, unit))
    return (
        f'<svg viewBox="{box} {size}" role="img" aria-label="{escape(describe_layout(layout))}" '
        f'xmlns="http://www.w3.org/2000/svg" class="layout">{"".join(parts)}</svg>'
    )


def describe_layout(layout: Layout) -> str:
    """What a drawing of a layout shows, in words."""
    return (
        f"Metasurface of {1e3 * layout.width_m:.6g} × {1e3 * layout.height_m:.6g} mm with "
        f"{layout.rows} × {layout.columns} sites; {layout.kernels} of {layout.usable_kernels} "
        f"signed kernels that fit, fill factor {100 * layout.fill_factor:.0f} %"
    )


def _outline(sites: list[Site], side: float) -> str:
    """The squares of some sites as one path, in millimetres; y goes down in SVG."""
    square = f"h{side:.5g}v{side:.5g}h{-side:.5g}z"
    return "".join(
        f"M{1e3 * site.x_m - side / 2:.5g} {-1e3 * site.y_m - side / 2:.5g}{square}"
        for site in sites
    )


def _number(site: Site, side: float) -> str:
    text = f"{site.kernel}{'+' if site.sign > 0 else '−'}"
    size = min(0.5 * side, 1.1 * side / len(text))
    place = f'x="{1e3 * site.x_m:.5g}" y="{-1e3 * site.y_m + 0.35 * size:.5g}"'
    return (
        f'<text {place} font-size="{size:.4g}" fill="#fff" font-weight="600" '
        f'text-anchor="middle">{text}</text>'
    )


def _draw_bar(width: float, height: float, unit: float) -> str:
    """A bar of a round length below the metasurface, and its sizes in words."""
    length = round_step(width / 4)
    right, y = width / 2, height / 2 + 5 * unit
    text = f"{length:g} mm" if length >= 0.1 else f"{1e3 * length:g} µm"
    size = 4 * unit
    return (
        f'<rect x="{right - length:.5g}" y="{y:.5g}" width="{length:.5g}" '
        f'height="{0.8 * unit:.4g}" fill="{INK}"/>'
        f'<text x="{right:.5g}" y="{y + 4.6 * unit:.5g}" font-size="{size:.4g}" fill="{INK}" '
        f'text-anchor="end">{text}</text>'
        f'<text x="{-width / 2:.5g}" y="{y + 4.6 * unit:.5g}" font-size="{size:.4g}" '
        f'fill="{INK}">{width:.6g} × {height:.6g} mm</text>'
    )
