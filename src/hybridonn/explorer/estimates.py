"""Estimates and costs of designs, by the functions of the commands ``estimate`` and ``cost``."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from hybridonn.core.errors import DataError
from hybridonn.core.progress import Silent
from hybridonn.data import Dataset, data_root, load_dataset
from hybridonn.data.readers.sources import NAMED_SOURCES
from hybridonn.deployment.cost import NetworkCost, count_student_costs
from hybridonn.deployment.energy import MJ, Assumption
from hybridonn.explorer.design import Design, build_spec
from hybridonn.explorer.pareto import Candidate
from hybridonn.networks.student import build_student, check_fit
from hybridonn.optics.layout.sites import Layout, SurfaceSize, size_for
from hybridonn.pipeline.from_spec import lay_out_kernels
from hybridonn.pipeline.stages.estimate import (
    estimate_spec,
    name_estimator,
    refuse_unestimated,
)
from hybridonn.reports.statistics import share_interval
from hybridonn.spec import Data, Spec

MOST_KEPT = 512  # estimates
# The page downloads nothing: what is not there is said to be missing.
ON_DISK = {name: replace(source, mirrors=()) for name, source in NAMED_SOURCES.items()}


@dataclass(frozen=True)
class Estimated:
    """What is estimated of a design.

    Attributes:
        label: Label of the metric.
        value: The metric, in [0, 1].
        low: Lower end of its 95 % interval.
        high: Upper end.
        seconds: What it took; 0: it was known.
        method: How, in words.
    """

    label: str
    value: float
    low: float
    high: float
    seconds: float
    method: str


@dataclass(frozen=True)
class Price:
    """What a design costs.

    Attributes:
        area_mm2: Area of the metasurface as stated; 0 of a lens.
        least_mm2: Area of the smallest metasurface that holds the kernels.
        sub_optics: Sub-optics, two a kernel.
        costs: The same network all digital, and the backend behind the optics.
    """

    area_mm2: float
    least_mm2: float
    sub_optics: int
    costs: tuple[NetworkCost, ...]

    @property
    def behind(self) -> NetworkCost:
        """The cost of what is computed behind the optics."""
        return self.costs[-1]


def lay_out(spec: Spec) -> Layout:
    """The layout of a design.

    Raises:
        SpecError: Its kernels do not fit.
    """
    return lay_out_kernels(spec.optics, spec.student.kernels)


class Bench:
    """Data sets and estimates, kept for all browsers: they depend on the designs alone.

    Args:
        root: Where named data sets lie; None: where the environment says.
    """

    def __init__(self, root: Path | None = None) -> None:
        self._root = root
        self._busy = threading.Lock()
        self._data: dict[str, Dataset] = {}
        self._known: dict[str, Estimated] = {}

    def load(self, data: Data) -> Dataset:
        """The images of a design; the last set is kept.

        Raises:
            DataError: They are missing or damaged.
        """
        key = data.model_dump_json()
        if key not in self._data:
            place = data_root(self._root)
            if data.name in NAMED_SOURCES and not (place / data.name).is_dir():
                raise DataError(
                    f"{data.name} is not in {place}, and this page downloads nothing; run "
                    "`hybridonn data check` with its spec once, or start `hybridonn explore` with "
                    "--data-root"
                )
            self._data = {key: load_dataset(data, self._root, Silent(), ON_DISK)}
        return self._data[key]

    def estimate(
        self, design: Design, wanted: Callable[[], bool] = lambda: True
    ) -> Estimated | None:
        """Estimate a design, one at a time.

        Args:
            design: The design.
            wanted: Asked when it is this one's turn; False: it is left out.

        Returns:
            None: It was not wanted any more.

        Raises:
            HybridonnError: The design has no estimate, or its data are missing.
        """
        spec = build_spec(design)
        refuse_unestimated(spec)
        spec = name_estimator(spec)
        key = _name(spec)
        with self._busy:
            if key in self._known:
                return replace(self._known[key], seconds=0.0)
            if not wanted():
                return None
            began = perf_counter()
            dataset = self.load(spec.data)
            with TemporaryDirectory(prefix="hybridonn-") as tiles:
                found = estimate_spec(spec, dataset, Path(tiles), Silent())
            tests = len(found.scores)
            ends = share_interval(found.accuracy, found.uncertainty, tests)
            seconds = perf_counter() - began
            one = Estimated(dataset.task.label, found.accuracy, *ends, seconds, found.method)
            if len(self._known) >= MOST_KEPT:
                self._known.clear()
            self._known[key] = one
        return one

    def price(self, design: Design) -> Price:
        """What a design costs, on the images of its data set.

        Raises:
            HybridonnError: The design cannot be built, or its data are missing.
        """
        spec = build_spec(design)
        with self._busy:
            dataset = self.load(spec.data)
        shape, classes = dataset.image_shape, len(dataset.classes)
        check_fit(spec.student, shape)
        student = build_student(spec.student, shape, classes, spec.seed, spec.optics, spec.task)
        costs = count_student_costs(student.eval(), shape, spec.optics.sensor.bit_depth)
        optics, kernels = spec.optics, spec.student.kernels
        if design.lens:  # light computes nothing: it is captured as behind any lens
            return Price(0.0, 0.0, 0, tuple(replace(one, optical=False) for one in costs))
        area = optics.metasurface_width_mm * optics.metasurface_height_mm
        return Price(area, least_area(spec), 2 * kernels, tuple(costs))

    def weigh(self, name: str, design: Design, assumption: Assumption) -> Candidate:
        """A candidate of a sweep: estimate and costs of a design.

        Args:
            name: What distinguishes it.
            design: The design.
            assumption: What computing and taking an image cost.

        Raises:
            HybridonnError: It cannot be estimated or built.
        """
        found, price = self.estimate(design), self.price(design)
        assert found is not None
        energy = assumption.energy_j(price.behind) / MJ
        ends = (found.value, found.low, found.high)
        return Candidate(name, *ends, price.least_mm2, energy, price.behind.macs, lens=design.lens)


def _name(spec: Spec) -> str:
    """What an estimate depends on."""
    parts = (spec.data, spec.student, spec.estimate)
    return "\n".join((*(repr(one) for one in parts), spec.task))


def least_area(spec: Spec) -> float:
    """Area in mm² of the smallest metasurface that holds the kernels of a design."""
    site, gap = spec.optics.kernel_site_mm / 1e3, spec.optics.gap_mm / 1e3
    wafer = spec.optics.wafer_diameter_mm / 1e3
    width, height = size_for(SurfaceSize(site, site, site, gap, wafer), spec.student.kernels)
    return 1e6 * width * height
