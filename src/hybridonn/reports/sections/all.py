"""All sections of the report, in the page's order; a new section is one line here."""

from __future__ import annotations

from hybridonn.reports.artefacts.run import Run
from hybridonn.reports.sections.box_overlays import BOX_OVERLAYS
from hybridonn.reports.sections.chip import CHIP
from hybridonn.reports.sections.chip_captures import CHIP_CAPTURES
from hybridonn.reports.sections.chip_confusion import CHIP_CONFUSION
from hybridonn.reports.sections.chip_embedding import CHIP_EMBEDDING
from hybridonn.reports.sections.chip_overlays import CHIP_OVERLAYS
from hybridonn.reports.sections.chip_psfs import CHIP_PSFS
from hybridonn.reports.sections.confusion import CONFUSION
from hybridonn.reports.sections.deployed import DEPLOYED
from hybridonn.reports.sections.embedding import EMBEDDING
from hybridonn.reports.sections.estimate import ESTIMATE
from hybridonn.reports.sections.features import FEATURES
from hybridonn.reports.sections.iou import IOU
from hybridonn.reports.sections.kernels import KERNELS
from hybridonn.reports.sections.layout import LAYOUT
from hybridonn.reports.sections.layout_file import LAYOUT_FILE
from hybridonn.reports.sections.mask_overlays import MASK_OVERLAYS
from hybridonn.reports.sections.metasurface import METASURFACE
from hybridonn.reports.sections.pillars import PILLARS
from hybridonn.reports.sections.section import ReportFigure, Section
from hybridonn.reports.sections.training import TRAINING

SECTIONS: tuple[Section, ...] = (
    LAYOUT,
    ESTIMATE,
    KERNELS,
    METASURFACE,
    PILLARS,
    LAYOUT_FILE,
    FEATURES,
    TRAINING,
    CONFUSION,
    EMBEDDING,
    MASK_OVERLAYS,
    BOX_OVERLAYS,
    IOU,
    CHIP,
    CHIP_CAPTURES,
    CHIP_CONFUSION,
    CHIP_EMBEDDING,
    CHIP_OVERLAYS,
    CHIP_PSFS,
    DEPLOYED,
)


def list_sections(run: Run) -> list[Section]:
    """The sections that a run has, in the page's order."""
    return [section for section in SECTIONS if section.shows(run)]


def list_figures(run: Run) -> list[ReportFigure]:
    """The figures of a run, in the page's order."""
    return [figure for section in list_sections(run) for figure in section.build(run)]
