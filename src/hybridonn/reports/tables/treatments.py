"""The treatments of a chip: metric, interval and differences of each."""

from __future__ import annotations

from hybridonn.distillation.methods import METHODS
from hybridonn.reports.artefacts.chip import Chip, Treatment
from hybridonn.reports.artefacts.run import Run, chip_of
from hybridonn.reports.formats import LEAST, percent, signed, signed_span, span

TREATMENTS = {
    "ideal": "ideal optics",
    "uncompensated": "as fabricated",
    "calibrated": "calibrated",
    **{name: f"fine-tuned {method.how}" for name, method in METHODS.items()},
}


def list_treatments(run: Run) -> list[tuple[str, ...]]:
    """The treatments as a table, header first, the ideal optics above them."""
    chip, metric = chip_of(run), run.task.label
    total = chip.total
    header = (
        "",
        f"test {metric}",
        "95 % interval",
        "points against ideal optics (95 %)",
        "loss won back",
        "points over the step before (95 %)",
    )
    unseen = chip.held_out
    rows: list[tuple[str, ...]] = [header]
    if unseen:
        rows = [(*header, f"on {chip.held_out_total:,} captures held out")]
    better = [chip.ideal]
    if chip.designed is not None:
        better.append(Treatment("pillars as designed", chip.designed, None))
    for one in (*better, *chip.treatments):
        name = TREATMENTS.get(one.method, one.method)
        name += " (kept)" if chip.kept is one else ""
        start = None if one in better else chip.step_before.get(one.method)
        rows.append(
            (
                name,
                percent(one.value, total),
                span(one.interval, total),
                "–" if one is chip.ideal else _against(one, chip.ideal, chip),
                "–" if start is None else share_won(chip, one) or "–",
                "–" if start is None else _against(one, start, chip),
                *([_say_unseen(chip, one)] if unseen else []),
            )
        )
    return rows


def _say_unseen(chip: Chip, one: Treatment) -> str:
    score = chip.held_out.get(one.method)
    return "–" if score is None else percent(score, chip.held_out_total)


def _against(one: Treatment, other: Treatment, chip: Chip) -> str:
    """A difference in points with its interval; a dash where the images are not the same."""
    difference = one.gain_over(other)
    if difference is not None:
        return f"{signed(difference.mean, chip.total)} ({signed_span(difference, chip.total)})"
    if other.scores is None and other is chip.ideal and one.scores is not None:
        return "–"
    return signed(one.value - other.value, chip.total)


def share_won(chip: Chip, one: Treatment) -> str | None:
    """How much of the loss was won back; None: the loss is within the chance of the test images."""
    lost = chip.ideal.value - chip.treatments[0].value
    if lost <= LEAST or not _is_lost_clearly(chip):
        return None
    share = (one.value - chip.treatments[0].value) / lost
    return f"{100 * share:.0f} %".replace("-", "−")


def _is_lost_clearly(chip: Chip) -> bool:
    before = chip.treatments[0]
    if chip.ideal.scores is None:  # of other images
        return False
    lost = chip.ideal.gain_over(before)
    if lost is None:  # of the chip as fabricated only the value is known
        return chip.ideal.interval is not None and before.value < chip.ideal.interval[0]
    return lost.clear and lost.mean > 0
