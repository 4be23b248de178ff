"""The page: a camera or a watched folder on the left, the answer on the right."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from hybridonn.core.errors import DeploymentError, HybridonnError
from hybridonn.deployment.extras import need_extra
from hybridonn.deployment.manifest import Manifest
from hybridonn.live.frames import WatchedFolder, answer_frame
from hybridonn.live.guard import NAMES, SameOrigin
from hybridonn.pipeline.predict import COLOURS, System

HOST = "127.0.0.1"


def make_app(system: System, folder: Path | None, port: int) -> Any:
    """The page as a web application.

    Args:
        system: The deployed run.
        folder: A folder whose images are answered; None: the browser's camera is.
        port: Port that it is served on; requests to any other address are refused.

    Raises:
        DeploymentError: NiceGUI is not installed, images are asked of a system whose optics are
            not known, or the page does not draw the answers of the task.
        DataError: The folder is missing.
    """
    need_extra("nicegui")
    if folder is None and not system.predictor.takes_pictures:
        raise DeploymentError(
            f"the optics of {system.predictor.manifest.run} are known by their captures alone, so "
            "no camera of a browser can take their place; follow a folder of captures: --folder"
        )
    if not system.predictor.task.drawn_live:
        manifest = system.predictor.manifest
        raise DeploymentError(
            f"{manifest.run} answers task: {manifest.task}, which the page does not draw; use "
            "`hybridonn predict`, with --watch for a camera's folder"
        )
    from fastapi import FastAPI
    from nicegui import ui
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    watched = None if folder is None else WatchedFolder(system, folder)
    app = FastAPI(openapi_url=None, routes=_list_routes(system, watched), lifespan=_follow(watched))
    name = system.predictor.manifest.run
    ui.run_with(
        app,
        root=lambda: _fill(system, folder),
        title=f"{name} - hybridonn live",
        show_welcome_message=False,
        tailwind=False,
    )
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(NAMES))
    app.add_middleware(SameOrigin, port=port)
    return app


def _list_routes(system: System, watched: WatchedFolder | None) -> list[Any]:
    """What the page asks for while it is shown."""
    from starlette.concurrency import run_in_threadpool
    from starlette.requests import Request
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    async def frame(request: Request) -> JSONResponse:
        content, invert = await request.body(), request.query_params.get("invert") == "1"
        try:
            return JSONResponse(await run_in_threadpool(answer_frame, system, content, invert))
        except HybridonnError as error:
            return JSONResponse({"said": str(error)}, 400)

    async def latest(request: Request) -> JSONResponse:
        return JSONResponse({"number": 0, "said": ""} if watched is None else watched.last)

    return [Route("/frame", frame, methods=["POST"]), Route("/latest", latest)]


def _follow(watched: WatchedFolder | None) -> Any:
    """Follow a folder for as long as the page is served."""

    @asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[None]:
        if watched is not None:
            watched.start()
        yield
        if watched is not None:
            watched.stop()

    return lifespan


def _fill(system: System, folder: Path | None) -> None:
    """Put the parts of the page together."""
    from nicegui import ui

    parts = make_parts(system, folder)
    ui.add_css(parts.style)
    ui.html(parts.body, sanitize=False).classes("live-root")
    ui.add_body_html(f"<script>{parts.script}</script>")


@dataclass(frozen=True)
class Parts:
    """What the page is made of.

    Attributes:
        style: CSS.
        body: HTML, which lies in an element of the class ``live-root``.
        script: JavaScript, which is run once the body is there or before.
    """

    style: str
    body: str
    script: str


def make_parts(system: System, folder: Path | None, frames: str = "/frame?") -> Parts:
    """The parts of the page of a system.

    Args:
        system: The deployed run.
        folder: A folder whose images are answered; None: the browser's camera is.
        frames: Address that answers frames, to which more of a query is added.
    """
    place, manifest = files("hybridonn.live"), system.predictor.manifest
    settings = {
        "rows": system.target.height,
        "columns": system.target.width,
        "grey": system.target.grey,
        "classes": list(manifest.classes),
        "colours": COLOURS,
        "folder": None if folder is None else folder.name,
        "address": frames,
    }
    size = f"{system.target.height} x {system.target.width}"
    body = fill_words((place / "page.html").read_text("utf-8"), manifest, size)
    script = (place / "page.js").read_text("utf-8")
    shown = json.dumps(settings).replace("<", "\\u003c")  # no name of a class ends the script
    style = (place / "page.css").read_text("utf-8")
    return Parts(style, body, f"window.LIVE = {shown};\n{script}")


def fill_words(page: str, manifest: Manifest, size: str) -> str:
    """The page with what is known of a system, as text that is no markup.

    Args:
        page: HTML with ``@NAME@``, ``@OPTICS@``, ``@BACKEND@`` and ``@SIZE@``.
        manifest: What is known of the system.
        size: Size of its images.
    """
    words = {
        "NAME": manifest.run,
        "OPTICS": manifest.optics,
        "BACKEND": manifest.backend,
        "SIZE": size,
    }
    return re.sub(r"@(\w+)@", lambda found: escape(words[found[1]]), page)


def serve(
    system: System, folder: Path | None, port: int, tell: Callable[[str], None] = lambda line: None
) -> None:
    """Serve the page until it is interrupted.

    Args:
        system: The deployed run.
        folder: A watched folder; None: the browser's camera.
        port: Where, on 127.0.0.1.
        tell: Is told the address, when nothing stands in the way any more.

    Raises:
        DeploymentError: NiceGUI is not installed, or the port is in use.
    """
    app = make_app(system, folder, port)
    import uvicorn

    refuse_used_port(port)
    tell(name_address(port))
    with warnings.catch_warnings():  # NiceGUI looks through all objects, old names of torch too
        warnings.simplefilter("ignore", FutureWarning)
        uvicorn.run(app, host=HOST, port=port, log_level="warning")


def name_address(port: int) -> str:
    """What to do with a page that is served, as a sentence."""
    return f"open http://{HOST}:{port} in a browser on this machine; Ctrl-C ends it"


def refuse_used_port(port: int) -> None:
    """Refuse a port that another program listens on.

    Raises:
        DeploymentError: It is in use, or may not be used.
    """
    import socket

    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise DeploymentError(
                f"port {port} cannot be used ({error.strerror}); choose another with --port"
            ) from None
