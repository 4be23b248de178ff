"""What a run folder holds of its chip, simulated or measured, before and after compensation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hybridonn.core.errors import ArtefactError
from hybridonn.reports.artefacts.chip_overlays import ChipOverlays, read_chip_overlays
from hybridonn.reports.artefacts.embedding import Embedding, read_embeddings
from hybridonn.reports.artefacts.metasurface import SimulatedOptics, resize
from hybridonn.reports.artefacts.predictions import Predictions, check_metric, read_predictions
from hybridonn.reports.artefacts.reading import Table, read_arrays, read_json, read_table, refusal
from hybridonn.reports.statistics import Difference, score_difference, score_interval

if TYPE_CHECKING:
    from hybridonn.tasks.task import Task

BUILT, COMPENSATED = "the fabricated stage", "the compensated stage"


@dataclass(frozen=True)
class Treatment:
    """How good the network is behind the chip after one treatment.

    Attributes:
        method: ``ideal`` optics, ``uncompensated``, ``calibrated``, or the method of the
            fine-tuning.
        value: The metric on the test captures.
        interval: Its 95 % interval; None: only the value was kept.
        scores: The metric of each test capture, (N,); None: only the value was kept.
    """

    method: str
    value: float
    interval: tuple[float, float] | None
    scores: np.ndarray | None = None

    def gain_over(self, other: Treatment) -> Difference | None:
        """How far this is ahead on the same captures; None: they have not the same ones."""
        if self.scores is None or other.scores is None or len(self.scores) != len(other.scores):
            return None
        return score_difference(self.scores, other.scores)


@dataclass(frozen=True)
class ChipOptics:
    """Point spread functions in weights of the kernels, positive and negative part, upright.

    Attributes:
        designed: (K, 2, C, P, P).
        built: The same shape.
        size: Pixels along a side of a kernel.
    """

    designed: np.ndarray
    built: np.ndarray
    size: int


@dataclass(frozen=True)
class Chip:
    """A chip behind which a network was tested.

    Attributes:
        measured: A camera took the captures behind a real chip; or the chip is simulated.
        built: The numbers of the stage ``fabricated``; empty: the chip is measured.
        numbers: Those of the stage ``compensated``; empty: nothing was compensated.
        ideal: Ideal optics on the same images as the captures; without scores where a run of
            an earlier version kept those of all test images alone.
        treatments: The chip as fabricated first, then what was compared.
        predictions: What the fabricated and the compensated chip predict on the test captures.
        embeddings: t-SNE maps of test captures, likewise; empty: the task's reports show none.
        optics: None: no point spread functions were measured.
        fractions: Columns ``fraction``, ``captures``, ``calibrated``, ``fine_tuned``.
        overlays: Test images with their masks; None: the task's reports show none.
    """

    measured: bool
    built: dict[str, Any]
    numbers: dict[str, Any]
    ideal: Treatment
    treatments: tuple[Treatment, ...]
    predictions: dict[str, Predictions]
    embeddings: dict[str, Embedding]
    optics: ChipOptics | None
    fractions: Table | None
    overlays: ChipOverlays | None = None

    @property
    def total(self) -> int:
        """How many test captures there are; a camera need not take one of every test image."""
        return self.predictions["as fabricated"].total

    @property
    def designed(self) -> float | None:
        """The metric with the pillars as designed; None: the chip has no metasurface."""
        return self.built.get(f"designed_{self.predictions['as fabricated'].task.metric}")

    @property
    def step_before(self) -> dict[str, Treatment]:
        """What each treatment starts from; the calibration starts from the chip as fabricated."""
        first = self.treatments[0]
        calibrated = next((one for one in self.treatments if one.method == "calibrated"), first)
        if self.numbers.get("calibration") == "none":
            calibrated = first
        return {
            one.method: first if one.method == "calibrated" else calibrated
            for one in self.treatments[1:]
        }

    @property
    def held_out(self) -> dict[str, float]:
        """The metric of each treatment on captures that it did not see; empty: none are known."""
        known = self.numbers.get("held_out", {})
        return {one.method: known[one.method] for one in self.treatments if one.method in known}

    @property
    def held_out_total(self) -> int:
        """How many captures were held out."""
        return self.numbers.get("held_out", {}).get("captures", 0)

    @property
    def kept(self) -> Treatment | None:
        """The treatment that is left to the chip; None: nothing was compensated."""
        method = self.numbers.get("method")
        return next((one for one in self.treatments if one.method == method), None)


def read_chip(
    folder: Path,
    record: dict[str, Any],
    results: dict[str, Any],
    student: Predictions,
    classes: int,
    optics: SimulatedOptics | None,
) -> Chip | None:
    """Read what a run holds of the chip of its student; None: there is none, or an earlier one's.

    Args:
        folder: The run.
        record: What ``record.json`` holds; its hashes tell which stages belong to it.
        results: What ``results.json`` holds.
        student: Its predictions with ideal optics, on all test images.
        classes: How many there are.
        optics: The metasurface as designed, if the run designs one.

    Raises:
        ArtefactError: A file is missing, damaged, or contradicts another one.
    """
    hashes = record.get("hashes", {})
    won = results.get("compensated", {})
    if won and not _belongs(folder / "compensated", won, hashes):
        won = {}
    measured = won.get("source") == "captures"
    built = results.get("fabricated", {}) if "fabricated" in hashes and not measured else {}
    if not (built or measured):
        return None
    task = student.task
    place = folder / "compensated"
    predictions = _read_predictions(folder, classes, built, won, task)
    one = predictions["as fabricated"]
    treatments = (Treatment("uncompensated", one.value, one.interval, one.scores),)
    if won:
        treatments = _read_treatments(place / "scores.npz", won, task)
    ideal = _take_ideal(student, one, place if measured else None)
    chosen = place if won else folder / "fabricated"
    stage = COMPENSATED if won else BUILT
    return Chip(
        measured=measured,
        built=built,
        numbers=won,
        ideal=_score_ideal(student, ideal),
        treatments=treatments,
        predictions=predictions,
        embeddings=_read_maps(place, classes) if won and "embedding" in task.sections else {},
        optics=_read_optics(folder, measured, optics),
        fractions=_read_fractions(place / "fractions.csv") if won else None,
        overlays=read_chip_overlays(chosen, stage, ideal, predictions, won.get("method", "")),
    )


def _belongs(folder: Path, won: dict[str, Any], hashes: dict[str, str]) -> bool:
    """Whether the stage ``compensated`` is of this student and chip, not of earlier ones."""
    if not (folder / "stage.json").is_file():
        return False
    if won.get("source") == "captures":
        origin = read_json(folder / "origin.json", COMPENSATED)
        return origin.get("student") == hashes.get("student", "")
    stage = read_json(folder / "stage.json", COMPENSATED)
    return stage.get("fingerprint") == hashes.get("compensated", "")


def _read_predictions(
    folder: Path, classes: int, built: dict[str, Any], won: dict[str, Any], task: Task
) -> dict[str, Predictions]:
    """The predictions of the chip as fabricated, and of the compensated one where there is one."""
    metric = task.metric
    files = [("as fabricated", "compensated/predictions_before.npz", f"uncompensated_{metric}")]
    files += [("compensated", "compensated/predictions.npz", metric)]
    numbers, stage = won, COMPENSATED
    if not won:
        files, numbers = [("as fabricated", "fabricated/predictions.npz", metric)], built
        stage = BUILT
    found = {}
    for name, file, key in files:
        path = folder / file
        found[name] = read_predictions(path, stage, classes, task)
        check_metric(found[name], numbers, key, path, path.parent.name)
    return found


def _read_maps(folder: Path, classes: int) -> dict[str, Embedding]:
    path = folder / "embedding.npz"
    maps = read_embeddings(path, COMPENSATED, classes, ("before", "after"))
    return {"as fabricated": maps["before"], "compensated": maps["after"]}


def _read_treatments(path: Path, won: dict[str, Any], task: Task) -> tuple[Treatment, ...]:
    metric = task.metric
    end = f"_{metric}"
    methods = [key.removesuffix(end) for key in won if key.endswith(end)]
    methods.sort(key=lambda method: method != "uncompensated")  # all others are compared with it
    scores = read_arrays(path, COMPENSATED, dict.fromkeys(methods, 1))
    found = []
    for method in methods:
        allowed = np.isin(scores[method], (0, 1)) if task.whole else scores[method] <= 1
        if not (allowed & (scores[method] >= 0)).all():
            wrong = f"{method} holds values that are no {metric} of an image"
            raise ArtefactError(refusal(path, COMPENSATED, wrong))
        one, stated = _score(task, method, scores[method]), won[method + end]
        if abs(one.value - stated) > 1e-3:
            wrong = f"the mean of {method} is {one.value:.4f}, and results.json says {stated:.4f}"
            raise ArtefactError(refusal(path, COMPENSATED, wrong))
        found.append(one)
    return tuple(found)


def _score_ideal(student: Predictions, ideal: Predictions | None) -> Treatment:
    """Ideal optics as a treatment: on the images of the captures, or else on all test images."""
    if ideal is None:
        return Treatment("ideal", student.value, student.interval)
    return Treatment("ideal", ideal.value, ideal.interval, ideal.scores)


def _take_ideal(student: Predictions, built: Predictions, place: Path | None) -> Predictions | None:
    """What ideal optics give on the very images of the captures; None: these are not known.

    Args:
        student: Its predictions with ideal optics, on all test images.
        built: The predictions of the chip as fabricated.
        place: The stage ``compensated`` of a measured chip, which says whose captures there are;
            None: captures of a simulated chip are of all test images.

    Raises:
        ArtefactError: The captures are of other images than the stage says.
    """
    path = None if place is None else place / "test_images.npz"
    if path is None or not path.is_file():  # or of a run of an earlier version
        same = np.array_equal(student.labels, built.labels)
        return student if same else None
    positions = read_arrays(path, COMPENSATED, {"positions": 1}, whole=("positions",))
    positions = positions["positions"]
    known = len(positions) == built.total
    known = known and ((positions >= 0) & (positions < student.total)).all()
    if not known or not np.array_equal(student.labels[positions], built.labels):
        wrong = "its positions are not those of the test images that were captured"
        raise ArtefactError(refusal(path, COMPENSATED, wrong))
    taken = student.labels[positions], student.predicted[positions]
    return replace(student, labels=taken[0], predicted=taken[1])


def _score(task: Task, method: str, scores: np.ndarray) -> Treatment:
    """A treatment from the metric of each capture."""
    interval = score_interval(scores, whole=task.whole)
    return Treatment(method, float(scores.mean()), interval, scores)


def _read_fractions(path: Path) -> Table | None:
    """None: only one fraction was measured, which makes no curve."""
    columns = ("fraction", "captures", "calibrated", "fine_tuned")
    table = read_table(path, COMPENSATED, columns)
    return table if len(table["fraction"]) > 1 else None


def _read_optics(
    folder: Path, measured: bool, metasurface: SimulatedOptics | None
) -> ChipOptics | None:
    place, stage = folder / "fabricated", BUILT
    if measured:
        place, stage = folder / "compensated", COMPENSATED
    if measured and not (place / "psf.npz").is_file():
        return None
    kernels = read_arrays(place / "kernels.npz", stage, {"designed": 4})["designed"]
    arrays = read_arrays(place / "psf.npz", stage, {"psf": 5, "gains": 3})
    count, bands, size, width = kernels.shape
    wanted = (count, 2, bands)
    fits = arrays["psf"].shape[:3] == wanted == arrays["gains"].shape and size == width
    if not fits or not (metasurface is None or metasurface.psf.shape[:3] == wanted):
        wrong = f"psf has the shape {arrays['psf'].shape}, and the kernels are {kernels.shape}"
        raise ArtefactError(refusal(place / "psf.npz", stage, wrong))
    built = arrays["psf"] * arrays["gains"][..., None, None]
    parts = np.stack([np.maximum(kernels, 0), np.maximum(-kernels, 0)], 1)[..., ::-1, ::-1]
    designed = parts if measured or metasurface is None else metasurface.psf
    return ChipOptics(resize(designed, built.shape[-1]), built, size)
