"""The chip in words and numbers: what fabrication cost, and what each step won back."""

from __future__ import annotations

from hybridonn.distillation.methods import METHODS
from hybridonn.reports.artefacts.chip import Chip, Treatment
from hybridonn.reports.artefacts.run import Run, chip_of
from hybridonn.reports.formats import LEAST, percent, points, signed_span, span
from hybridonn.reports.tables.treatments import TREATMENTS, share_won

BY = {
    "calibrated": "calibration",
    **{name: f"fine-tuning {one.how_in_full}" for name, one in METHODS.items()},
}


def summarise_chip(run: Run) -> str:
    """The chip in one sentence for the head of the report: as fabricated, and compensated."""
    chip, student = chip_of(run), run.models["student"].predictions
    kind = "measured" if chip.measured else "simulated"
    on = "" if chip.total == student.total else f" on {chip.total:,} captured test images"
    if on and chip.ideal.scores is not None:
        on += f", where ideal optics reach {percent(chip.ideal.value, chip.total)},"
    text = f"Behind the {kind} chip it reaches{on} {_reach(chip.treatments[0], chip)} as fabricated"
    if chip.kept is None:
        return f"{text}; nothing was compensated."
    return f"{text} and {_reach(chip.kept, chip)} compensated."


def describe_chip(run: Run) -> str:
    """What the chip loses, and what each step of the compensation wins back."""
    chip, metric = chip_of(run), run.task.label
    before, total = chip.treatments[0], chip.total
    lost = chip.ideal.value - before.value
    kind = "measured" if chip.measured else "simulated"
    ideal = f"{percent(chip.ideal.value, total)} with ideal optics"
    cause = "" if chip.measured else " by fabrication"
    if chip.designed is not None:
        cause = ""
        ideal += f" and {percent(chip.designed, total)} with the pillars as designed"
    if chip.ideal.scores is None:
        head = (
            f"The {kind} chip reaches {_reach(before, chip)} {metric} on {total:,} captured test "
            f"images; ideal optics reach {ideal.split(' with')[0]} on all test images, which is "
            "another set, so that no loss is stated"
        )
    elif lost > LEAST:
        lead = chip.ideal.gain_over(before)
        sure = "" if lead is None else f" (95 % on the same images: {signed_span(lead, total)})"
        head = (
            f"The {kind} chip loses {points(lost, total)} of {metric}{cause}{sure}, from {ideal} "
            f"to {_reach(before, chip)}"
        )
    else:
        head = (
            f"The {kind} chip loses nothing{cause}: {_reach(before, chip)} {metric} after {ideal}"
        )
    return head + (_describe_steps(chip, chip.kept) if chip.kept else ".") + _say_why(chip)


def _say_why(chip: Chip) -> str:
    """Why the treatment is kept: what each reached on captures that it did not see."""
    scores, kept, total = chip.held_out, chip.kept, chip.held_out_total
    if kept is None or kept.method not in scores:
        return ""
    best = scores[kept.method]
    others = [name for name in scores if name != kept.method]
    said = ", ".join(f"{TREATMENTS.get(one, one)} {percent(scores[one], total)}" for one in others)
    alike = any(scores[one] >= best - LEAST for one in others)
    less = "; of equals the one with the smallest loss" if alike else ""
    return (
        f" Kept is what was best on {total:,} captures held out from all candidates: "
        f"{TREATMENTS.get(kept.method, kept.method)} {percent(best, total)} ({said}){less}."
    )


def _describe_steps(chip: Chip, kept: Treatment) -> str:
    """What calibration wins, what the kept fine-tuning wins behind it, and what was best."""
    if kept is chip.treatments[0]:
        return (
            f"; on {_share(chip)} ({_count_captures(chip)}) no treatment was better than none, and "
            "the chip is left as it is."
        )
    labels = "" if chip.numbers["labelled"] else " without labels"
    steps = [one for one in chip.treatments[1:] if _is_step(chip, one, kept)]
    said = [
        f"{_name_step(one, labels)} {_say_gain(chip, one)}, to {_reach(one, chip)}" for one in steps
    ]
    share = share_won(chip, kept)
    word = "Together that" if len(steps) > 1 else "That"
    together = "" if share is None else f" {word} is {share} of the loss."
    text = f"; on {_share(chip)} ({_count_captures(chip)}), {'; behind it, '.join(said)}.{together}"
    best = max(chip.treatments, key=lambda one: one.value)
    if best.value > kept.value + LEAST:
        name = TREATMENTS.get(best.method, best.method)
        text += f" Most was reached {name}: {percent(best.value, chip.total)}."
    return text


def _is_step(chip: Chip, one: Treatment, kept: Treatment) -> bool:
    calibrates = one.method == "calibrated" and chip.numbers["calibration"] != "none"
    return calibrates or one is kept


def _name_step(one: Treatment, labels: str) -> str:
    name = BY.get(one.method, f"the method {one.method}")
    return name if one.method == "calibrated" else name + labels


def _say_gain(chip: Chip, one: Treatment) -> str:
    """What one step wins over the step before, and whether the test images tell it from zero."""
    start = chip.step_before[one.method]
    gain = one.value - start.value
    if abs(gain) <= LEAST:
        text = "changes nothing"
    else:
        text = f"{'wins' if gain > 0 else 'loses'} {points(gain, chip.total)}"
        text += " back" if gain > 0 and start is chip.treatments[0] else ""
    difference = one.gain_over(start)
    if difference is None:
        return text
    apart = "" if difference.clear else ", not to be told from zero"
    return f"{text} (95 %: {signed_span(difference, chip.total)}{apart})"


def _reach(one: Treatment, chip: Chip) -> str:
    return f"{percent(one.value, chip.total)} ({span(one.interval, chip.total)})"


def _count_captures(chip: Chip) -> str:
    twin = chip.numbers.get("twin_images", 0)  # a run of before has none
    more = f" and {twin:,} more images shown to a model of the chip fitted to them" if twin else ""
    return f"{chip.numbers['captures']:,} captures{more}"


def _share(chip: Chip) -> str:
    fraction = f"{100 * chip.numbers['fraction']:.3g} %"
    return f"{fraction} of the {'captures' if chip.measured else 'training images'}"
