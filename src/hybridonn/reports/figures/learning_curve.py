"""What was promised before any training: the estimate beside what training reached."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hybridonn.core.errors import ArtefactError
from hybridonn.reports.artefacts.masks import MaskPredictions
from hybridonn.reports.artefacts.predictions import Predictions
from hybridonn.reports.artefacts.reading import Table, read_arrays, read_table, refusal
from hybridonn.reports.figures.curves import METRICS
from hybridonn.reports.figures.style import INK, MODELS, PALETTE, WIDTH_IN, styled
from hybridonn.reports.formats import percent, points, signed_span, span
from hybridonn.reports.statistics import Difference, score_difference, share_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STAGE = "the estimate stage"
COLOUR = PALETTE[6]
Answers = Predictions | MaskPredictions


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
        positions: Which of the run's test images it is tested on, (N,); None: not kept.
        scores: The metric of each of these images, (N,); None: not kept.
    """

    curve: Table
    accuracy: float
    uncertainty: float
    train_images: int
    test_images: int
    infinite: bool
    metric: str = "accuracy"
    positions: np.ndarray | None = None
    scores: np.ndarray | None = None

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the estimate, from resampling test and training images."""
        return share_interval(self.accuracy, self.uncertainty, self.test_images)

    def against(self, student: Answers) -> Difference | None:
        """How far a student is ahead on the estimate's own test images; None: not known."""
        if self.positions is None or self.scores is None:
            return None
        return score_difference(student.scores[self.positions], self.scores)

    @property
    def label(self) -> str:
        """What the metric is called."""
        return METRICS[self.metric]


def read_estimate(folder: Path, numbers: Any, student: Answers) -> Estimated:
    """Read and check the stage's curve, numbers and answers.

    Args:
        folder: The run.
        numbers: The section ``estimate`` of its results.json.
        student: Answers of the trained student on all test images.

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
    found = Estimated(curve, *(numbers[key] for key in keys), infinite=infinite, metric=metric)
    answers = _read_answers(folder / "estimate" / "predictions.npz", found, student)
    return found if answers is None else replace(found, positions=answers[0], scores=answers[1])


def _read_answers(
    path: Path, estimate: Estimated, student: Answers
) -> tuple[np.ndarray, np.ndarray] | None:
    """Which test images the estimate is tested on, and its score on each; None: not kept.

    Raises:
        ArtefactError: The file is damaged, or contradicts the student or the numbers.
    """
    if not path.is_file():
        return None
    masks = isinstance(student, MaskPredictions)
    dimensions = 3 if masks else 1
    arrays = read_arrays(path, STAGE, {"labels": dimensions, "predicted": dimensions})
    if "positions" not in arrays:  # of an earlier version
        return None
    positions, labels = arrays["positions"], arrays["labels"]
    fits = len(positions) == len(labels) and positions.max() < student.total
    if not fits or not np.array_equal(student.labels[positions], labels):
        raise ArtefactError(refusal(path, STAGE, "its test images are not those of the student"))
    if isinstance(student, MaskPredictions):
        scores = MaskPredictions(labels, arrays["predicted"], student.classes).scores
    else:
        scores = (arrays["predicted"] == labels).astype(float)
    if abs(float(scores.mean()) - estimate.accuracy) > 1e-3 + 1 / len(scores):
        found = (
            f"its {estimate.metric} is {scores.mean():.4f}, and results.json says "
            f"estimate.{estimate.metric} {estimate.accuracy:.4f}"
        )
        raise ArtefactError(refusal(path, STAGE, found))
    return positions, scores


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
        estimate: The curve and its 95 % interval, which stands at the last point.
        student: What the trained student reaches, in [0, 1].
        student_images: What it was trained on; None: its level is a line only.
        teacher: What the teacher reaches.
    """
    from matplotlib.figure import Figure
    from matplotlib.patheffects import withStroke

    figure = Figure(figsize=(WIDTH_IN, 4.5), layout="constrained")
    axes = figure.subplots()
    order = estimate.curve["images"].argsort()
    images, values = (estimate.curve[name][order] for name in ("images", estimate.metric))
    axes.plot(images, 100 * values, "o-", color=COLOUR, markersize=5, label="estimate")
    low, high = (100 * end for end in estimate.interval)
    sides = [[max(0.0, 100 * values[-1] - low)], [max(0.0, high - 100 * values[-1])]]
    look = {"fmt": "none", "capsize": 5, "elinewidth": 1.8, "color": COLOUR}
    axes.errorbar(images[-1], 100 * values[-1], sides, label="95 % interval", **look)
    _draw_level(axes, "teacher", teacher, "--", estimate.test_images)
    _draw_level(axes, "student", student, ":", estimate.test_images)
    if student is not None and student_images is not None:
        look = {"color": MODELS["student"], "markersize": 9, "markeredgecolor": "white"}
        axes.plot(student_images, 100 * student, "D", **look)
    axes.set_ylabel(f"test {estimate.label} (%)")
    axes.margins(y=0.12)
    _finish(axes, [*images, *([student_images] if student_images else [])])
    axes.annotate(  # above its bar: the curve itself may lie anywhere beside it
        f"{percent(estimate.accuracy, estimate.test_images)} "
        f"({span(estimate.interval, estimate.test_images)})",
        (images[-1], high),
        (14, 5),
        fontweight="bold",
        color=COLOUR,
        path_effects=[withStroke(linewidth=3, foreground="white")],
        textcoords="offset points",
        ha="right",
        va="bottom",
    )
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def _draw_level(axes: Axes, name: str, level: float | None, dashes: str, total: int) -> None:
    if level is not None:
        label = f"{name}{' as trained' if name == 'student' else ''}, {percent(level, total)}"
        axes.axhline(100 * level, color=MODELS[name], ls=dashes, lw=1.6, label=label)


def _finish(axes: Axes, images: list[float]) -> None:
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
    axes.spines["bottom"].set_color(INK)


def describe_estimate(
    estimate: Estimated,
    student: float | None,
    student_images: int | None,
    tested: int | None,
    difference: Difference | None = None,
) -> str:
    """The caption: what the estimate is, how it compares, and what it leaves out.

    Args:
        estimate: What the stage found.
        student: What the trained student reaches, in [0, 1].
        student_images: What it was trained on.
        tested: On how many test images.
        difference: Student less estimate on the estimate's own test images; None: not known.
    """
    said = _describe_masks(estimate) if estimate.metric == "miou" else _describe_classes(estimate)
    if student is not None:
        said.append(_compare(estimate, student, student_images, tested, difference))
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
    estimate: Estimated,
    student: float,
    student_images: int | None,
    tested: int | None,
    difference: Difference | None,
) -> str:
    total = estimate.test_images
    gap = student - estimate.accuracy if difference is None else difference.mean
    side = "above" if gap > 0 else "below"
    on = "" if student_images is None else f" with {student_images:,} training images"
    sentence = (
        f"The trained student reaches {percent(student, tested or total)}{on}, "
        f"{points(gap, total)} {side} it"
    )
    if difference is not None:
        sentence += (
            f" on the same {total:,} test images (student less estimate, 95 % over these images: "
            f"{signed_span(difference, total)})"
        )
    unlike = [
        what
        for what, one, other in (
            ("training", student_images, estimate.train_images),
            ("test", tested if difference is None else None, total),
        )
        if one is not None and one != other
    ]
    if not unlike:
        return f"{sentence}."
    return f"{sentence}. The two saw different {' and '.join(unlike)} images."
