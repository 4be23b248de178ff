"""Where KD and NTKD pay: a point each of training images and budget, with paired differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from hybridonn.distillation.methods import BASELINE, CURE_OF_BEHIND
from hybridonn.studies.compare import paired_difference, summarise_values

KD, NTKD = "kd", "ntkd"
NUMBERS = ("mean", "low", "high", "standard_deviation")


def summarise(
    rows: Sequence[dict[str, Any]], counts: Mapping[int | None, int], metric: str
) -> dict[str, Any]:
    """Means by point and variant, and the differences KD - none and NTKD - KD on common seeds.

    Args:
        rows: A student each, with the values that were chosen for its variant: ``train_images``,
            ``epochs``, ``variant``, ``seed``, ``validation``, ``seconds``, ``tuned``, the metric.
        counts: Number of training images by what was asked for.
        metric: The key of what is compared.

    Returns:
        ``points``, each with ``images``, ``epochs``, ``train_images`` (what was asked for; None:
        all), ``variants`` by name (label, values, mean and interval, seconds, tuned) and
        ``differences`` (variant, baseline, mean, interval);
        ``variants``, their names in order, with labels; ``seeds``; ``sentences``.
    """
    variants = list(dict.fromkeys(row["variant"] for row in rows))
    places = sorted({(counts[row["train_images"]], row["epochs"]) for row in rows})
    points = []
    for images, epochs in places:
        own = [
            row for row in rows if (counts[row["train_images"]], row["epochs"]) == (images, epochs)
        ]
        place = {"images": images, "epochs": epochs, "train_images": own[0]["train_images"]}
        points.append(place | _summarise_point(own, metric))
    return {
        "metric": metric,
        "seeds": sorted({row["seed"] for row in rows}),
        "variants": {name: label_variant(name) for name in variants},
        "points": points,
        "sentences": _say(points, variants),
    }


def label_variant(name: str) -> str:
    """What tables and figures call a method, or NTKD by a discrepancy."""
    method, _, discrepancy = name.partition(" ")
    known = {BASELINE: "task alone", KD: "KD"}
    return known.get(method, f"NTKD by {discrepancy}")


def tabulate(table: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A row a point and variant: score, interval, seconds, tuned values, difference to baseline.

    Args:
        table: From :func:`summarise`.
    """
    found = []
    for point in table["points"]:
        against = {one["variant"]: one for one in point["differences"]}
        for name, one in point["variants"].items():
            row = {"images": point["images"], "epochs": point["epochs"], "variant": name}
            row |= {key: one[key] for key in (*NUMBERS, "validation", "seconds")}
            difference = against.get(name, {})
            row |= {
                f"difference.{key}": difference.get(key)
                for key in ("baseline", "mean", "low", "high", "n")
            }
            found.append(row | {f"tuned.{key}": value for key, value in one["tuned"].items()})
    keys = list(dict.fromkeys(key for row in found for key in row))
    return [{key: row.get(key) for key in keys} for row in found]


def _summarise_point(rows: Sequence[dict[str, Any]], metric: str) -> dict[str, Any]:
    values: dict[str, dict[int, float]] = {}
    for row in rows:
        values.setdefault(row["variant"], {})[row["seed"]] = row[metric]
    variants = {}
    for name, by_seed in values.items():
        own = [row for row in rows if row["variant"] == name]
        variants[name] = {
            "label": label_variant(name),
            "values": list(by_seed.values()),
            **summarise_values(list(by_seed.values())),
            "validation": fmean(row["validation"] for row in own),
            "seconds": fmean(row["seconds"] for row in own),
            "tuned": own[0]["tuned"],
        }
    differences = [
        {"variant": name, "baseline": base} | paired_difference(values[name], values[base])
        for name in values
        if (base := find_baseline(name)) in values
    ]
    return {"variants": variants, "differences": differences}


def find_baseline(variant: str) -> str:
    """What a variant is compared with: KD with the task alone, NTKD with KD, others with none."""
    method = variant.partition(" ")[0]
    return {KD: BASELINE, NTKD: KD}.get(method, "")


def _say(points: Sequence[dict[str, Any]], variants: Sequence[str]) -> list[str]:
    """How often each variant is ahead of its baseline, behind it, or neither, and where most."""
    said = []
    for name in variants:
        own = [
            (point, one)
            for point in points
            for one in point["differences"]
            if one["variant"] == name and one["low"] is not None
        ]
        if not own:
            continue
        head = f"{label_variant(name)} - {label_variant(find_baseline(name))}"
        ahead = sum(one["low"] > 0 for _, one in own)
        behind = sum(one["high"] < 0 for _, one in own)
        point, most = max(own, key=lambda pair: pair[1]["mean"])
        cure = f"; where KD is behind, {CURE_OF_BEHIND}" if name == KD and behind else ""
        said.append(
            f"{head}: ahead at {ahead} of {len(own)} points, behind at {behind}, not "
            f"distinguishable at {len(own) - ahead - behind}; most at {point['images']:,} images "
            f"and {point['epochs']} epochs, {100 * most['mean']:+z.2f} points (95 % interval "
            f"{100 * most['low']:+z.2f} to {100 * most['high']:+z.2f}){cure}"
        )
    return said
