"""The tab of designs: sliders, a drawing that follows them, estimate and cost, a sweep, a spec."""

from __future__ import annotations

from dataclasses import dataclass, replace
from html import escape
from time import perf_counter
from typing import Any

from hybridonn.core.errors import SpecError
from hybridonn.data.readers.table import DATA_SETS
from hybridonn.deployment.energy import ASSUMPTIONS, MJ, Assumption
from hybridonn.estimation.ridge import SingularKernelError
from hybridonn.explorer.design import Design, build_spec, count_branches, start_design, write_spec
from hybridonn.explorer.drawing import describe_layout, draw_layout
from hybridonn.explorer.estimates import Bench, Estimated, Price, lay_out
from hybridonn.explorer.markup import render_table
from hybridonn.explorer.pareto import Candidate, draw_front, list_designs, tabulate_front
from hybridonn.explorer.saying import Notice
from hybridonn.reports.formats import percent, span
from hybridonn.reports.tables.studies import Table
from hybridonn.tasks.table import TASKS

CALM_S = 0.25  # after the last change, before an estimate is begun
LOOK_S = 0.1


@dataclass(frozen=True)
class Control:
    """A slider with a field for its number.

    Attributes:
        key: Field of the design.
        label: Its name and unit.
        least: Least value of the slider; the field takes any.
        most: Largest value of the slider.
        step: Step of both.
    """

    key: str
    label: str
    least: float
    most: float
    step: float


CONTROLS = (
    Control("width_mm", "Metasurface width (mm)", 0.5, 20, 0.1),
    Control("height_mm", "Metasurface height (mm)", 0.5, 20, 0.1),
    Control("site_mm", "Site of a sub-optic (mm)", 0.1, 3, 0.002),
    Control("gap_mm", "Gap (mm)", 0, 0.5, 0.005),
    Control("kernels", "Optical kernels", 1, 128, 1),
    Control("kernel_size", "Kernel size (pixels, odd)", 1, 15, 2),
    Control("pooled_size", "Pooled feature map (pixels)", 1, 16, 1),
)
WHOLE = ("kernels", "kernel_size", "pooled_size")


class DesignTab:
    """The tab in one browser.

    Args:
        bench: Data sets and estimates.
    """

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._design = Design()
        self._changed_s = 0.0
        self._version = self._settled = 0
        self._sweeping = False
        self._fields: dict[str, tuple[Any, Any]] = {}

    def build(self) -> None:
        """Put the tab together."""
        from nicegui import ui

        ui.html("<h2>Design</h2>", sanitize=False)
        self._notice = Notice()
        with ui.element("div").classes("design"):
            with ui.element("section").classes("controls").props('aria-label="Design values"'):
                self._build_choices()
                for control in CONTROLS:
                    self._build_control(control)
                self._wavelengths = (
                    ui.input("Wavelengths (nm), with commas")
                    .props('dense outlined placeholder="those of the example" debounce=300')
                    .on_value_change(lambda e: self._take("wavelengths", e.value or ""))
                )
            with ui.element("section").classes("seen"):
                self._drawing = ui.html("", sanitize=False).classes("drawing")
                self._facts = ui.html("", sanitize=False).props('aria-live="polite"')
        with ui.row().classes("bar"):
            ui.button("Sweep to a Pareto front", on_click=self._sweep).props("no-caps unelevated")
            ui.button("Write this spec", on_click=self._write).props("no-caps outline")
        self._progress = ui.label().props('role="status"')
        self._shown = ui.column().classes("shown")
        self._redraw()
        ui.timer(LOOK_S, self._settle)

    def _build_choices(self) -> None:
        """Task, data set, the folder of images, and what energies are counted by."""
        from nicegui import ui

        look = "dense outlined options-dense"
        self._task = ui.select(list(TASKS), value="classification", label="Task").props(look)
        self._task.on_value_change(lambda e: self._choose_task(e.value))
        names = _list_sets("classification")
        self._data = ui.select(names, value="digits", label="Data set").props(look)
        self._data.on_value_change(lambda e: self._choose_data(e.value))
        self._folder = ui.input("Folder of the images, where it is your own")
        self._folder.props("dense outlined debounce=500")
        self._folder.on_value_change(lambda e: self._take("folder", e.value or ""))
        labels = {one.name: one.label for one in ASSUMPTIONS}
        self._assumed = ui.select(labels, value="paper", label="Energy as of").props(look)
        self._assumed.on_value_change(self._touch)

    def _build_control(self, control: Control) -> None:
        """A slider and a field that follow one another."""
        from nicegui import ui

        value = getattr(self._design, control.key)
        with ui.element("div").classes("control"):
            field = ui.number(control.label, value=value, min=0, step=control.step)
            field.props("dense outlined debounce=150")
            slider = ui.slider(
                min=control.least, max=control.most, step=control.step, value=value
            ).props(f'aria-label="{escape(control.label)}" label')
        self._fields[control.key] = (field, slider)
        slider.on_value_change(lambda e: self._take(control.key, e.value))
        field.on_value_change(lambda e: self._take(control.key, e.value))

    def _take(self, key: str, value: Any) -> None:
        """Take up what a widget says; an empty field says nothing."""
        if value is None or value == getattr(self._design, key):
            return
        if key in WHOLE:
            value = round(value)
        self._design = replace(self._design, **{key: value})
        for widget in self._fields.get(key, ()):
            widget.value = value
        self._redraw()

    def _choose_task(self, task: str) -> None:
        names = _list_sets(task)
        self._data.set_options(names, value=names[0])

    def _choose_data(self, data: str | None) -> None:
        """Begin anew with the design of the example of a data set."""
        if data is None:
            return
        with self._notice.guard():
            self._design = replace(start_design(data), folder=self._folder.value or "")
            for key, widgets in self._fields.items():
                for widget in widgets:
                    widget.value = getattr(self._design, key)
            self._wavelengths.value = self._design.wavelengths
            for widget in self._fields["pooled_size"]:
                widget.set_enabled(not count_branches(data))
        self._redraw()

    def _touch(self) -> None:
        """Let estimate and cost be shown anew."""
        self._version += 1
        self._changed_s = perf_counter()

    def _redraw(self) -> None:
        """Draw the layout of the design at once; estimate and cost follow."""
        self._touch()
        with self._notice.guard():
            layout = lay_out(build_spec(self._design))
            words = f"<p>{escape(describe_layout(layout))}.</p>"
            self._drawing.set_content(draw_layout(layout) + words)

    async def _settle(self) -> None:
        """Estimate the design once nobody moves it any more."""
        from nicegui import run

        version = self._version
        if version == self._settled or perf_counter() - self._changed_s < CALM_S:
            return
        self._settled = version
        with self._notice.guard():
            design, assumption = self._design, self._find_assumption()
            lay_out(build_spec(design))
            price = await run.io_bound(self._bench.price, design)
            assert price is not None
            self._facts.set_content(render_facts(None, price, assumption, "estimating …"))
            said, found = "", None
            try:
                found = await run.io_bound(
                    self._bench.estimate, design, lambda: version == self._version
                )
            except (SpecError, SingularKernelError) as error:
                said = str(error)
            if version == self._version:
                self._facts.set_content(render_facts(found, price, assumption, said))

    def _find_assumption(self) -> Assumption:
        return next(one for one in ASSUMPTIONS if one.name == self._assumed.value)

    async def _sweep(self) -> None:
        """Estimate the designs around this one, and show which no other one beats."""
        from nicegui import run

        if self._sweeping:
            self._notice.say("a sweep is under way; wait for it")
            return
        self._sweeping = True
        try:
            with self._notice.guard():
                design, assumption = self._design, self._find_assumption()
                dataset = await run.io_bound(self._bench.load, build_spec(design).data)
                assert dataset is not None
                found: list[Candidate] = []
                left: list[tuple[str, str]] = []
                designs = list_designs(design, dataset.image_shape)
                for place, (name, one) in enumerate(designs, 1):
                    self._progress.set_text(f"{place} of {len(designs)}: {name}")
                    try:
                        weighed = await run.io_bound(self._bench.weigh, name, one, assumption)
                    except (SpecError, SingularKernelError) as error:
                        left.append((name, str(error)))
                        continue
                    assert weighed is not None
                    found.append(weighed)
                    if place % 5 == 0 or place == len(designs):
                        self._show_front(found, left, dataset.task.label, assumption)
                self._show_front(found, left, dataset.task.label, assumption)
        finally:
            self._sweeping = False
            self._progress.set_text("")

    def _show_front(
        self, found: list[Candidate], left: list[tuple[str, str]], label: str, by: Assumption
    ) -> None:
        from nicegui import ui

        self._shown.clear()
        with self._shown:
            ui.html(render_front(found, left, label, by), sanitize=False)

    def _write(self) -> None:
        """Show the spec of the design, and let it be saved."""
        from nicegui import ui

        with self._notice.guard():
            lay_out(build_spec(self._design))
            text, name = write_spec(self._design), f"{self._design.data}-design.yaml"
            self._shown.clear()
            with self._shown:
                with ui.row().classes("bar"):
                    save = ui.button(f"Save {name}").props("no-caps unelevated")
                    save.on_click(lambda: ui.download.content(text, name))
                    ui.html(f"then <code>hybridonn run {escape(name)}</code>", sanitize=False)
                spec = f'<pre tabindex="0" aria-label="The spec">{escape(text)}</pre>'
                ui.html(spec, sanitize=False)


def _list_sets(task: str) -> list[str]:
    """The data sets of a task, those first that are there without a folder of one's own."""
    names = [name for name, one in DATA_SETS.items() if one.task == task]
    return sorted(names, key=lambda name: (DATA_SETS[name].folder == "required", name))


def render_facts(found: Estimated | None, price: Price, assumption: Assumption, said: str) -> str:
    """Estimate and cost of a design as tiles.

    Args:
        found: The estimate; None: there is none, or not yet.
        price: The costs.
        assumption: What computing and taking an image cost.
        said: Why there is no estimate.
    """
    energy = assumption.energy_j(price.behind) / MJ
    digital = assumption.energy_j(price.costs[0]) / MJ
    tiles = [
        (
            "estimate before training",
            "–" if found is None else f"{percent(found.value)} {found.label}",
            said
            if found is None
            else f"95 %: {span((found.low, found.high), 1000)}; "
            + (f"{found.seconds:.1f} s" if found.seconds else "known already"),
        ),
        (
            "metasurface",
            f"{price.area_mm2:.4g} mm²",
            f"{price.sub_optics} sub-optics; {price.least_mm2:.3g} mm² would hold them",
        ),
        (
            "multiply-accumulates",
            f"{price.behind.macs:,}",
            f"all digital {price.costs[0].macs:,}; {price.behind.pixels:,} pixels read out",
        ),
        (
            "energy of an image",
            f"{energy:.4g} mJ",
            f"all digital {digital:.4g} mJ; {assumption.label}",
        ),
    ]
    parts = (
        f"<div><dt>{escape(what)}</dt><dd><b>{escape(value)}</b>"
        f"<small>{escape(note)}</small></dd></div>"
        for what, value, note in tiles
    )
    return f'<dl class="tiles">{"".join(parts)}</dl>'


def render_front(
    found: list[Candidate], left: list[tuple[str, str]], label: str, assumption: Assumption
) -> str:
    """The front of a sweep as HTML.

    Args:
        found: What was estimated.
        left: What was left out, each with the reason.
        label: Label of the metric.
        assumption: What computing and taking an image cost.
    """
    energy, area = draw_front(found, label)
    note = f"Energy as of {assumption.label} ({assumption.source}). Filled: on the Pareto front."
    left_out = Table("Left out", ("design", "why"), left)
    return (
        f"<h3>Sweep</h3><p>{escape(note)}</p>"
        f'<div class="figures">{energy}{area}</div>{render_table(tabulate_front(found, label))}'
        + (render_table(left_out) if left else "")
    )
