"""What earlier calls of the map have finished: their students, from the study's rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hybridonn.core.errors import ArtefactError
from hybridonn.core.files import read_json
from hybridonn.spec import Method, Tuning
from hybridonn.studies.regimes_summary import label_variant
from hybridonn.studies.rows import Rows, name_row

Place = tuple[int, int]  # numbers of training images and of epochs


@dataclass
class Earlier:
    """What earlier calls have finished and this one does not ask for.

    Attributes:
        students: Their rows, as :func:`hybridonn.studies.regimes_summary.summarise` takes them.
        counts: The number of training images by what was asked for.
        tried: What each point of the map chose its values from; None: nobody said so.
    """

    students: list[dict[str, Any]] = field(default_factory=list)
    counts: dict[int | None, int] = field(default_factory=dict)
    tried: dict[Place, Any] = field(default_factory=dict)


def find_earlier(
    path: Path,
    rows: Rows,
    asked: Mapping[Place, tuple[int | None, set[str]]],
    tried: Mapping[str, Any],
    say: Callable[[str], None],
) -> Earlier:
    """The students of finished points, and at points that are asked for again, of other variants.

    The numbers are those of the rows; ``regimes.json`` only tells which values were chosen. A point
    one of whose rows is gone is left out whole, since its methods could not be compared, and so is
    a variant that chose its values from others than the methods of this call at the same point.

    Args:
        path: ``regimes.json`` of the last call.
        rows: What was measured with the settings of this call.
        asked: What this call asks for at each place: the images as they were stated, the variants.
        tried: From what this call chooses values, see :func:`state_tried`.
        say: Told what is left out.
    """
    found = Earlier()
    for point in _read_points(path, say):
        try:
            place = point["images"], point["epochs"]
            images, variants = asked.get(place, (point["train_images"], set()))
            kept = {name: one for name, one in point["variants"].items() if name not in variants}
            if place in asked and kept and point.get("tried") != tried:
                say(_say_others(place, kept, point.get("tried"), tried))
                continue
            if kept and images != point["train_images"]:  # the rows would have two names
                say(_say_stated(place, kept, point["train_images"], images))
                continue
            students = [*_list_students(point, kept, rows.values)]
        except (KeyError, TypeError, AttributeError):  # a row is gone, or the file was harmed
            say(_say_lost(path, point))
            continue
        found.students += students
        found.counts[images] = point["images"]
        found.tried[place] = point.get("tried")
    return found


def list_asked(
    chosen: Sequence[tuple[int | None, int, str]], counts: Mapping[int | None, int]
) -> dict[Place, tuple[int | None, set[str]]]:
    """The images as they were stated and the variants, by numbers of images and of epochs."""
    asked: dict[Place, tuple[int | None, set[str]]] = {}
    for images, epochs, variant in chosen:
        asked.setdefault((counts[images], epochs), (images, set()))[1].add(variant)
    return asked


def state_tried(
    values: Mapping[str, Sequence[Any]], tuning_seeds: int, fixed: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """From what values are chosen at a point, as plain data.

    Args:
        values: Those of the grid, by key.
        tuning_seeds: Number of the seeds that choose; without a choice it makes no difference.
        fixed: What the spec states of each method, from :func:`list_fixed`.
    """
    chooses = any(len(some) > 1 for some in values.values())
    stated = {key: list(some) for key, some in sorted(values.items())}
    told = {"values": stated, "tuning_seeds": tuning_seeds if chooses else None}
    return told | ({"fixed": dict(fixed)} if fixed else {})


def list_fixed(tuned: Tuning, methods: Sequence[Method], swept: Collection[str]) -> dict[str, Any]:
    """What a spec states of each method beside the values that the map sweeps, by dotted key."""
    stated = {method: tuned.of(method).model_dump(exclude_none=True) for method in methods}
    return {
        f"tuned.{method}.{key}": value
        for method, settings in stated.items()
        for key, value in settings.items()
        if key not in (*swept, "epochs")
    }


def say_tried(points: Sequence[Mapping[str, Any]]) -> list[str]:
    """A sentence where points have chosen their values from different ones."""
    counts = Counter(_name_tried(point.get("tried")) for point in points)
    if len(counts) < 2:
        return []
    parts = [f"{name} at {count} point{'s' * (count > 1)}" for name, count in counts.items()]
    return [f"not all points tried the same values: {', '.join(parts)}"]


def _name_tried(tried: Any) -> str:
    if not isinstance(tried, Mapping):
        return "unknown values"
    values = [f"{key} {', '.join(map(str, some))}" for key, some in tried["values"].items()]
    seeds = tried["tuning_seeds"]
    by = f" by {seeds} seed{'s' * (seeds > 1)}" if seeds else ""
    fixed = ", ".join(f"{key} {value}" for key, value in tried.get("fixed", {}).items())
    own = f" with {fixed}" if fixed else ""
    return (" and ".join(values) or "the spec's own values") + by + own


def _say_others(
    place: Place, kept: Mapping[str, Any], theirs: Any, tried: Mapping[str, Any]
) -> str:
    names = " and ".join(label_variant(name) for name in kept)
    are, they = ("are", "they") if len(kept) > 1 else ("is", "it")
    return (
        f"at {place[0]:,} images and {place[1]} epochs {names} of an earlier call {are} left out: "
        f"{they} tried {_name_tried(theirs)}, this call {_name_tried(tried)}; name all "
        "discrepancies in one call"
    )


def _say_stated(place: Place, kept: Mapping[str, Any], there: int | None, here: int | None) -> str:
    names = " and ".join(label_variant(name) for name in kept)
    stated = ["all" if one is None else str(one) for one in (there, here)]
    return (
        f"at {place[0]:,} images and {place[1]} epochs {names} of an earlier call left the map: "
        f"the images were --images {stated[0]} there and are {stated[1]} here; state them alike"
    )


def _say_lost(path: Path, point: Any) -> str:
    if isinstance(point, dict) and {"images", "epochs"} <= point.keys():
        what = f"the point of {point['images']} images and {point['epochs']} epochs is left out"
    else:
        what = f"a point of {path} is left out"
    return f"{what}: a student of it is missing or damaged; give its call again"


def _read_points(path: Path, say: Callable[[str], None]) -> list[Any]:
    if not path.exists():  # no call has ended yet
        return []
    try:
        points = read_json(path)["points"]
    except (ArtefactError, KeyError, TypeError):
        points = None
    if not isinstance(points, list):
        say(
            f"{path} is damaged: points of earlier calls are left out of the map; their students "
            "are kept, and the same calls put them back at once"
        )
        return []
    return points


def _list_students(
    point: Mapping[str, Any], variants: Mapping[str, Any], values: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    """The row of each seed of some variants.

    Raises:
        KeyError: A row is not there.
    """
    for variant, one in variants.items():
        for seed in range(len(one["values"])):
            yield values[name_row(seed, point["train_images"], variant, one["tuned"])]
