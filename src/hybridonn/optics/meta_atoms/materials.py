"""Refractive indices from files of the refractiveindex.info database."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hybridonn.core.errors import OpticsError
from hybridonn.core.yaml_reading import read_yaml

UM = 1e-6  # the database counts in micrometres
# Relative slack at the ends of a range: 450 nm may be written 0.45 or computed as 450 * 1e-9.
ROUNDING = 1e-9
HIGHEST = 100  # no index of the database is higher; metals in the far infrared have k of some tens


@dataclass(frozen=True)
class Block:
    """One ``DATA`` entry: what it gives, where it holds, and the law.

    Attributes:
        gives: ``nk``, ``n`` or ``k``.
        shortest_m: Shortest wavelength in vacuum that it covers.
        longest_m: Longest.
        law: Function of wavelengths in micrometres that gives n, k or n + ik.
    """

    gives: str
    shortest_m: float
    longest_m: float
    law: Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Material:
    """A material of the database.

    Attributes:
        name: Name of its file, with the folder: ``Si3N4/Beliaev``.
        reference: Who measured it, as the file says.
        blocks: What the file gives.
    """

    name: str
    reference: str
    blocks: tuple[Block, ...]

    def index(self, wavelength_m: float | np.ndarray) -> Any:
        """Complex refractive index n + ik; time runs as exp(-i omega t), so k > 0 absorbs.

        Without a block for k the material is taken as transparent, as its source does.

        Args:
            wavelength_m: Wavelength in vacuum, in metres, a number or an array.

        Returns:
            A complex number, or a complex128 array of the same shape.

        Raises:
            OpticsError: A wavelength lies outside the table, or the table's formula gives no index
                there.
        """
        wavelengths = np.asarray(wavelength_m, dtype=np.float64)
        total = np.zeros(wavelengths.shape, dtype=np.complex128)
        for block in self.blocks:
            self._refuse_outside(block, wavelengths)
            values = self._evaluate(block, wavelengths)
            total += 1j * values if block.gives == "k" else values
        self._refuse_impossible(total, wavelengths)
        return total if total.ndim else complex(total)

    def _evaluate(self, block: Block, wavelengths: np.ndarray) -> Any:
        try:
            with np.errstate(divide="raise", over="raise", invalid="raise"):
                return block.law(wavelengths / UM)
        except FloatingPointError as error:  # a pole, a negative square of n, a huge power
            low, high = wavelengths.min() * 1e9, wavelengths.max() * 1e9
            between = f"{low:.6g} nm" if low == high else f"{low:.6g} to {high:.6g} nm"
            raise OpticsError(
                f"the formula of {self.name} gives no index at {between} ({error}); choose "
                "another wavelength or mend the file"
            ) from None

    def _refuse_impossible(self, index: np.ndarray, wavelengths: np.ndarray) -> None:
        n, k = np.real(index), np.imag(index)
        wrong = ~((n > 0) & (n < HIGHEST) & (k >= 0) & (k < HIGHEST))  # NaN is wrong as well
        if wrong.any():
            raise OpticsError(
                f"{self.name} gives an index of {complex(index[wrong].flat[0]):.4g} at "
                f"{wavelengths[wrong].flat[0] * 1e9:.6g} nm; n must lie between 0 and {HIGHEST} "
                f"and k from 0 to {HIGHEST}: choose another wavelength or mend the file"
            )

    def _refuse_outside(self, block: Block, wavelengths: np.ndarray) -> None:
        low, high = block.shortest_m * (1 - ROUNDING), block.longest_m * (1 + ROUNDING)
        outside = ~((wavelengths >= low) & (wavelengths <= high))
        if outside.any():
            raise OpticsError(
                f"{self.name} gives {block.gives} from {block.shortest_m * 1e9:.6g} to "
                f"{block.longest_m * 1e9:.6g} nm, not at {wavelengths[outside].flat[0] * 1e9:.6g} "
                "nm; choose a wavelength in this range or another table"
            )


def read_material(path: str | Path) -> Material:
    """Read a file of the refractiveindex.info database (YAML).

    Args:
        path: The file. ``DATA`` may hold several blocks: ``tabulated nk``, ``tabulated n``,
            ``tabulated k``, ``formula 1``, ``formula 4`` and ``formula 5``.

    Raises:
        OpticsError: The file is missing, is not of the database, or holds another kind.
    """
    path = Path(path)
    tree = read_yaml(path, OpticsError)
    entries = tree.get("DATA") if isinstance(tree, dict) else None
    if not (isinstance(entries, list) and entries):
        raise OpticsError(f"{path} has no DATA; a file of the refractiveindex.info database has")
    blocks = tuple(_read_block(path, entry) for entry in entries)
    kinds = sorted(block.gives for block in blocks)
    if kinds not in (["nk"], ["n"], ["k", "n"]):
        raise OpticsError(f"{path} gives {' and '.join(kinds)}; allowed are nk, n, or n and k")
    reference = " ".join(str(tree.get("REFERENCES", "")).split())
    return Material(f"{path.parent.name}/{path.stem}", reference, blocks)


def packaged_file(name: str) -> Path:
    """A file that comes with the package, in ``optics/tables``."""
    return Path(__file__).parent / "tables" / name


def _read_block(path: Path, entry: Any) -> Block:
    is_block = isinstance(entry, dict)
    kind = str(entry.get("type")) if is_block else str(entry)
    try:
        if is_block and kind.startswith("tabulated ") and kind[10:] in {"nk", "n", "k"}:
            return _read_table(kind[10:], str(entry["data"]))
        if is_block and kind in FORMULAS:
            return _read_formula(kind, entry)
    except KeyError as error:
        raise OpticsError(f"{path}: the block {kind!r} lacks the key {error}") from None
    except ValueError as error:
        raise OpticsError(f"{path}: the block {kind!r} is damaged ({error})") from None
    what = "a block of type" if is_block else "a block without a type,"
    raise OpticsError(
        f"{path} holds {what} {kind[:40]!r}; allowed are tabulated nk, tabulated n, "
        f"tabulated k, {', '.join(FORMULAS)}"
    )


def _read_table(gives: str, text: str) -> Block:
    """Rows of wavelength in micrometres and one or two values, linear between the rows.

    Raises:
        ValueError: The rows are not such a table.
    """
    rows = [[float(word) for word in row.split()] for row in text.split("\n") if row.strip()]
    if not rows or {len(row) for row in rows} != {1 + len(gives)}:
        raise ValueError(f"rows of {1 + len(gives)} numbers are expected")
    table = np.array(rows)
    if not (np.isfinite(table).all() and (np.diff(table[:, 0]) > 0).all() and table[0, 0] > 0):
        raise ValueError("numbers must be finite, wavelengths positive and rise from row to row")
    values = table[:, 1] + 1j * table[:, 2] if gives == "nk" else table[:, 1]

    def law(wavelength: np.ndarray) -> np.ndarray:
        return np.interp(wavelength, table[:, 0], values)

    return Block(gives, table[0, 0] * UM, table[-1, 0] * UM, law)


def _read_formula(kind: str, entry: dict[str, Any]) -> Block:
    ends = [float(word) for word in str(entry["wavelength_range"]).split()]
    if not (len(ends) == 2 and 0 < ends[0] <= ends[1] < np.inf):
        raise ValueError(f"the wavelength_range {entry['wavelength_range']!r} is no range")
    low, high = ends
    terms = np.array([float(word) for word in str(entry["coefficients"]).split()])
    if not np.isfinite(terms).all():
        raise ValueError("the coefficients must be finite numbers")
    formula, sizes = FORMULAS[kind]
    if not sizes(len(terms)):
        raise ValueError(f"{len(terms)} coefficients do not fit it")
    return Block("n", low * UM, high * UM, lambda wavelength: formula(wavelength, terms))


def _sellmeier(wavelength: np.ndarray, c: np.ndarray) -> np.ndarray:
    """Formula 1: n^2 = 1 + C1 + sum_i B_i w^2 / (w^2 - C_i^2)."""
    square = wavelength**2
    pairs = zip(c[1::2], c[2::2], strict=True)
    return _root(1 + c[0] + sum(b * square / (square - pole**2) for b, pole in pairs))


def _database_4(wavelength: np.ndarray, c: np.ndarray) -> np.ndarray:
    """Formula 4: n^2 = C1 + sum_2 C w^C' / (w^2 - C''^C''') + sum C w^C' of the rest."""
    c = np.pad(c, (0, max(0, 9 - len(c))))
    poles = ((c[i], c[i + 1], c[i + 2], c[i + 3]) for i in (1, 5))
    square = c[0] + sum(a * wavelength**p / (wavelength**2 - b**q) for a, p, b, q in poles if a)
    square = square + sum(a * wavelength**p for a, p in zip(c[9::2], c[10::2], strict=True))
    return _root(square)


def _cauchy(wavelength: np.ndarray, c: np.ndarray) -> np.ndarray:
    """Formula 5: n = C1 + sum_i B_i w^P_i."""
    powers = zip(c[1::2], c[2::2], strict=True)
    return c[0] + sum(b * wavelength**p for b, p in powers) + 0 * wavelength


def _root(square: Any) -> np.ndarray:
    return np.sqrt(square)


# Polyanskiy 2024 (Scientific Data 11, 94) defines the formulas; the tests are of the numbers of
# coefficients that each may have.
FORMULAS: dict[str, tuple[Callable[..., np.ndarray], Callable[[int], bool]]] = {
    "formula 1": (_sellmeier, lambda count: count % 2 == 1),
    "formula 4": (_database_4, lambda count: count in {1, 5} or (count >= 9 and count % 2 == 1)),
    "formula 5": (_cauchy, lambda count: count % 2 == 1),
}
