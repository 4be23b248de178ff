"""What the page asks for beside its websocket: reports and figures of the runs of the table."""

from __future__ import annotations

from typing import Any

from hybridonn.core.errors import HybridonnError
from hybridonn.explorer.compared import list_shown
from hybridonn.explorer.run_table import RunTable
from hybridonn.reports.studies import PAGE

# A report is a file that anyone may have written: it runs nothing and fetches nothing.
CLOSED = {
    "Content-Security-Policy": "sandbox; default-src 'none'; img-src data:; "
    "style-src 'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}


def list_routes(table: RunTable) -> list[Any]:
    """The routes of the files of runs."""
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
