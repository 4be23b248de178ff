"""The chip's part of the report: its figures and the captions that tell how to read them."""

from __future__ import annotations

from hybridonn.reports.artefacts.chip import Chip, ChipOptics
from hybridonn.reports.artefacts.predictions import Predictions
from hybridonn.reports.artefacts.run import Run
from hybridonn.reports.figures.chip import (
    draw_built_kernels,
    draw_built_psfs,
    draw_fractions,
    draw_treatments,
)
from hybridonn.reports.figures.confusion import MOST_COUNTS, draw_confusion
from hybridonn.reports.figures.embedding import draw_embedding
from hybridonn.reports.sections.chip_wording import describe_chip, list_treatments
from hybridonn.reports.sections.section import Picture

INTERVALS = (
    "Dots are the metric on {captures} test captures, bars its 95 % intervals, the dashed line and "
    "the grey band the network with ideal optics on {images}. "
)


def list_chip_pictures(run: Run) -> list[Picture]:
    """The figures of the chip before and after compensation; none where there is no chip."""
    chip = run.chip
    if chip is None:
        return []
    return [
        _treatments(run, chip),
        *_fractions(run, chip),
        *_confusion(run, chip),
        *_maps(run, chip),
        *([] if chip.optics is None else _optics(chip, chip.optics, run.optics is not None)),
    ]


def _treatments(run: Run, chip: Chip) -> Picture:
    student = run.models["student"].predictions
    images, metric = "the same images", student.metric
    if chip.ideal.scores is None:
        images = f"all {student.total:,} test images, which are not the same ones"
    words = [
        INTERVALS.format(captures=f"{chip.total:,}", images=images),
        "“As fabricated” is the trained network behind the chip as it came out. ",
    ]
    if chip.kept:
        words.append(
            "“Calibrated” sets its backend anew in closed form on the captures, without labels; "
            "fine-tuning starts from there, on labels alone, with the teacher's answers (KD), or "
            "with its answers and its tangent kernel (NTKD). The bold one is left to the chip: the "
            "best on captures held out, which neither it nor the other candidates had seen; it was "
            "then made again of all captures. "
            "Differences are of pairs: both sides on the same images; the step before a "
            "fine-tuning is the calibration, that before the calibration the chip as fabricated. "
            "Intervals tell how far chance in the choice of test images may move a number, not "
            "how far other captures or another chip would. The share of the loss is left out "
            "where the loss itself is within that chance."
        )
    words += _say_missing(run, chip)
    return Picture(
        "chip",
        "The chip",
        f"Test {metric} with ideal optics, as fabricated and compensated",
        "".join(words),
        lambda: draw_treatments(chip, student),
        tuple(list_treatments(run)),
        describe_chip(run).replace(" %", "\u00a0%"),  # no line starts with a per cent sign
    )


def _say_missing(run: Run, chip: Chip) -> list[str]:
    """What this report does not show of the chip, and why."""
    said = []
    if run.overlays is not None:
        said.append(
            " Of masks no confusion of classes and no t-SNE is shown: an image holds several "
            "classes."
        )
    if chip.optics is None:
        said.append(
            " No point spread functions were captured, so none are shown: capture the picture of "
            "a point, too (hybridonn captures template)."
        )
    if chip.kept and chip.fractions is None:
        said.append(
            " For a curve over the number of captures set compensation.fractions, to "
            "[0.01, 0.03] for example."
        )
    return said


def _fractions(run: Run, chip: Chip) -> list[Picture]:
    curve, student = chip.fractions, run.models["student"].predictions
    if curve is None:
        return []
    bands = ", bands are 95 % intervals" if isinstance(student, Predictions) else ""
    whole = "captures of training images" if chip.measured else "training images"
    return [
        Picture(
            "chip-fractions",
            "How many captures it takes",
            f"Test {student.metric} against the fraction of captures",
            f"The metric on the test captures against the fraction of the {whole} that was learnt "
            f"from{bands}; below each fraction stands the number of captures. Dashed: ideal "
            "optics, and the chip as fabricated. No test capture is ever learnt from.",
            lambda: draw_fractions(curve, chip, student),
            level=3,
        )
    ]


def _confusion(run: Run, chip: Chip) -> list[Picture]:
    answers = {name: one for name, one in chip.answers.items() if isinstance(one, Predictions)}
    if not answers:
        return []
    student = run.models["student"].predictions
    if "compensated" not in answers and isinstance(student, Predictions):
        answers = {"ideal optics": student} | answers
    counts = "numbers count test captures, " if len(run.classes) <= MOST_COUNTS else ""
    return [
        Picture(
            "chip-confusion",
            f"Confused classes, {' and '.join(answers)}",
            f"Confusion matrices, {' and '.join(answers)}",
            f"As above: a row is a true class, a column the answer; {counts}and both share one "
            "scale of colour, the per cent of the true class.",
            lambda: draw_confusion(answers, run.classes),
            level=3,
        )
    ]


def _maps(run: Run, chip: Chip) -> list[Picture]:
    if not chip.embeddings:
        return []
    return [
        Picture(
            "chip-embedding",
            "How the classes lie, before and after",
            "t-SNE of the features of test captures before and after compensation",
            "What the backend's last layer sees of the same test captures (of a backend of one "
            "layer: its answers), as fabricated and compensated, laid out by one t-SNE for both, "
            "so that places on the left and on the right compare: images that lie elsewhere on the "
            "left are those whose features the chip displaced.",
            lambda: draw_embedding(chip.embeddings, run.classes, together=True),
            level=3,
        )
    ]


def _optics(chip: Chip, optics: ChipOptics, metasurface: bool) -> list[Picture]:
    built = "measured" if chip.measured else "built"
    wanted = "the simulated metasurface's" if metasurface and not chip.measured else "as trained"
    shown = (
        "Kernels are ordered from the one that is nearest to its design to the one that is "
        "farthest; where there are too many, evenly between the two. Below each, its error: the "
        "Euclidean distance from the design over the design's size. One scale for all; white "
        "is zero."
    )
    return [
        Picture(
            "chip-kernels",
            f"Kernels, designed and {built}",
            f"Signed kernels as designed, as {built}, and the difference",
            f"Signed kernels as designed ({wanted}), as {built}, and the difference. {shown}",
            lambda: draw_built_kernels(optics, built),
            level=3,
        ),
        Picture(
            "chip-psfs",
            f"Point spread functions, designed and {built}",
            f"Point spread functions as designed, as {built}, and the difference",
            "The two point spread functions of some kernels, positive (+) and negative (−) part, "
            f"upright: a kernel turned by half a turn. {shown}",
            lambda: draw_built_psfs(optics, built),
            level=3,
        ),
    ]
