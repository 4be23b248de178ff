"""From a run with a metasurface to the file that goes to the fab."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hybridonn.core.errors import ArtefactError
from hybridonn.core.files import read_arrays, read_json, write_json
from hybridonn.core.progress import Progress, Silent
from hybridonn.optics.layout.layout_file import LayoutOptions, LayoutSummary, write_layout
from hybridonn.optics.layout.sites import Layout
from hybridonn.optics.metasurface.pillar_map import NM, ChipDesign, make_design
from hybridonn.pipeline.from_spec import naming_keys, read_design_rules
from hybridonn.pipeline.run_folder import open_folder
from hybridonn.pipeline.run_record import read_own_spec, read_own_stage
from hybridonn.reports.artefacts.layout_file import pick_drawing
from hybridonn.reports.figures.layout_file import draw_layout_file
from hybridonn.reports.figures.save import save_figure
from hybridonn.spec import Spec


@dataclass(frozen=True)
class Exported:
    """A layout file that holds the design of a run.

    Attributes:
        path: The file; its image lies beside it as PNG and SVG.
        summary: What it holds.
    """

    path: Path
    summary: LayoutSummary

    def to_dict(self) -> dict[str, Any]:
        """All numbers, as the section ``layout_file``."""
        return {"layout_file": asdict(self.summary)}


@naming_keys()
def export_layout(
    folder: Path,
    out: Path | None = None,
    progress: Progress | None = None,
    tone: str = "pillars",
    mirrored: bool = False,
    memory_gb: float = 4.0,
) -> Exported:
    """Write the metasurface of a run as a layout file, read it back and compare.

    The label is the name of the spec, the limits are those that the metasurface was designed
    within, and the step of the database is 1 nm, or 0.5 nm where the period asks for it. The
    run keeps ``layout_file.json``, from which its report draws the file.

    Args:
        folder: A run whose stage ``metasurface`` is finished.
        out: Ends in .oas (OASIS) or .gds (GDSII); None: ``layout.oas`` in the run.
        progress: Shows how far it is.
        tone: ``pillars`` or ``cleared``, as in :class:`LayoutOptions`.
        mirrored: Draw the chip as seen from behind.
        memory_gb: Refuse a file whose making or checking would take more.

    Returns:
        Where the file lies and what it holds.

    Raises:
        ArtefactError: The run has no metasurface, or a file cannot be read or written.
        OpticsError: The design cannot be made, or an option is wrong.
    """
    progress = progress or Silent()
    spec = read_own_spec(folder)
    path = out or folder / "layout.oas"
    with open_folder(folder), progress.bar("layout file", 1) as advance:
        mark = _find_metasurface(spec, folder)
        design = read_captured_design(folder)
        options = _settle_options(spec, design, tone, mirrored, memory_gb)
        summary, found = write_layout(path, design, options)
        drawing = pick_drawing(found)
        save_figure(draw_layout_file(drawing), path)
        record = {"path": str(path), "metasurface": mark, "summary": asdict(summary)}
        write_json(folder / "layout_file.json", record | {"drawing": drawing.to_dict()})
        advance(1, "read back and compared")
    return Exported(path, summary)


@naming_keys()
def read_captured_design(folder: Path) -> ChipDesign:
    """The chip that the stages ``layout`` and ``metasurface`` of a run left.

    Raises:
        ArtefactError: A file is missing or damaged.
        OpticsError: The widths cannot be built on the layout.
    """
    path = folder / "metasurface" / "widths.npz"
    arrays = read_arrays(path)
    if missing := [key for key in ("widths", "cell_pillars", "period_m") if key not in arrays]:
        raise ArtefactError(
            f"{path} lacks {', '.join(missing)}; delete {path.parent} and run hybridonn design "
            f"{folder}"
        )
    layout = Layout.from_dict(read_json(read_own_stage(folder, "layout").folder / "layout.json"))
    return make_design(
        layout, arrays["widths"], float(arrays["period_m"]), int(arrays["cell_pillars"])
    )


def _find_metasurface(spec: Spec, folder: Path) -> str:
    """The fingerprint of the stage ``metasurface``.

    Raises:
        ArtefactError: The run has none.
    """
    stage = folder / "metasurface" / "stage.json"
    if spec.optics.metasurface is None or not stage.exists():
        raise ArtefactError(
            f"the run {folder} has no metasurface, so there is nothing to export; design one with "
            f"hybridonn design {folder}"
        )
    return read_own_stage(folder, stage.parent.name).fingerprint


def _settle_options(
    spec: Spec, design: ChipDesign, tone: str, mirrored: bool, memory_gb: float
) -> LayoutOptions:
    settings = spec.optics.metasurface
    assert settings is not None  # _find_metasurface asks
    period_nm = design.period_m / NM
    return LayoutOptions(
        label=spec.name,
        tone=tone,
        mirrored=mirrored,
        step_nm=1.0 if abs(period_nm - round(period_nm)) < 1e-6 else 0.5,
        rules=read_design_rules(settings),
        memory_gb=memory_gb,
    )
