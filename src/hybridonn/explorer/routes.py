"""What the page asks for beside its websocket: reports and figures of runs, answers to frames."""

from __future__ import annotations

from html import escape
from typing import Any

from hybridonn.core.errors import HybridonnError
from hybridonn.explorer.compared import list_shown
from hybridonn.explorer.run_table import RunTable
from hybridonn.explorer.systems import Systems, render_live
from hybridonn.live.frames import answer_frame
from hybridonn.reports.studies import PAGE

# A report is a file that anyone may have written: it runs nothing and fetches nothing.
CLOSED = {
    "Content-Security-Policy": "sandbox; default-src 'none'; img-src data:; "
    "style-src 'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}


def list_routes(table: RunTable, systems: Systems) -> list[Any]:
    """The routes of the files of runs, and of live inference."""
    return [*_list_files(table), *_list_live(systems)]


def _list_live(systems: Systems) -> list[Any]:
    """A page for each deployed run, which stands in a frame of the tab, and its answers."""
    from starlette.concurrency import run_in_threadpool
    from starlette.requests import Request
    from starlette.responses import HTMLResponse, JSONResponse
    from starlette.routing import Route

    def show(request: Request) -> HTMLResponse:
        name = request.query_params.get("run", "")
        try:
            return HTMLResponse(render_live(systems.open(name), name))
        except HybridonnError as error:
            return HTMLResponse(f"<p role='alert'>{escape(str(error))}</p>", 404)

    async def answer(request: Request) -> JSONResponse:
        name, content = request.query_params.get("run", ""), await request.body()
        invert = request.query_params.get("invert") == "1"
        try:
            system = await run_in_threadpool(systems.open, name)
            return JSONResponse(await run_in_threadpool(answer_frame, system, content, invert))
        except HybridonnError as error:
            return JSONResponse({"said": str(error)}, 400)

    return [Route("/live", show), Route("/frame", answer, methods=["POST"])]


def _list_files(table: RunTable) -> list[Any]:
    """Reports, and figures that are compared."""
    from starlette.requests import Request
    from starlette.responses import FileResponse, PlainTextResponse, Response
    from starlette.routing import Route

    def read(request: Request) -> Response:
        run, path = (request.query_params.get(key, "") for key in ("run", "path"))
        try:
            folder = table.folder(run)
        except HybridonnError as error:
            return PlainTextResponse(str(error), 404)
        if path not in (PAGE, *list_shown(folder)) or not (folder / path).is_file():
            return PlainTextResponse(f"{run} has no {path[:80]} that could be shown", 404)
        return FileResponse(folder / path, headers=CLOSED)

    return [Route("/file", read)]
