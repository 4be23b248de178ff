"""What was promised before any training: the estimate beside what training reached."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hybridonn.errors import ArtefactError
from hybridonn.reports.curves import METRICS
from hybridonn.reports.reading import Table, read_table, refusal
from hybridonn.reports.style import INK, MODELS, PALETTE, WIDTH_IN, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STAGE = "the estimate stage"
COLOUR = PALETTE[6]
Z_95 = 1.96  # two standard errors: a 95 % interval


@dataclass(frozen=True)
class Estimated:
    """What the stage ``estimate`` leaves behind.

    Attributes:
        curve: ``images`` and the metric, a row for each number of training images.
        accuracy: With all training images, in [0, 1]; of masks the mIoU.
        uncertainty: Its standard error.
        train_images: How many the regression is fitted to.
        test_images: How many it is tested on.
        infinite: Whether the kernel knows nothing of the number of optical kernels.
        metric: ``accuracy``, or ``miou`` of masks.
    """

    curve: Table
    accuracy: float
    uncertainty: float
    train_images: int
    test_images: int
    infinite: bool
    metric: str = "accuracy"

    @property
    def label(self) -> str:
        """What the metric is called."""
        return METRICS[self.metric]


def read_estimate(folder: Path, numbers: Any) -> Estimated:
    """Read and check the stage's curve and numbers.

    Args:
        folder: The run.
        numbers: The section ``estimate`` of its results.json.

    Raises:
        ArtefactError: A number or the curve is missing or damaged, or both disagree.
    """
    masks = isinstance(numbers, dict) and "miou" in numbers
    metric = "miou" if masks else "accuracy"
    keys = (metric, "uncertainty", "train_images", "test_images")
    for key in keys:
        value = numbers.get(key) if isinstance(numbers, dict) else None
        if not isinstance(value, int | float):
            path = folder / "results.json"
            raise ArtefactError(refusal(path, "the run itself", f"it lacks estimate.{key}"))
    path = folder / "estimate" / "learning_curve.csv"
    curve = read_table(path, STAGE, ("images", metric))
    images, values = curve["images"], curve[metric]
    if not (images > 0).all() or not ((values >= 0) & (values <= 1)).all():
        raise ArtefactError(
            refusal(path, STAGE, f"images must be above 0 and {metric} between 0 and 1")
        )
    last = values[images.argmax()]
    if abs(last - numbers[metric]) > 1e-3:
        found = (
            f"its last {metric} is {last:.4f}, and results.json says "
            f"estimate.{metric} {numbers[metric]:.4f}"
        )
        raise ArtefactError(refusal(path, STAGE, found))
    infinite = numbers.get("kernels", "infinite") == "infinite"
    return Estimated(curve, *(numbers[key] for key in keys), infinite=infinite, metric=metric)


@styled
def draw_learning_curve(
    estimate: Estimated,
    *,
    student: float | None = None,
    student_images: int | None = None,
    teacher: float | None = None,
) -> Figure:
    """Draw the estimated accuracy or mIoU against the number of training images.

    Args:
        estimate: The curve and its error bar, which stands at the last point.
        student: What the trained student reaches, in [0, 1].
        student_images: What it was trained on; None: its level is a line only.
        teacher: What the teacher reaches.
    """
    from matplotlib.figure import Figure
    from matplotlib.patheffects import withStroke

    figure = Figure(figsize=(WIDTH_IN, 4.2), layout="constrained")
    axes = figure.subplots()
    order = estimate.curve["images"].argsort()
    images, values = (estimate.curve[name][order] for name in ("images", estimate.metric))
    axes.plot(images, 100 * values, "o-", color=COLOUR, markersize=5, label="estimate")
    half = 100 * Z_95 * estimate.uncertainty
    look = {"fmt": "none", "capsize": 5, "elinewidth": 1.8, "color": COLOUR}
    axes.errorbar(images[-1], 100 * values[-1], half, label="95 % interval", **look)
    levels = [("teacher", teacher, "--"), ("student", student, ":")]
    for name, level, dashes in levels:
        if level is not None:
            label = f"{name} {'as trained' if name == 'student' else ''}".strip()
            axes.axhline(
                100 * level,
                color=MODELS[name],
                ls=dashes,
                lw=1.6,
                label=f"{label}, {100 * level:.2f} %",
            )
    if student is not None and student_images is not None:
        look = {"color": MODELS["student"], "markersize": 9, "markeredgecolor": "white"}
        axes.plot(student_images, 100 * student, "D", **look)
    axes.set_ylabel(f"test {estimate.label} (%)")
    clear = student is None or student > min(values)  # a lower level would cross the legend
    _finish(axes, [*images, *([student_images] if student_images else [])], clear)
    # The curve rises to its last point: above and left of it there is room.
    look: dict[str, Any] = {"textcoords": "offset points", "ha": "right", "va": "center"}
    axes.annotate(
        f"{100 * estimate.accuracy:.2f} ± {half:.2f} %",
        (images[-1], 100 * values[-1] + half),
        (-9, 0),
        fontweight="bold",
        color=COLOUR,
        path_effects=[withStroke(linewidth=3, foreground="white")],
        **look,
    )
    return figure


def _finish(axes: Axes, images: list[float], clear: bool) -> None:
    from matplotlib.ticker import FuncFormatter, NullFormatter, NullLocator

    axes.set_xscale("log")
    axes.set_xlim(min(images) / 1.2, max(images) * 1.25)
    ticks = np.unique(images)
    # Numbers closer than a factor 1.3 would run into each other.
    kept = [
        tick for i, tick in enumerate(ticks) if i == len(ticks) - 1 or ticks[i + 1] > 1.3 * tick
    ]
    axes.set_xticks(kept)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("training images")
    axes.set_title("Promised before training, and reached by it")
    axes.grid(True)
    axes.set_axisbelow(True)
    axes.legend(loc="lower right" if clear else "center left")
    axes.spines["bottom"].set_color(INK)


def describe_estimate(
    estimate: Estimated, student: float | None, student_images: int | None, tested: int | None
) -> str:
    """The caption: what the estimate is, how it compares, and what it leaves out.

    Args:
        estimate: What the stage found.
        student: What the trained student reaches, in [0, 1].
        student_images: What it was trained on.
        tested: On how many test images.
    """
    said = _describe_masks(estimate) if estimate.metric == "miou" else _describe_classes(estimate)
    if student is not None:
        said.append(_compare(estimate, student, student_images, tested))
    said.append(
        "It leaves out what training finds beyond small changes of the initial weights, the "
        "teacher, the augmentation and all errors of real optics: read it to compare designs "
        "rather than as a bound."
    )
    return " ".join(said)


def _describe_masks(estimate: Estimated) -> list[str]:
    return [
        "Kernel ridge regression of single pixels: each is told from what the design's electronics "
        "see around it, its pictures behind randomly drawn optical kernels, the best of several "
        "draws, with the neural tangent kernel (NTK) of infinitely wide layers on them. Fitted to "
        f"pixels sampled from {estimate.train_images:,} training images and tested on "
        f"{estimate.test_images:,} test images; the bar is its 95 % interval from resampling both. "
        "Optical kernels that are trained are left out, too."
    ]


def _describe_classes(estimate: Estimated) -> list[str]:
    return [
        "Kernel ridge regression with the neural tangent kernel (NTK) of the same layers before "
        f"any training, fitted to {estimate.train_images:,} training images and tested on "
        f"{estimate.test_images:,} test images; the bar is its 95 % interval from resampling both.",
        "All layers are taken as infinitely wide, so that the number of optical kernels and the "
        "widths of the hidden layers do not count."
        if estimate.infinite
        else "The optical layer has the design's own number of kernels, the best of several random "
        "draws; the layers behind it are taken as infinitely wide.",
    ]


def _compare(
    estimate: Estimated, student: float, student_images: int | None, tested: int | None
) -> str:
    gap = 100 * (student - estimate.accuracy)
    side = "above" if gap > 0 else "below"
    on = "" if student_images is None else f" with {student_images:,} training images"
    sentence = (
        f"The trained student reaches {100 * student:.2f} %{on}, {abs(gap):.2f} points {side} it."
    )
    unlike = [
        what
        for what, one, other in (
            ("training", student_images, estimate.train_images),
            ("test", tested, estimate.test_images),
        )
        if one is not None and one != other
    ]
    if not unlike:
        return sentence
    return f"{sentence} The two saw different {' and '.join(unlike)} images."
