"""Figures, tables and the HTML report: they read artefacts, they never compute them."""

from hybridonn.reports.comparison import draw_comparison, write_comparison
from hybridonn.reports.confusion import draw_confusion
from hybridonn.reports.curves import draw_curves
from hybridonn.reports.embedding import draw_embedding
from hybridonn.reports.estimate import draw_learning_curve
from hybridonn.reports.features import draw_features
from hybridonn.reports.kernels import draw_kernels
from hybridonn.reports.layout import draw_layout
from hybridonn.reports.report import write_report
from hybridonn.reports.save import save_figure

__all__ = [
    "draw_comparison",
    "draw_confusion",
    "draw_curves",
    "draw_embedding",
    "draw_features",
    "draw_kernels",
    "draw_layout",
    "draw_learning_curve",
    "save_figure",
    "write_comparison",
    "write_report",
]
