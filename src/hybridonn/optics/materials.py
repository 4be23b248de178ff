"""Refractive indices from files of the refractiveindex.info database."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hybridonn.errors import OpticsError

UM = 1e-6  # the database counts in micrometres
# Relative slack at the ends of a range: 450 nm may be written 0.45 or computed as 450 * 1e-9.
ROUNDING = 1e-9


@dataclass(frozen=True)
class Block:
    """One ``DATA`` entry: what it gives, where it holds, and the law.

    Attributes:
        gives: ``nk``, ``n`` or ``k``.
        shortest_m: Shortest wavelength in vacuum that it covers.
        longest_m: Longest.
        law: From wavelengths in micrometres to n, k or n + ik.
    """

    gives: str
    shortest_m: float
    longest_m: float
    law: Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Material:
    """A material of the database.

    Attributes:
        name: Of its file, with the folder: ``Si3N4/Beliaev``.
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
            wavelength_m: In vacuum, a number or an array.

        Returns:
            A complex number, or a complex128 array of the same shape.

        Raises:
            OpticsError: A wavelength lies outside the table.
        """
        wavelengths = np.asarray(wavelength_m, dtype=np.float64)
        total = np.zeros(wavelengths.shape, dtype=np.complex128)
        for block in self.blocks:
            self._refuse_outside(block, wavelengths)
            values = block.law(wavelengths / UM)
            total += 1j * values if block.gives == "k" else values
        return total if total.ndim else complex(total)

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
    import yaml

    path = Path(path)
    try:
        tree = yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        raise OpticsError(f"cannot read the material {path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise OpticsError(f"{path} is not YAML: {error}") from None
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
    kind = str(entry.get("type")) if isinstance(entry, dict) else str(entry)
    try:
        if kind.startswith("tabulated ") and kind[10:] in {"nk", "n", "k"}:
            return _read_table(kind[10:], entry["data"])
        if kind in FORMULAS:
            return _read_formula(kind, entry)
    except (KeyError, ValueError, IndexError) as error:
        raise OpticsError(f"{path}: the block {kind!r} is damaged ({error})") from None
    raise OpticsError(
        f"{path} holds a block of type {kind!r}; allowed are tabulated nk, tabulated n, "
        f"tabulated k, {', '.join(FORMULAS)}"
    )


def _read_table(gives: str, text: str) -> Block:
    """Rows of wavelength in micrometres and one or two values, linear between the rows.

    Raises:
        ValueError: The rows are not such a table.
    """
    table = np.array(
        [[float(word) for word in row.split()] for row in text.split("\n") if row.strip()]
    )
    if table.ndim != 2 or table.shape[1] != 1 + len(gives):
        raise ValueError(f"rows of {1 + len(gives)} numbers are expected")
    if not (np.isfinite(table).all() and (np.diff(table[:, 0]) > 0).all() and table[0, 0] > 0):
        raise ValueError("wavelengths must be positive and rise from row to row")
    values = table[:, 1] + 1j * table[:, 2] if gives == "nk" else table[:, 1]

    def law(wavelength: np.ndarray) -> np.ndarray:
        return np.interp(wavelength, table[:, 0], values)

    return Block(gives, table[0, 0] * UM, table[-1, 0] * UM, law)


def _read_formula(kind: str, entry: dict[str, Any]) -> Block:
    low, high = (float(word) for word in str(entry["wavelength_range"]).split())
    terms = [float(word) for word in str(entry["coefficients"]).split()]
    formula, sizes = FORMULAS[kind]
    if not sizes(len(terms)):
        raise ValueError(f"{len(terms)} coefficients do not fit it")
    return Block("n", low * UM, high * UM, lambda wavelength: formula(wavelength, terms))


def _sellmeier(wavelength: np.ndarray, c: list[float]) -> np.ndarray:
    """Formula 1: n^2 = 1 + C1 + sum_i B_i w^2 / (w^2 - C_i^2)."""
    square = wavelength**2
    pairs = zip(c[1::2], c[2::2], strict=True)
    return _root(1 + c[0] + sum(b * square / (square - pole**2) for b, pole in pairs))


def _database_4(wavelength: np.ndarray, c: list[float]) -> np.ndarray:
    """Formula 4: n^2 = C1 + sum_2 C w^C' / (w^2 - C''^C''') + sum C w^C' of the rest."""
    c = c + [0.0] * (9 - len(c)) if len(c) < 9 else c
    poles = ((c[i], c[i + 1], c[i + 2], c[i + 3]) for i in (1, 5))
    square = c[0] + sum(a * wavelength**p / (wavelength**2 - b**q) for a, p, b, q in poles if a)
    square = square + sum(a * wavelength**p for a, p in zip(c[9::2], c[10::2], strict=True))
    return _root(square)


def _cauchy(wavelength: np.ndarray, c: list[float]) -> np.ndarray:
    """Formula 5: n = C1 + sum_i B_i w^P_i."""
    powers = zip(c[1::2], c[2::2], strict=True)
    return c[0] + sum(b * wavelength**p for b, p in powers) + 0 * wavelength


def _root(square: Any) -> np.ndarray:
    if np.any(np.asarray(square) < 0):
        raise OpticsError("the formula gives a negative square of n: a pole lies in its range")
    return np.sqrt(square)


# Polyanskiy 2024 (Scientific Data 11, 94) defines the formulas; the tests are of the numbers of
# coefficients that each may have.
FORMULAS: dict[str, tuple[Callable[..., np.ndarray], Callable[[int], bool]]] = {
    "formula 1": (_sellmeier, lambda count: count % 2 == 1),
    "formula 4": (_database_4, lambda count: count in {1, 5} or (count >= 9 and count % 2 == 1)),
    "formula 5": (_cauchy, lambda count: count % 2 == 1),
}
