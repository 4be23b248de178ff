"""The tables and figures of the paper by the names of the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from types import MappingProxyType

from hybridonn.core.errors import SpecError
from hybridonn.studies.reproduce import energy, figure4, figure5, table3, table4, table5, table6
from hybridonn.studies.reproduce.record import Table

TABLES: Mapping[str, Table] = MappingProxyType(
    {
        one.TABLE.name: one.TABLE
        for one in (table3, table4, table5, table6, figure4, figure5, energy)
    }
)
ALL = "all"


def choose_tables(names: Sequence[str]) -> tuple[Table, ...]:
    """The tables of some names, in the order of the paper.

    Args:
        names: Names on the command line; ``all`` stands for every one.

    Raises:
        SpecError: A name is not known.
    """
    for name in names:
        if name not in (ALL, *TABLES):
            near = get_close_matches(name, (ALL, *TABLES), n=1)
            hint = f"; did you mean {near[0]}?" if near else ";"
            raise SpecError(f"{name!r} is no table{hint} allowed are {', '.join((*TABLES, ALL))}")
    return tuple(one for one in TABLES.values() if ALL in names or one.name in names)
