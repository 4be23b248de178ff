"""The tables of a study's page, of what its JSON file holds; shares become per cent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hybridonn.optics.fabrication.table import ERRORS
from hybridonn.reports.formats import number, percent, span
from hybridonn.reports.tables.treatments import TREATMENTS

MANY = 1000  # test images: two decimals of a per cent
DASH = "–"


@dataclass(frozen=True)
class Table:
    """A table of a study.

    Attributes:
        title: What it shows.
        head: Names of the columns.
        rows: Cells, as many as the head has.
        note: What a reader must know of it.
    """

    title: str
    head: tuple[str, ...]
    rows: list[tuple[str, ...]]
    note: str = ""


Tables = Callable[[dict[str, Any]], list[Table]]


def tabulate_comparison(found: dict[str, Any]) -> list[Table]:
    """Means of the methods or optics, and their paired differences."""
    methods, label = found["methods"], found.get("label", found["metric"])
    sizes = {
        "perfect_camera": "perfect camera",
        "kernels": "kernels",
        "read_out_pixels": "pixels read out",
        "macs": "MACs",
    }
    known = [key for key in sizes if all(key in one for one in methods.values())]
    head = (
        *(found.get("compared", "method"), "mean", "95 % interval"),
        *("standard deviation", "lowest", "highest", "seconds a training"),
        *(sizes[key] for key in known),
    )
    rows = [
        (
            *(one["label"], percent(one["mean"]), _interval(one), _points(one)),
            *(percent(min(one["values"])), percent(max(one["values"])), f"{one['seconds']:.1f}"),
            *(percent(one[key]) if key == "perfect_camera" else number(one[key]) for key in known),
        )
        for one in methods.values()
    ]
    names = {key: one["label"] for key, one in methods.items()}
    pairs = [
        (f"{names[one['method']]} − {names[one['baseline']]}", *_difference(one), number(one["n"]))
        for one in found["differences"]
    ]
    tables = [Table("Means over the seeds", head, rows, f"Test {label}.")]
    columns = ("", "points", "95 % interval", "pairs")
    return [*tables, Table("Paired differences", columns, pairs)] if pairs else tables


def tabulate_tolerance(found: dict[str, Any]) -> list[Table]:
    """What each treatment of the chips reaches, and what each error costs alone."""
    note = f"A good chip has {percent(found['threshold'])} or more; the yield is their share."
    head = ("treatment", "mean", "standard deviation", "lowest", "highest", "yield", "95 %")
    rows = [
        (
            *(str(TREATMENTS.get(key, key)), percent(one["mean"]), _points(one)),
            *(percent(one["lowest"]), percent(one["highest"]), percent(one["yield"], 1)),
            span((one["yield_low"], one["yield_high"]), 1),
        )
        for key, one in found["summary"].items()
    ]
    tables = [Table("Chips by treatment", head, rows, note)]
    alone = [
        (
            *(_name_error(one["error"]), number(one["magnitude"]), percent(one["mean"])),
            *(percent(one["lowest"]), percent(one["highest"])),
        )
        for one in found["alone"]
    ]
    head = ("error", "magnitude", "mean", "lowest", "highest")
    return (
        [*tables, Table("Each error alone, before compensation", head, alone)] if alone else tables
    )


def tabulate_ranking(found: dict[str, Any]) -> list[Table]:
    """How well each estimate ranks the designs, and every design."""
    kinds = list(found["estimates"])
    head = ("estimate", "Spearman", "95 %", "mean error, points", "bias, points", "regret, points")
    rows = [
        (
            *(f"{kind} kernels", _round(one["spearman"]), _bracket(one, "spearman")),
            *(_round(one["mean_error_points"]), _round(one["bias_points"])),
            _round(one["regret_points"]),
        )
        for kind, one in found["estimates"].items()
    ]
    similar = found.get("similarity")
    if similar:
        cells = _round(similar["spearman"]), _bracket(similar, "spearman")
        rows.append(("kernel similar to the teacher's", *cells, "-", "-", "-"))
    columns = ("design", "parameters", "trained", *(f"estimate, {kind}" for kind in kinds))
    designs = [
        (
            *(one["name"], number(one["parameters"]), percent(one["trained"])),
            *(f"{percent(one[kind])} ({_ends(one, kind)})" for kind in kinds),
        )
        for one in sorted(found["designs"], key=lambda one: -one["trained"])
    ]
    return [
        Table("Rank correlation of estimated and trained accuracy", head, rows),
        Table("The designs, the best first", columns, designs, "Estimates with 95 % intervals."),
    ]


def tabulate_readout(found: dict[str, Any]) -> list[Table]:
    """Every read-out with its mean, and how far it is from the best lens."""
    head = ("optics", "pixels", "bits", "numbers read", found["label"], "95 %", "− best lens")
    rows = [
        (
            "lens" if one["optics"] == "lens" else f"{one['kernels']} ideal",
            f"{one['pooled_size']} × {one['pooled_size']}",
            number(one["bits"]),
            number(one["numbers"]),
            percent(one["mean"]),
            _interval(one),
            " ".join(_difference(one.get("no_more_numbers"))),
        )
        for one in found["points"]
    ]
    note = "The best lens has the same bits and reads no more numbers; differences in points."
    return [Table("Read-outs", head, rows, note)]


def tabulate_regimes(found: dict[str, Any]) -> list[Table]:
    """Every method at every number of images and epochs."""
    rows = []
    for point in found["points"]:
        against = {one["variant"]: one for one in point["differences"]}
        for name, one in point["variants"].items():
            place = number(point["images"]), number(point["epochs"]), one["label"]
            values = percent(one["mean"]), _interval(one), *_difference(against.get(name))
            rows.append((*place, *values, f"{one['seconds']:.1f}"))
    head = ("images", "epochs", "method", found["label"], "95 %", "difference", "95 %", "seconds")
    note = "Differences in points: of KD to the task alone, of NTKD to KD. Seconds of one training."
    return [Table("Every point", head, rows, note)]


def _interval(one: Mapping[str, Any]) -> str:
    return DASH if one.get("low") is None else span((one["low"], one["high"]), MANY)


def _points(one: Mapping[str, Any]) -> str:
    value = one["standard_deviation"]
    return DASH if value is None else f"{100 * value:.2f} points"


def _difference(one: Mapping[str, Any] | None) -> tuple[str, str]:
    """A difference in points and its interval; dashes where there is none."""
    if one is None:
        return DASH, ""
    mean = _sign(one["mean"])
    ends = "" if one["low"] is None else f"[{_sign(one['low'])}, {_sign(one['high'])}]"
    return mean, ends


def _sign(share: float) -> str:
    return f"{100 * share:+z.2f}".replace("-", "−")


def _round(value: float | None) -> str:
    return DASH if value is None else f"{value:.2f}".replace("-", "−")


def _bracket(one: Mapping[str, Any], key: str) -> str:
    low, high = one[f"{key}_low"], one[f"{key}_high"]
    return DASH if low is None else f"{_round(low)} to {_round(high)}"


def _ends(one: Mapping[str, Any], kind: str) -> str:
    return span((one[f"{kind}_low"], one[f"{kind}_high"]), MANY)


def _name_error(key: str) -> str:
    names = {record.key: record.label for record in ERRORS} | {"none": "design itself"}
    return names.get(key, key)


def tabulate_strategies(found: dict[str, Any]) -> list[Table]:
    """Every strategy at every budget, and how far it is from end to end from a lens."""
    against = {(one["variant"], one["epochs"]): one for one in found["differences"]}
    rows = [
        (
            one["label"],
            number(one["epochs"]),
            number(round(one["evaluations"])),
            f"{one['seconds']:.1f}",
            percent(one["mean"]),
            _interval(one),
            percent(one["cropped"]),
            *_difference(against.get((one["variant"], one["epochs"]))),
        )
        for one in found["points"]
    ]
    head = ("strategy", "epochs", "PSF evaluations", "seconds", found["label"], "95 %")
    head = (*head, "cropped PSFs", "− end to end from a lens", "95 %")
    note = f"Sub-optics of {found['pillars']}. Differences in points, of paired seeds."
    return [Table("Strategies at equal budgets", head, rows, note)]
