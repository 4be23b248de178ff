"""All figures of a run, with the captions that tell how to read them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hybridonn.reports.artefacts import Run
from hybridonn.reports.confusion import MOST_COUNTS, draw_confusion, shorten
from hybridonn.reports.curves import draw_curves
from hybridonn.reports.embedding import draw_embedding
from hybridonn.reports.estimate import describe_estimate, draw_learning_curve
from hybridonn.reports.features import draw_features
from hybridonn.reports.kernels import draw_kernels
from hybridonn.reports.layout import draw_layout

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Picture:
    """A figure of the report.

    Attributes:
        name: Of its file and of its anchor.
        heading: Of its section.
        alternative: What it shows, for a reader who cannot see it.
        caption: How to read it.
        draw: Makes it.
    """

    name: str
    heading: str
    alternative: str
    caption: str
    draw: Callable[[], Figure]


def list_pictures(run: Run) -> list[Picture]:
    """The figures of a run, in the report's order."""
    promised = [] if run.estimate is None else [_estimate(run)]
    return [
        _layout(run),
        *promised,
        _kernels(run),
        _features(run),
        _curves(run),
        _confusion(run),
        _map(run),
    ]


def _layout(run: Run) -> Picture:
    return Picture(
        "layout",
        "The metasurface",
        f"{run.layout.kernels} signed kernels on {run.layout.rows} × {run.layout.columns} sites",
        "The metasurface to scale. Each square is the site of one sub-optic with its own point "
        "spread function (PSF). Light is incoherent, so a PSF cannot be negative: a signed kernel "
        "takes two neighbouring sites, one for its positive part (red) and one for its negative "
        "part (blue). Kernels are numbered from 0, as in the arrays; sites that are only outlined "
        "stay empty.",
        lambda: draw_layout(run.layout),
    )


def _estimate(run: Run) -> Picture:
    assert run.estimate is not None  # list_pictures asks
    estimate, student = run.estimate, run.models["student"].predictions
    images = run.record["data"].get("student_train")
    teacher = run.models["teacher"].predictions.accuracy if "teacher" in run.models else None
    return Picture(
        "estimate",
        "Promised before training",
        f"Estimated accuracy against training images, {100 * estimate.accuracy:.2f} % in the end",
        describe_estimate(estimate, student.accuracy, images, student.total),
        lambda: draw_learning_curve(
            estimate, student=student.accuracy, student_images=images, teacher=teacher
        ),
    )


def _kernels(run: Run) -> Picture:
    count, bands, height, width = run.kernels.shape
    rows = "" if bands == 1 else f" Its {bands} rows are its {bands} wavelength bands."
    return Picture(
        "kernels",
        "The learned kernels",
        f"{count} kernels of {height} × {width} with their positive and negative parts",
        "Each large square is a signed kernel as the student learned it; the two small squares are "
        "what light can do: the PSFs of its positive (+) and negative (−) part, to be subtracted "
        f"after the exposure.{rows} All share one scale, and white is zero, so that a pale kernel "
        "is a weak one.",
        lambda: draw_kernels(run.kernels, run.wavelengths_nm),
    )


def _features(run: Run) -> Picture:
    label = shorten(run.classes[int(run.examples.labels[0])])
    return Picture(
        "features",
        "What the camera sees",
        f"One test image of class {label} and its difference picture for each kernel",
        "Left, one test image. Right, for each kernel, the picture that the positive site throws "
        "on the sensor less that of the negative site: all that the digital backend gets to see. "
        "One scale for all; white is zero, red positive, blue negative.",
        lambda: draw_features(run.examples.scene[0], run.examples.features[0], f"class {label}"),
    )


def _curves(run: Run) -> Picture:
    return Picture(
        "curves",
        "Training",
        "Accuracy, alignment and loss terms by epoch",
        "Epoch by epoch. Accuracy is measured on the validation images, which nothing is trained "
        "on; a dot marks the best epoch, and the first steep epochs may lie below the frame. "
        "NTK alignment, where it is recorded, is the centred kernel alignment of the student's "
        "neural tangent kernel with the teacher's: 1 means equal up to scale. The losses are shown "
        "on a logarithmic scale, the student's with the terms of its objective, each before its "
        "weight.",
        lambda: draw_curves({name: model.history for name, model in run.models.items()}),
    )


def _confusion(run: Run) -> Picture:
    counts = "The numbers count test images. " if len(run.classes) <= MOST_COUNTS else ""
    return Picture(
        "confusion",
        "Which classes are confused",
        "Confusion matrices on the test images",
        f"A row is a true class, a column what the network took it for. {counts}The colour is the "
        "share of the true class, on a scale that is stretched at the low end so that single "
        "mistakes can be seen. A perfect network has nothing beside the diagonal.",
        lambda: draw_confusion(
            {name: model.predictions for name, model in run.models.items()}, run.classes
        ),
    )


def _map(run: Run) -> Picture:
    return Picture(
        "embedding",
        "How the classes lie",
        "t-SNE maps of the features of test images",
        "Features of test images laid out in the plane by t-SNE (van der Maaten and Hinton 2008). "
        "Images that a network finds alike lie together: well separated clusters of one colour are "
        "classes it tells apart. Distances between clusters, the axes and the turn of the map mean "
        "nothing, and the maps of two networks can be compared by their mixing only.",
        lambda: draw_embedding(
            {name: model.embedding for name, model in run.models.items()}, run.classes
        ),
    )
