"""A library of square pillars: from a width to what it does to light, a colour at a time.

The transmission of a width is the zero order of a lattice of equal pillars, by two conventions:
its squared magnitude is the transmitted power (so no pillar has the amplitude of the bare
surface, below 1), and its phase is counted from the empty cell of the same height, with light
going forward as exp(+i k z): no pillar has phase 0, a wider pillar has more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from hybridonn.core.errors import OpticsError
from hybridonn.core.files import write_text
from hybridonn.optics.meta_atoms.diffraction import check_orders
from hybridonn.optics.meta_atoms.library_table import format_table, note_number, read_table
from hybridonn.optics.meta_atoms.materials import packaged_file

NM = 1e-9
PM = 1e-12  # two lengths that agree to a picometre are one; float32 keeps 300 nm to 0.02 pm
# A passive pillar gives back no more power than it takes; solvers round in the fourth digit.
BRIGHTEST = 1 + 1e-3
# Far outside of what is made: what lies beyond is in another unit.
WAVELENGTHS_M, CELL_M, HIGHEST_INDEX = (50e-9, 1e-3), (5e-9, 1e-3), 10


@dataclass(frozen=True, eq=False)
class PillarLibrary:
    """Transmission of square pillars on a square lattice at normal incidence.

    Attributes:
        wavelengths_m: Wavelengths in vacuum, (W,) float64.
        widths_m: Widths of the pillars, ascending, (N,) float64; the first may be 0, no pillar.
        transmission: Complex amplitudes, (W, N) complex128; see the module.
        period_m: Distance of neighbouring pillars, centre to centre.
        height_m: Height of the pillars.
        material: Material of the pillars, for the record.
        substrate: Material that the pillars stand on, for the record.
        source: Solver and settings, for the record.
        substrate_index: Highest index of the substrate at these wavelengths; None: not stated.

    Raises:
        OpticsError: Widths or wavelengths that are equal, not finite, not positive or out
            of order, a shape that does not fit, an amplitude above 1, or pillars that touch.
    """

    wavelengths_m: Tensor
    widths_m: Tensor
    transmission: Tensor
    period_m: float
    height_m: float
    material: str = ""
    substrate: str = ""
    source: str = ""
    substrate_index: float | None = None

    def __post_init__(self) -> None:
        kinds = {
            "wavelengths_m": torch.float64,
            "widths_m": torch.float64,
            "transmission": torch.complex128,
        }
        for name, dtype in kinds.items():
            tensor = torch.as_tensor(getattr(self, name), dtype=dtype, device="cpu").detach()
            object.__setattr__(self, name, tensor)
        _check(self)

    @cached_property
    def first_pillar(self) -> int:
        """Index of the narrowest pillar: 1 where width 0 is in the library, else 0."""
        return int(self.widths_m[0] == 0)

    @cached_property
    def cubics(self) -> Tensor:
        """Cubic of each interval between neighbouring pillars, (W, N' - 1, 4) complex128.

        Hermite cubics c0 + c1 u + c2 u^2 + c3 u^3, u from 0 to 1, whose slopes at the
        widths are those of the parabola through three neighbours: value and slope are
        continuous. Width 0 takes no part, since no pillar can be narrower than the first.
        """
        widths = self.widths_m[self.first_pillar :]
        values = self.transmission[:, self.first_pillar :]
        step = widths.diff()
        secant = values.diff(dim=1) / step
        slope = torch.empty_like(values)
        near, far = step[:-1], step[1:]
        slope[:, 1:-1] = (secant[:, :-1] * far + secant[:, 1:] * near) / (near + far)
        slope[:, 0] = secant[:, 0] if len(step) < 2 else 2 * secant[:, 0] - slope[:, 1]
        slope[:, -1] = secant[:, -1] if len(step) < 2 else 2 * secant[:, -1] - slope[:, -2]
        rise, left, right = values.diff(dim=1), slope[:, :-1] * step, slope[:, 1:] * step
        return torch.stack(
            [values[:, :-1], left, 3 * rise - 2 * left - right, left + right - 2 * rise], dim=-1
        )

    def at(self, wavelengths_m: Sequence[float]) -> PillarLibrary:
        """The same library at some of its wavelengths, in the order asked for.

        Warns where the lattice of the pillars diffracts into its substrate.

        Raises:
            OpticsError: A wavelength is not in the library, or the lattice diffracts into the
                air.
        """
        held = self.wavelengths_m
        chosen = []
        for wavelength in wavelengths_m:
            distance = (held - wavelength).abs()
            if not distance.min() < PM:
                raise OpticsError(
                    f"{wavelength / NM:.6g} nm is not in the library of pillars, which holds "
                    f"{_list_nm(held)} nm; choose among these or make a library that holds it "
                    "with: hybridonn optics library --wavelengths-nm ...",
                    "wavelengths_m",
                )
            chosen.append(int(distance.argmin()))
        check_orders(self.period_m, held[chosen].tolist(), self.substrate_index)
        return replace(self, wavelengths_m=held[chosen], transmission=self.transmission[chosen])

    @classmethod
    def read_csv(cls, path: str | Path) -> PillarLibrary:
        """Read a library from a table, see :mod:`hybridonn.optics.meta_atoms.library_table`.

        Raises:
            OpticsError: The file is damaged or incomplete, or no such library can be.
        """
        path = Path(path)
        notes, wavelengths, widths, points = read_table(path)
        period, height = (note_number(path, notes, name) for name in ("period_nm", "height_nm"))
        values = [[points[width, wavelength] for width in widths] for wavelength in wavelengths]
        texts = (notes.get(name, "") for name in ("material", "substrate", "source"))
        index = "substrate_index"
        try:
            return cls(
                torch.tensor(wavelengths, dtype=torch.float64) * NM,
                torch.tensor(widths, dtype=torch.float64) * NM,
                torch.tensor(values, dtype=torch.complex128),
                period * NM,
                height * NM,
                *texts,
                substrate_index=note_number(path, notes, index) if index in notes else None,
            )
        except OpticsError as error:
            raise OpticsError(f"{path}: {error}") from None

    def write_csv(self, path: str | Path) -> None:
        """Write the library, whole or not at all.

        Raises:
            ArtefactError: The file cannot be written.
        """
        notes = {
            "period_nm": f"{self.period_m / NM:.10g}",
            "height_nm": f"{self.height_m / NM:.10g}",
            "material": self.material,
            "substrate": self.substrate,
            "source": self.source,
            **({"substrate_index": f"{self.substrate_index:.6g}"} if self.substrate_index else {}),
            "convention": "amplitude^2 = transmitted power; phase from the empty cell, exp(+ikz)",
        }
        rows = (
            (width / NM, wavelength / NM, value)
            for wavelength, values in zip(
                self.wavelengths_m.tolist(), self.transmission.tolist(), strict=True
            )
            for width, value in zip(self.widths_m.tolist(), values, strict=True)
        )
        write_text(Path(path), format_table(notes, rows))


def default_library() -> PillarLibrary:
    """The library that comes with the package: silicon nitride on quartz at 635, 532, 450 nm.

    750 nm high every 293 nm, widths 0 and 65 to 237 nm; made by ``hybridonn optics library``
    with its default arguments.
    """
    return PillarLibrary.read_csv(packaged_file("pillars.csv"))


def transmit(library: PillarLibrary, widths_m: Tensor) -> Tensor:
    """Transmission of pillars of any width in the library's range; differentiable in the widths.

    Nothing is interpolated between width 0 (no pillar) and the narrowest pillar: such a
    width cannot be made, and asking for it is an error. The gradient at width 0 is zero.

    Args:
        library: Pillars, at W wavelengths.
        widths_m: Any shape, float32 or float64; each 0 or within the range of the pillars.

    Returns:
        ``(W, *widths_m.shape)``, complex64 or complex128 as the widths are float32 or float64.

    Raises:
        OpticsError: A width is NaN, negative, or outside what the library holds.
    """
    pillars = library.widths_m[library.first_pillar :].to(widths_m.device)
    narrowest, widest = pillars[0].item(), pillars[-1].item()
    empty = widths_m == 0
    _refuse_widths(library, widths_m, empty)
    width = widths_m.clamp(narrowest, widest)
    edges = pillars.to(widths_m.dtype)
    interval = torch.bucketize(width.detach(), edges[1:-1], right=True)
    u = (width - edges[interval]) / edges.diff()[interval]
    dtype = torch.complex128 if widths_m.dtype == torch.float64 else torch.complex64
    tables = library.cubics.to(widths_m.device, dtype)
    blank = library.transmission[:, 0].to(widths_m.device, dtype)
    colours = []
    for cubic, bare in zip(tables, blank, strict=True):
        c = [cubic[:, power][interval] for power in range(4)]
        value = c[0] + u * (c[1] + u * (c[2] + u * c[3]))
        colours.append(torch.where(empty, bare, value))
    return torch.stack(colours)


def _refuse_widths(library: PillarLibrary, widths_m: Tensor, empty: Tensor) -> None:
    narrowest = library.widths_m[library.first_pillar].item()
    widest = library.widths_m[-1].item()
    inside = (widths_m > narrowest - PM) & (widths_m < widest + PM)
    allowed = inside | empty if library.first_pillar else inside
    if bool(allowed.all()):
        return
    wrong = widths_m.detach()[~allowed]
    zero = "0 (no pillar) or " if library.first_pillar else ""
    raise OpticsError(
        f"{wrong.numel()} of {widths_m.numel()} pillars have a width that the library does not "
        f"hold, the first {wrong[0].item() / NM:.6g} nm; allowed are {zero}"
        f"{narrowest / NM:.6g} to {widest / NM:.6g} nm: clamp the widths to this range"
    )


def _check(library: PillarLibrary) -> None:
    wavelengths, widths, values = library.wavelengths_m, library.widths_m, library.transmission
    if wavelengths.ndim != 1 or widths.ndim != 1 or values.shape != (len(wavelengths), len(widths)):
        raise OpticsError(
            f"a library of {tuple(wavelengths.shape)} wavelengths and {tuple(widths.shape)} widths "
            f"cannot hold transmissions of shape {tuple(values.shape)}; (W,), (N,) and (W, N) fit"
        )
    shortest, longest = WAVELENGTHS_M
    if not (
        len(wavelengths) and bool(((wavelengths >= shortest) & (wavelengths <= longest)).all())
    ):
        raise OpticsError(
            f"wavelengths of {_list_nm(wavelengths)} nm; all must lie between {shortest / NM:g} "
            f"and {longest / NM:g} nm: are they in nanometres?"
        )
    if (widths > 0).sum() < 2:
        raise OpticsError(f"a library of the widths {_list_nm(widths)} nm; it needs two pillars")
    _check_widths(widths)
    if not torch.isfinite(values).all():
        raise OpticsError("the library holds a transmission that is not a finite number")
    if (brightest := values.abs().max().item()) > BRIGHTEST:
        raise OpticsError(
            f"the library holds the amplitude {brightest:.4f}; a pillar transmits at most 1: give "
            "the square root of the transmitted power, not the ratio of the fields in two media"
        )
    _check_cell(library)


def _check_widths(widths: Tensor) -> None:
    if not bool((widths >= 0).all()):  # NaN fails as well
        wrong = widths[~(widths >= 0)][0].item()
        raise OpticsError(f"a library with the width {wrong / NM:g} nm; widths are 0 or positive")
    step = widths.diff()
    if bool((step.abs() < PM).any()):
        twice = widths[:-1][step.abs() < PM][0].item()
        raise OpticsError(f"the library holds the width {twice / NM:.6g} nm twice; give it once")
    if bool((step < 0).any()):
        raise OpticsError("the widths of a library must ascend; sort them and their transmissions")


def _check_cell(library: PillarLibrary) -> None:
    widest = library.widths_m[-1].item()
    least, most = CELL_M
    if not (least <= library.height_m <= most and least <= library.period_m <= most):
        raise OpticsError(
            f"pillars {library.height_m / NM:g} nm high every {library.period_m / NM:g} nm; "
            f"height and period must lie between {least / NM:g} and {most / NM:g} nm: are they in "
            "nanometres?"
        )
    index = library.substrate_index
    if index is not None and not 1 <= index <= HIGHEST_INDEX:
        raise OpticsError(
            f"a substrate of index {index:g}; it must lie between 1 and {HIGHEST_INDEX:g}"
        )
    if widest >= library.period_m:
        raise OpticsError(
            f"pillars {widest / NM:.6g} nm wide touch at a period of "
            f"{library.period_m / NM:.6g} nm; every width must be less than the period"
        )


def _list_nm(lengths: Tensor) -> str:
    return ", ".join(f"{length / NM:.6g}" for length in lengths.tolist()[:12])
