"""The accuracy that was estimated before any training."""

from __future__ import annotations

from hybridonn.reports.artefacts.estimate import Estimated
from hybridonn.reports.artefacts.run import Run
from hybridonn.reports.figures.learning_curve import draw_learning_curve
from hybridonn.reports.formats import percent, points, signed_span
from hybridonn.reports.sections.section import ReportFigure, Section
from hybridonn.reports.statistics import Difference


def _build(run: Run) -> ReportFigure:
    assert run.estimate is not None  # the section is wanted only then
    estimate, student = run.estimate, run.models["student"].predictions
    images = run.record["data"].get("student_train")
    teacher = run.models["teacher"].predictions.value if "teacher" in run.models else None
    return ReportFigure(
        "estimate",
        "Promised before training",
        f"Estimated {run.task.label} against training images, "
        f"{percent(estimate.value, estimate.test_images)} in the end",
        describe_estimate(
            estimate, student.value, images, student.total, estimate.against(student)
        ),
        lambda: draw_learning_curve(
            estimate, student=student.value, student_images=images, teacher=teacher
        ),
    )


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
    said = [_describe_kernel(estimate), *_describe_optics(estimate)]
    if student is not None:
        said.append(_compare(estimate, student, student_images, tested, difference))
    said.append(
        "It leaves out what training finds beyond small changes of the initial weights, the "
        "teacher, the augmentation and all errors of real optics: read it to compare designs "
        "rather than as a bound."
    )
    return " ".join(said)


# What the caption says of the kernel, and of the optical layer in it, by the estimator.
OF_LAYERS = (
    "Kernel ridge regression with the neural tangent kernel (NTK) of the same layers before any "
    "training, fitted to"
)
OF_PIXELS = (
    "Kernel ridge regression of single pixels: each is predicted from what the design's "
    "electronics see around it behind randomly drawn optical kernels, the best of several draws, "
    "with the neural tangent kernel (NTK) of infinitely wide layers. It is fitted to pixels "
    "sampled from"
)
WORDS = {
    "estimate_infinite": (
        OF_LAYERS,
        "All layers are taken as infinitely wide, so that the number of optical kernels and the "
        "widths of the hidden layers do not count.",
    ),
    "estimate_drawn": (
        OF_LAYERS,
        "The optical layer has the design's own number of kernels, the best of several random "
        "draws; the layers behind it are taken as infinitely wide.",
    ),
    "estimate_lens": (
        OF_LAYERS,
        "A plain lens gives the electronics the image itself, so that there is no optical kernel; "
        "their layers are taken as infinitely wide.",
    ),
    "estimate_pixels": (OF_PIXELS, "Optical kernels that are trained are left out, too."),
}


def _describe_kernel(estimate: Estimated) -> str:
    """What the estimate was fitted to and tested on; of an unknown estimator in its own words."""
    head, _ = WORDS.get(estimate.estimator, (f"{estimate.method}; fitted to", ""))
    return (
        f"{head} {estimate.train_images:,} training images and tested on "
        f"{estimate.test_images:,} test images; the bar is its 95 % interval from resampling both."
    )


def _describe_optics(estimate: Estimated) -> list[str]:
    return [WORDS[estimate.estimator][1]] if estimate.estimator in WORDS else []


def _compare(
    estimate: Estimated,
    student: float,
    student_images: int | None,
    tested: int | None,
    difference: Difference | None,
) -> str:
    total = estimate.test_images
    gap = student - estimate.value if difference is None else difference.mean
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


ESTIMATE = Section(
    "estimate", wanted=lambda run: run.estimate is not None, build=lambda run: [_build(run)]
)
