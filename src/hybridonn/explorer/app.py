"""The explorer as a web application on this machine: designs, runs, live inference."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

from hybridonn.core.errors import ArtefactError
from hybridonn.deployment.extras import need_extra
from hybridonn.explorer.routes import list_routes
from hybridonn.explorer.run_table import RunTable
from hybridonn.explorer.runs_tab import RunsTab
from hybridonn.live.guard import NAMES, SameOrigin
from hybridonn.live.page import HOST, refuse_used_port


def make_app(root: Path, port: int) -> Any:
    """The explorer.

    Args:
        root: The folder of runs.
        port: Port that it is served on; requests to any other address are refused.

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

    table = RunTable(root)
    app = FastAPI(openapi_url=None, routes=list_routes(table))
    ui.run_with(
        app,
        root=lambda: _fill(table),
        title="hybridonn explore",
        show_welcome_message=False,
        tailwind=False,
    )
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(NAMES))
    app.add_middleware(SameOrigin, port=port)
    return app


def _fill(table: RunTable) -> None:
    """Put the page together, anew for each browser that opens it: nothing of it is shared."""
    from nicegui import ui

    ui.colors(primary="#0b5cad")
    ui.add_css((files("hybridonn.explorer") / "page.css").read_text("utf-8"))
    with ui.element("header").classes("explorer-head"):
        ui.html("<h1>hybridonn explore</h1>", sanitize=False)
        with ui.tabs().props("inline-label dense no-caps align=left") as tabs:
            ui.tab("Runs")
    panels = ui.tab_panels(tabs, value="Runs").classes("explorer").props("animated=false")
    with panels, ui.tab_panel("Runs"):
        RunsTab(table).build()


def serve(root: Path, port: int) -> None:
    """Serve the explorer until it is interrupted.

    Args:
        root: The folder of runs.
        port: Where, on 127.0.0.1.

    Raises:
        DeploymentError: NiceGUI is not installed, or the port is in use.
        ArtefactError: The folder is missing.
    """
    app = make_app(root, port)
    import uvicorn

    refuse_used_port(port)
    uvicorn.run(app, host=HOST, port=port, log_level="warning")
