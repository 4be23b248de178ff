"""The designed pillars of one kernel."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hybridonn.core.errors import ArtefactError, OpticsError
from hybridonn.reports.artefacts.reading import read_arrays, refusal

STAGE = "the metasurface stage"


@dataclass(frozen=True)
class WidthMaps:
    """The pillars of one kernel's two sub-optics, as one looks through them at the scene.

    Attributes:
        kernel: Which kernel.
        widths_nm: Widths of positive and negative part, (2, cells, cells); 0: no pillar.
        phases: Phases in units of 2 pi, in [0, 1), (C, 2, cells, cells).
        wavelengths_nm: Wavelengths of the C colours.
        cell_um: Side of a cell of equal pillars.
    """

    kernel: int
    widths_nm: np.ndarray
    phases: np.ndarray
    wavelengths_nm: tuple[float, ...]
    cell_um: float


def read_width_maps(folder: Path, kernel: int = 0) -> WidthMaps | None:
    """Read the widths of a kernel's pillars and look up their phases.

    Args:
        folder: The run.
        kernel: Which kernel.

    Returns:
        None: a stage of an earlier version kept no library to look phases up in.

    Raises:
        ArtefactError: A file is missing, damaged, or contradicts the other one.
    """
    import torch

    from hybridonn.optics.meta_atoms.pillars import NM, PillarLibrary, transmit

    stage = folder / "metasurface"
    path, table = stage / "widths.npz", stage / "library.csv"
    if not table.is_file():
        return None
    kinds = ("widths", "cell_pillars")
    arrays = read_arrays(path, STAGE, {"widths": 4}, optional={"cell_pillars": 0}, whole=kinds)
    pillars = np.asarray(arrays.get("cell_pillars", 1))
    if len(arrays["widths"]) <= kernel or arrays["widths"].shape[1] != 2:
        found = f"widths {arrays['widths'].shape} are not those of two parts of kernel {kernel}"
        raise ArtefactError(refusal(path, STAGE, found))
    if pillars < 1:
        raise ArtefactError(refusal(path, STAGE, f"cell_pillars is {str(pillars)[:40]}"))
    widths_nm = arrays["widths"][kernel]
    try:
        library = PillarLibrary.read_csv(table)
        sent = transmit(library, torch.from_numpy(widths_nm.astype(np.float64)) * NM)
    except OpticsError as error:
        raise ArtefactError(refusal(table, STAGE, str(error))) from None
    phases = (torch.angle(sent) / (2 * np.pi)).remainder(1).numpy()
    cell_um = library.period_m * int(pillars) * 1e6
    wavelengths_nm = tuple((library.wavelengths_m / NM).tolist())
    return WidthMaps(kernel, widths_nm, phases, wavelengths_nm, cell_um)
