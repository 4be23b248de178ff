"""The explorer as a web application on this machine: designs, runs, live inference."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

from hybridonn.core.errors import ArtefactError
from hybridonn.deployment.extras import need_extra
from hybridonn.explorer.design_tab import DesignTab
from hybridonn.explorer.estimates import Bench
from hybridonn.explorer.live_tab import LiveTab
from hybridonn.explorer.routes import list_routes
from hybridonn.explorer.run_table import RunTable
from hybridonn.explorer.runs_tab import RunsTab
from hybridonn.explorer.systems import Systems
from hybridonn.live.guard import NAMES, SameOrigin
from hybridonn.live.page import HOST, name_address, refuse_used_port

PATIENCE_S = 60.0  # of a browser while the machine is busy; then its state would be lost


def make_app(root: Path, port: int, data: Path | None = None) -> Any:
    """The explorer.

    Args:
        root: The folder of runs.
        port: Port that it is served on; requests to any other address are refused.
        data: Where named data sets lie; None: where the environment says.

    Raises:
        DeploymentError: NiceGUI is not installed.
        ArtefactError: The folder is missing.
    """
    need_extra("nicegui")
    if not root.is_dir():
        raise ArtefactError(f"{root} is no folder; name a folder of runs, such as runs")
    from fastapi import FastAPI
    from nicegui import ui
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    table, bench = RunTable(root), Bench(data)
    systems = Systems(table)
    app = FastAPI(openapi_url=None, routes=list_routes(table, systems))
    ui.run_with(
        app,
        root=lambda: _fill(table, bench, systems),
        title="hybridonn explore",
        show_welcome_message=False,
        tailwind=False,
        reconnect_timeout=PATIENCE_S,
    )
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(NAMES))
    app.add_middleware(SameOrigin, port=port)
    return app


def _fill(table: RunTable, bench: Bench, systems: Systems) -> None:
    """Put the page together, anew for each browser that opens it: nothing of it is shared."""
    from nicegui import ui

    ui.colors(primary="#0b5cad")
    ui.add_css((files("hybridonn.explorer") / "page.css").read_text("utf-8"))
    with ui.element("header").classes("explorer-head"):
        ui.html("<h1>hybridonn explore</h1>", sanitize=False)
        with ui.tabs().props("inline-label dense no-caps align=left") as tabs:
            ui.tab("Design")
            ui.tab("Runs")
            ui.tab("Live")
    live = LiveTab(systems)
    panels = ui.tab_panels(tabs, value="Design", animated=False).classes("explorer")
    tabs.on_value_change(live.stop)  # a tab that is left lets go of the camera
    with panels:
        with ui.tab_panel("Design"):
            DesignTab(bench).build()
        with ui.tab_panel("Runs"):
            RunsTab(table).build()
        with ui.tab_panel("Live"):
            live.build()


def serve(
    root: Path,
    port: int,
    data: Path | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> None:
    """Serve the explorer until it is interrupted.

    Args:
        root: The folder of runs.
        port: Where, on 127.0.0.1.
        data: Where named data sets lie.
        tell: Is told the address, when nothing stands in the way any more.

    Raises:
        DeploymentError: NiceGUI is not installed, or the port is in use.
        ArtefactError: The folder is missing.
    """
    app = make_app(root, port, data)
    import uvicorn

    refuse_used_port(port)
    tell(name_address(port))
    with warnings.catch_warnings():  # NiceGUI looks through all objects, old names of torch too
        warnings.simplefilter("ignore", FutureWarning)
        uvicorn.run(app, host=HOST, port=port, log_level="warning")
