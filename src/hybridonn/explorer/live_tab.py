"""The tab of live inference: a deployed run answers the browser's camera."""

from __future__ import annotations

from html import escape
from typing import Any
from urllib.parse import urlencode

from hybridonn.explorer.saying import Notice
from hybridonn.explorer.systems import Systems

NONE = "No run here is deployed: `hybridonn deploy RUN` writes the network of a finished run."


class LiveTab:
    """The tab in one browser.

    Args:
        systems: The deployed runs.
    """

    def __init__(self, systems: Systems) -> None:
        self._systems = systems
        self._frame: Any = None

    def build(self) -> None:
        """Put the tab together."""
        from nicegui import ui

        ui.html("<h2>Live inference</h2>", sanitize=False)
        with ui.row().classes("bar"):
            self._run = ui.select([], label="Deployed run").props("dense outlined options-dense")
            self._run.classes("wide")
            ui.button("Start", on_click=self._start).props("no-caps unelevated")
            ui.button("Stop", on_click=self.stop).props("no-caps outline")
            ui.button("Reload", on_click=self._list).props("no-caps flat")
        self._notice = Notice()
        note = "The camera's frames go to this machine alone and are not kept."
        self._note = ui.label(note).classes("words")
        self._frame = ui.html("", sanitize=False).classes("shown")
        ui.timer(0.01, self._list, once=True)

    async def _list(self) -> None:
        """List the deployed runs anew."""
        from nicegui import run

        names: list[str] | None = None
        with self._notice.guard():
            names = await run.io_bound(self._systems.list_names) or []
            kept = self._run.value if self._run.value in names else None
            self._run.set_options(names, value=kept)
        if names == []:
            self._notice.say(NONE)

    async def _start(self) -> None:
        """Open the chosen run, and show its page."""
        from nicegui import run

        name = self._run.value
        if not name:
            self._notice.say("choose a deployed run first")
            return
        with self._notice.guard():
            await run.io_bound(self._systems.open, name)
            self._frame.set_content(render_frame(name))

    def stop(self) -> None:
        """Take the page of the run away, which lets go of the camera."""
        if self._frame is not None:
            self._frame.set_content("")


def render_frame(name: str) -> str:
    """The frame that holds the page of a run.

    Args:
        name: Name of its row.
    """
    address = escape(f"/live?{urlencode({'run': name})}")
    title = escape(f"live inference of {name}")
    return f'<iframe class="live" src="{address}" title="{title}" allow="camera"></iframe>'
