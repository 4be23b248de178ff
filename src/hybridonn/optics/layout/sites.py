"""Where the kernels lie on the metasurface.

A metasurface of width W and height H carries square sites of side k, one PSF
each, with at least the gap d from edge to edge. An axis of length L holds
``floor((L + d) / (k + d))`` sites, for n sites need ``n k + (n - 1) d <= L``.
(Xiang et al. 2025, arXiv 2508.08421, state the task: the largest symmetric grid;
the formula is ours.) Light is incoherent, so a PSF is not negative and a signed
kernel takes two neighbouring sites, one for its positive and one for its negative
part: ``floor(rows * columns / 2)`` signed kernels are usable.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from math import ceil, floor, hypot, inf, isfinite
from typing import Any

from hybridonn.core.errors import ArtefactError, OpticsError

# Of one pitch. Decimal lengths are not exact in binary; a pitch of 1 mm times 1e-9 is one
# picometre, less than an atom, so that nothing real hangs on it.
ROUNDING = 1e-9
# A larger grid is a slip of units: the paper's largest system has 112 sites.
MOST_SITES = 1_000_000

Pair = tuple[tuple[int, int], tuple[int, int]]  # (row, column) of the + and of the - site


@dataclass(frozen=True)
class SurfaceSize:
    """The sizes that a grid of sites has to keep to, in metres.

    Attributes:
        width_m: Width of the metasurface.
        height_m: Height of the metasurface.
        site_m: Side of one square site.
        gap_m: Least distance of neighbouring sites, edge to edge.
        wafer_diameter_m: Diameter of the wafer that holds the metasurface, corners and all.
    """

    width_m: float
    height_m: float
    site_m: float
    gap_m: float
    wafer_diameter_m: float


@dataclass(frozen=True)
class Site:
    """One square of the grid.

    Attributes:
        row: Row of the grid, counted from 0 at the top.
        column: Column of the grid, counted from 0 at the left.
        x_m: Centre, to the right of the metasurface's centre, in metres.
        y_m: Centre, above the metasurface's centre, in metres.
        kernel: Index of the signed kernel whose part lies here; None: empty.
        sign: +1 or -1, the part of the kernel; 0: empty.
    """

    row: int
    column: int
    x_m: float
    y_m: float
    kernel: int | None = None
    sign: int = 0


@dataclass(frozen=True)
class Layout:
    """A metasurface with its grid of sites; lengths in metres.

    Attributes:
        width_m: Width of the metasurface.
        height_m: Height of the metasurface.
        site_m: Side of one square site.
        gap_m: Distance of neighbouring sites, edge to edge.
        rows: Number of rows of the grid.
        columns: Number of columns of the grid.
        sites: All sites, row by row from the top left, empty ones too.
    """

    width_m: float
    height_m: float
    site_m: float
    gap_m: float
    rows: int
    columns: int
    sites: tuple[Site, ...]

    @property
    def pitch_m(self) -> float:
        """Distance of neighbouring sites, centre to centre."""
        return self.site_m + self.gap_m

    @property
    def usable_kernels(self) -> int:
        """Signed kernels that fit: two sites each."""
        return self.rows * self.columns // 2

    @property
    def kernels(self) -> int:
        """Signed kernels that are placed."""
        return sum(site.sign > 0 for site in self.sites)

    @property
    def fill_factor(self) -> float:
        """Area of the sites in use over the area of the metasurface."""
        used = sum(site.kernel is not None for site in self.sites)
        return used * self.site_m**2 / (self.width_m * self.height_m)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers for layout.json, lengths in millimetres to the picometre."""
        return {
            "metasurface_width_mm": _millimetres(self.width_m),
            "metasurface_height_mm": _millimetres(self.height_m),
            "kernel_site_mm": _millimetres(self.site_m),
            "gap_mm": _millimetres(self.gap_m),
            "rows": self.rows,
            "columns": self.columns,
            "kernels": self.kernels,
            "usable_kernels": self.usable_kernels,
            "fill_factor": self.fill_factor,
            "sites": [_site_to_dict(site) for site in self.sites],
        }

    @classmethod
    def from_dict(cls, tree: dict[str, Any]) -> Layout:
        """The layout that :meth:`to_dict` wrote.

        Raises:
            ArtefactError: A key is missing, a value is of the wrong kind, or the
                number of sites is not rows times columns.
        """
        try:
            layout = cls(
                width_m=_read_metres(tree, "metasurface_width_mm"),
                height_m=_read_metres(tree, "metasurface_height_mm"),
                site_m=_read_metres(tree, "kernel_site_mm"),
                gap_m=_read_metres(tree, "gap_mm"),
                rows=_read_whole(tree, "rows"),
                columns=_read_whole(tree, "columns"),
                sites=tuple(_site_from_dict(site) for site in tree["sites"]),
            )
        except KeyError as error:
            raise ArtefactError(f"the layout lacks the key {error}") from None
        except (TypeError, ValueError, OverflowError) as error:
            raise ArtefactError(f"the layout holds a value of the wrong kind: {error}") from None
        if len(layout.sites) != layout.rows * layout.columns:
            raise ArtefactError(
                f"the layout lists {len(layout.sites)} sites; "
                f"{layout.rows} rows of {layout.columns} are {layout.rows * layout.columns}"
            )
        return layout


def lay_out(size: SurfaceSize, kernels: int) -> Layout:
    """Place signed kernels on a metasurface, compactly around its centre.

    Args:
        size: Sizes of metasurface, site, gap and wafer.
        kernels: Signed kernels to place, two sites each; 0 gives the empty grid.

    Returns:
        The largest grid that fits, centred with equal margins, with the kernels on
        the pairs of sites that :func:`choose_pairs` names.

    Raises:
        OpticsError: More kernels are asked for than fit (the message names a size that
            holds them), a site is larger than the metasurface, the metasurface is larger than
            the wafer, or the grid is absurd.
    """
    if kernels < 0:
        raise OpticsError(f"{kernels} kernels are asked for; the number cannot be negative")
    columns = count_sites(size.width_m, size.site_m, size.gap_m)
    rows = count_sites(size.height_m, size.site_m, size.gap_m)
    _refuse(size, kernels, rows, columns)
    occupied: dict[tuple[int, int], tuple[int, int]] = {}
    for kernel, (plus, minus) in enumerate(choose_pairs(rows, columns, kernels)):
        occupied |= {plus: (kernel, 1), minus: (kernel, -1)}
    pitch_m = size.site_m + size.gap_m
    sites = tuple(
        Site(
            row,
            column,
            (column - (columns - 1) / 2) * pitch_m,
            ((rows - 1) / 2 - row) * pitch_m,
            *occupied.get((row, column), (None, 0)),
        )
        for row in range(rows)
        for column in range(columns)
    )
    return Layout(size.width_m, size.height_m, size.site_m, size.gap_m, rows, columns, sites)


def count_sites(length_m: float, site_m: float, gap_m: float) -> int:
    """Sites along an axis: ``floor((length + gap) / (site + gap))``.

    Raises:
        OpticsError: The axis would hold more sites than any grid may have.
    """
    pitches = (length_m + gap_m) / (site_m + gap_m)
    if pitches > MOST_SITES:
        raise OpticsError(
            f"a side of {1e3 * length_m:g} mm would hold {pitches:.3g} sites of "
            f"{1e3 * site_m:g} mm with gaps of {1e3 * gap_m:g} mm; at most {MOST_SITES:,} sites "
            "are allowed: are all lengths in millimetres?"
        )
    return floor(pitches + ROUNDING)


def choose_pairs(rows: int, columns: int, kernels: int) -> list[Pair]:
    """The pairs of sites that the kernels take, kernel by kernel.

    A pair lies left and right where the number of columns is even, else above and
    below where the number of rows is even or there is one column only. The pairs fill
    the squarest block that holds them, in the middle of the grid, its last line
    centred: so the kernels are symmetric about one axis of the grid, and about the
    other to half a pitch. Where rows and columns are odd the pairs lie left and right,
    the block is centred to half a pitch, and only a nearly full grid uses the last
    column, with pairs above and below and its bottom right corner empty. Kernels are
    numbered line by line from the top left.

    Raises:
        OpticsError: There are more kernels than pairs of sites.
    """
    if kernels > rows * columns // 2:
        raise OpticsError(f"{kernels} kernels do not fit on {rows} x {columns} sites, two a kernel")
    if (columns % 2 and rows % 2 == 0) or columns == 1:
        upright = _fill_block(columns, rows, kernels)
        return sorted(((r, c), (s, d)) for (c, r), (d, s) in upright)
    pairs = _fill_block(rows, columns, min(kernels, rows * (columns // 2)))
    last = columns - 1
    rest = [((row, last), (row + 1, last)) for row in range(0, rows - 1, 2)]
    return sorted(pairs + rest[: kernels - len(pairs)])


def size_for(size: SurfaceSize, kernels: int) -> tuple[float, float]:
    """A metasurface (width, height) in metres that holds so many signed kernels.

    Neither side shrinks; the factor by which the more grown side grows is the
    smallest possible. Rounded up to a nanometre.
    """
    width, height, site, gap = size.width_m, size.height_m, size.site_m, size.gap_m
    fewest_rows = max(1, count_sites(height, site, gap))
    fewest_columns = max(1, count_sites(width, site, gap))

    def grown(rows: int) -> tuple[float, float]:
        columns = max(fewest_columns, ceil(2 * kernels / rows))
        rows = max(fewest_rows, ceil(2 * kernels / columns))
        return (
            max(width, columns * site + (columns - 1) * gap),
            max(height, rows * site + (rows - 1) * gap),
        )

    def taller(rows: int) -> bool:  # the height has grown by more than the width
        new_width, new_height = grown(rows)
        return new_height / height >= new_width / width

    # More rows: the height grows and the width shrinks, so the best lies where they cross.
    candidates = range(fewest_rows, max(fewest_rows, 2 * kernels) + 1)
    crossing = bisect_left(candidates, True, key=taller)
    best, least = (width, height), (inf, inf)
    for index in {max(0, crossing - 1), min(crossing, len(candidates) - 1)}:
        w, h = grown(candidates[index])
        if (cost := (max(w / width, h / height), w * h)) < least:
            best, least = (w, h), cost
    slack = ROUNDING / 2 * (site + gap)
    return _round_up(best[0] - slack), _round_up(best[1] - slack)


def _refuse(size: SurfaceSize, kernels: int, rows: int, columns: int) -> None:
    surface = f"a metasurface of {_describe(size.width_m, size.height_m)}"
    site_mm, gap_mm, wafer_mm = 1e3 * size.site_m, 1e3 * size.gap_m, 1e3 * size.wafer_diameter_m
    sites = f"sites of {site_mm:.12g} mm with gaps of {gap_mm:.12g} mm"
    if max(rows * columns, 2 * kernels) > MOST_SITES:
        raise OpticsError(
            f"{surface} holds {rows * columns:,} {sites}, and {kernels:,} kernels take two each; "
            f"at most {MOST_SITES:,} sites are allowed: are all lengths in millimetres?"
        )
    diagonal_m = hypot(size.width_m, size.height_m)
    if diagonal_m > size.wafer_diameter_m * (1 + ROUNDING):
        raise OpticsError(
            f"{surface} has a diagonal of {1e3 * diagonal_m:.6g} mm, the wafer a diameter of "
            f"{wafer_mm:g} mm: make the metasurface smaller, or take a larger wafer"
        )
    fitting = rows * columns // 2
    if rows * columns and kernels <= fitting:
        return
    larger = size_for(size, max(1, kernels))
    cure = f"make it {_describe(*larger)}"
    if hypot(*larger) > size.wafer_diameter_m:
        cure += f" on a wafer larger than {wafer_mm:g} mm"
    if not rows * columns:
        raise OpticsError(
            f"a site of {site_mm:.12g} mm does not fit on {surface}; {cure} to hold "
            f"{max(1, kernels)} kernels, or make the site smaller"
        )
    raise OpticsError(
        f"{kernels} kernels are asked for; {surface} holds {fitting}: "
        f"{rows} x {columns} {sites}, two a kernel; {cure}, or ask for at most {fitting}"
    )


def _describe(width_m: float, height_m: float) -> str:
    return f"{1e3 * width_m:.12g} x {1e3 * height_m:.12g} mm"


def _fill_block(rows: int, columns: int, kernels: int) -> list[Pair]:
    """Pairs left and right, in the squarest block that holds them, in the middle."""
    if not kernels:
        return []
    fewest = ceil(kernels / (columns // 2))
    heights = range(fewest, min(rows, kernels) + 1)

    def shape(height: int) -> tuple[int, int]:  # the longer side, then the empty places
        width = ceil(kernels / height)
        return max(height, 2 * width), height * width - kernels

    width = ceil(kernels / min(heights, key=shape))
    height = ceil(kernels / width)
    pairs: list[Pair] = []
    for line in range(height):
        row, across = (rows - height) // 2 + line, min(width, kernels - line * width)
        first = (columns - 2 * across) // 2
        pairs += [((row, first + 2 * i), (row, first + 2 * i + 1)) for i in range(across)]
    return pairs


def _round_up(length_m: float) -> float:
    return ceil(length_m * 1e9) / 1e9


def _millimetres(length_m: float) -> float:
    return round(length_m * 1e3, 9)


def _site_to_dict(site: Site) -> dict[str, Any]:
    return {
        "row": site.row,
        "column": site.column,
        "x_mm": _millimetres(site.x_m),
        "y_mm": _millimetres(site.y_m),
        "kernel": site.kernel,
        "sign": site.sign,
    }


def _site_from_dict(tree: dict[str, Any]) -> Site:
    sign, empty = tree["sign"], tree["kernel"] is None
    if (sign != 0) if empty else (sign not in (1, -1)):
        raise ValueError(f"sign is {sign!r} where kernel is {tree['kernel']!r}")
    return Site(
        _read_whole(tree, "row"),
        _read_whole(tree, "column"),
        _read_metres(tree, "x_mm"),
        _read_metres(tree, "y_mm"),
        None if empty else _read_whole(tree, "kernel"),
        sign,
    )


def _read_metres(tree: dict[str, Any], key: str) -> float:
    value = tree[key]
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise ValueError(f"{key} is {value!r}, which is no length")
    return value / 1e3


def _read_whole(tree: dict[str, Any], key: str) -> int:
    value = tree[key]
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST_SITES:
        raise ValueError(f"{key} is {value!r}, which is no whole number up to {MOST_SITES:,}")
    return value
