"""The chip in words and numbers: what fabrication cost, and what was won back."""

from __future__ import annotations

from hybridonn.reports.artefacts import Run
from hybridonn.reports.chip import Chip, Treatment
from hybridonn.reports.wording import percent

METHODS = {
    "uncompensated": "as built",
    "calibrated": "calibrated",
    "none": "fine-tuned on labels",
    "kd": "fine-tuned with KD",
    "ntkd": "fine-tuned with NTKD",
}
BY = {
    "none": "fine-tuning on labels alone",
    "kd": "fine-tuning with knowledge distillation (KD)",
    "ntkd": "fine-tuning with neural tangent knowledge distillation (NTKD)",
}
LEAST = 1e-5  # smaller differences are of rounding: a set of 100,000 test images has none


def describe_chip(run: Run) -> str:
    """What the chip loses, what was won back, how, and with how many captures."""
    chip, student = _chip(run), run.models["student"].predictions
    before, total = chip.treatments[0], chip.total
    lost = student.value - before.value
    kind = "measured" if chip.measured else "simulated"
    reached = f"{percent(before.value, total)} ({_between(before, total)})"
    ideal = f"{percent(student.value, total)} with ideal optics"
    cause = "" if chip.measured else " by fabrication"
    if chip.designed is not None:
        cause, pillars = "", percent(chip.designed, total)
        ideal += f" and {pillars} with the pillars as designed"
    if lost > LEAST:
        points = _points(lost, total)
        head = (
            f"The {kind} chip loses {points} of {student.metric}{cause}, from {ideal} to {reached}"
        )
    else:
        head = f"The {kind} chip loses nothing{cause}: {reached} {student.metric} after {ideal}"
    return head + (_describe_gain(run, chip.kept) if chip.kept else ".")


def _describe_gain(run: Run, kept: Treatment) -> str:
    chip, total = _chip(run), _chip(run).total
    won = kept.value - chip.treatments[0].value
    how = BY.get(kept.method, f"the method {kept.method}")
    how += "" if chip.numbers["labelled"] else " without labels"
    how = how if chip.numbers["calibration"] == "none" else f"calibration and {how}"
    gained = "wins nothing back"
    if won > LEAST:
        gained = f"wins {_points(won, total)} back"
        share = _share_won(run, kept)
        gained += "" if share is None else f", {share} of the loss,"
    text = (
        f"; {how} on {_share(chip)} ({_count_captures(chip)}) {gained} and ends at "
        f"{percent(kept.value, total)} ({_between(kept, total)})."
    )
    best = max(chip.treatments, key=lambda one: one.value)
    if best.value > kept.value + LEAST:
        name = METHODS.get(best.method, best.method)
        text += f" Most was reached {name}: {percent(best.value, total)}."
    return text


def _share_won(run: Run, one: Treatment) -> str | None:
    """How much of the loss was won back; None: the loss is within the chance of the test images."""
    student, before = run.models["student"].predictions, _chip(run).treatments[0]
    if before.value >= student.interval[0]:
        return None
    share = (one.value - before.value) / (student.value - before.value)
    return f"{100 * share:.0f} %".replace("-", "−")


def list_treatments(run: Run) -> list[tuple[str, ...]]:
    """The treatments as a table, header first, the ideal optics above them."""
    chip, student = _chip(run), run.models["student"].predictions
    total = chip.total
    low, high = student.interval
    header = ("", f"test {student.metric}", "95 % interval", "against ideal", "loss won back")
    rows: list[tuple[str, ...]] = [header]
    ideal = Treatment("ideal optics", student.value, (low, high))
    better = [ideal]
    if chip.designed is not None:
        better.append(Treatment("pillars as designed", chip.designed, None))
    for one in (*better, *chip.treatments):
        against = f"{_signed(one.value - student.value, total)} points"
        first = one in better or one is chip.treatments[0]
        name = METHODS.get(one.method, one.method)
        name += " (kept)" if chip.kept is one else ""
        rows.append(
            (
                name,
                percent(one.value, total),
                _between(one, total),
                "–" if one is ideal else against,
                "–" if first else _share_won(run, one) or "–",
            )
        )
    return rows


def list_chip_tiles(run: Run) -> list[tuple[str, str, str]]:
    """The key numbers: (what, value, note)."""
    if run.chip is None:
        return []
    total = run.chip.total
    shown = [("on the chip as built", run.chip.treatments[0])]
    shown += [("on the chip compensated", run.chip.kept)] if run.chip.kept else []
    return [
        (what, percent(one.value, total), f"95 %: {_between(one, total)}") for what, one in shown
    ]


def _chip(run: Run) -> Chip:
    assert run.chip is not None  # whoever asks has looked
    return run.chip


def _count_captures(chip: Chip) -> str:
    twin = chip.numbers.get("twin_images", 0)  # a run of before has none
    more = f" and {twin:,} more images shown to a model of the chip fitted to them" if twin else ""
    return f"{chip.numbers['captures']:,} captures{more}"


def _share(chip: Chip) -> str:
    fraction = f"{100 * chip.numbers['fraction']:.3g} %"
    return f"{fraction} of the {'captures' if chip.measured else 'training images'}"


def _between(one: Treatment, total: int) -> str:
    if one.interval is None:
        return "–"
    low, high = one.interval
    return f"{percent(low, total)[:-2]} to {percent(high, total)}"


def _points(difference: float, total: int) -> str:
    return f"{percent(difference, total)[:-2]} points"


def _signed(difference: float, total: int) -> str:
    if abs(difference) <= LEAST:
        return "±0"
    return ("−" if difference < 0 else "+") + percent(abs(difference), total)[:-2]
